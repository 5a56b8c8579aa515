"""A SimCLR step on two cores: forward, backward, SGD; ours beside PyTorch with two threads.

    python -m benchmarks.simclr [encoder ...]       needs torch; resnet18, vgg and crnn by default

32 clips of 2 views of 101 x 96, float32, the same weights, loss and optimiser; the loss and the
length of the gradient of the first step are compared first. Ours has the devices that the
command has. PyTorch runs eager with channels last, and compiled where its compiler finds one for
C++; the limit is a matrix product of as many operations as the three passes of the encoder.
"""

import sys
from typing import Any

import jax
import numpy as np
import optax
from flax import nnx

from benchmarks.timing import LIMIT, in_turns, machine, multiplying, need, on_cores, report
from cryjax.augment import AugmentSettings, PatchInfo, build_policy
from cryjax.models import EncoderSettings, build_encoder
from cryjax.objectives import SimCLR
from cryjax.train.mesh import data_mesh, keep_compiled, replicate, shard_batch, use_all_cores
from cryjax.train.state import create, make_step

CLIPS, FRAMES, MELS, RATE, MOMENTUM = 32, 101, 96, 0.03, 0.9


def weights_of(module: Any) -> list[np.ndarray]:
    """Lists convolution and dense kernels in the order of construction, as PyTorch has them."""
    found = []
    for path, value in nnx.to_flat_state(nnx.state(module, nnx.Param)):
        array = np.asarray(value[...])
        if path[-1] == "kernel":
            found.append(array.transpose(3, 2, 0, 1) if array.ndim == 4 else array.T)
    return found


def copy_weights(torch: Any, ours: Any, theirs: Any) -> None:
    """Puts our encoder and projector into theirs."""
    for side in ("encoder", "projector"):
        copy_kernels(torch, getattr(ours, side), getattr(theirs, side))


def copy_kernels(torch: Any, ours: Any, theirs: Any) -> None:
    """Puts our kernels into a module, shape by shape in order, and zeros into its biases."""
    left = weights_of(ours)
    for name, parameter in theirs.named_parameters():
        if "gru" in name:
            continue
        if parameter.ndim > 1:
            at = next(i for i, k in enumerate(left) if k.shape == tuple(parameter.shape))
            parameter.data.copy_(torch.from_numpy(left.pop(at).copy()))
        elif name.endswith("bias"):
            parameter.data.zero_()
    if hasattr(theirs, "gru"):
        for suffix, part in (("l0", ours.forward), ("l0_reverse", ours.backward)):
            for theirs_name, array in (
                ("weight_ih", part.w_in),
                ("weight_hh", part.w_state),
                ("bias_ih", part.b_in),
                ("bias_hh", part.b_state),
            ):
                target = getattr(theirs.gru, f"{theirs_name}_{suffix}")
                target.data.copy_(torch.from_numpy(np.array(array[...]).T.copy()))


def forward_work(encoder: Any, frames: int, mels: int) -> float:
    """Counts floating point operations of one crop in the encoder, as XLA does."""
    graphdef, arrays = nnx.split(encoder)
    run = jax.jit(lambda arrays, mel: nnx.merge(graphdef, arrays)(mel))
    lowered = run.lower(arrays, jax.ShapeDtypeStruct((1, frames, mels), np.float32))
    analysis: Any = lowered.compile().cost_analysis()
    return analysis["flops"]


def compiled_by(torch: Any, model: Any, optimiser: Any, views: Any) -> dict[str, Any]:
    """Makes the step that `torch.compile` compiles; none where it cannot."""
    step = torch.compile(model)

    def run() -> float:
        optimiser.zero_grad(set_to_none=True)
        loss = step(views)
        loss.backward()
        optimiser.step()
        return loss.item()

    try:
        run()
    except Exception as error:  # it needs a compiler for C++, and says so in many ways
        print(f"torch.compile: {str(error).splitlines()[0]}")
        return {}
    return {"PyTorch compiled, channels last": run}


def zero_biases(objective: Any) -> None:
    """Sets biases to zero, which PyTorch would draw."""
    for path, value in nnx.to_flat_state(nnx.state(objective, nnx.Param)):
        if path[-1] == "bias":
            value[...] = 0 * value[...]


def main() -> None:
    """Prints a block an encoder."""
    on_cores(2)
    torch = need("torch", "pip install torch==2.13.0")
    from benchmarks import peers

    torch.set_num_threads(2)
    use_all_cores()
    keep_compiled()
    print(machine("jax", "torch"))
    views = np.random.default_rng(0).normal(size=(CLIPS, 2, FRAMES, MELS)).astype(np.float32)
    for name in sys.argv[1:] or ("resnet18", "vgg", "crnn"):
        rngs = nnx.Rngs(0)
        encoder = build_encoder(EncoderSettings(name), MELS, rngs=rngs)
        objective = SimCLR(
            encoder,
            build_policy(AugmentSettings(order=("normalise",)), PatchInfo(FRAMES, MELS)),
            rngs=rngs,
        )
        zero_biases(objective)
        network, features = peers.ENCODERS[name]
        model = peers.SimCLR(network(), features).to(memory_format=torch.channels_last)
        copy_weights(torch, objective, model)
        optimiser = torch.optim.SGD(model.parameters(), RATE, MOMENTUM)
        tx = optax.sgd(RATE, MOMENTUM)
        graphdef, state = create(objective, tx)
        mesh = data_mesh(CLIPS)
        box, step = [replicate(state, mesh)], make_step(graphdef, tx)
        operations = 3 * 2 * CLIPS * forward_work(encoder, FRAMES, MELS)
        batch, theirs, key = (
            shard_batch({"mel": views}, mesh),
            torch.from_numpy(views),
            jax.random.key(0),
        )

        def ours(box=box, step=step, batch=batch, key=key) -> dict:
            box[0], metrics = step(box[0], batch, key)
            return jax.block_until_ready(metrics)

        def eager(model=model, optimiser=optimiser, theirs=theirs) -> tuple[float, float]:
            optimiser.zero_grad(set_to_none=True)
            loss = model(theirs)
            loss.backward()
            optimiser.step()
            return loss.item(), 0.0

        metrics = ours()
        loss, _ = eager()
        norm = sum(float((p.grad**2).sum()) for p in model.parameters()) ** 0.5
        np.testing.assert_allclose(float(metrics["loss"]), loss, rtol=1e-4)
        np.testing.assert_allclose(float(metrics["grad_norm"]), norm, rtol=1e-2)
        work = {"ours": ours, f"{LIMIT}as many operations in a product": multiplying(operations)}
        work |= compiled_by(torch, model, optimiser, theirs)
        took = in_turns(work | {"PyTorch eager, channels last": eager})
        report(f"{name}, {CLIPS} clips x 2 views", took, count=CLIPS, unit="clips")


if __name__ == "__main__":
    main()
