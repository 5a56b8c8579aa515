"""CNN14 on a GPU: SimCLR steps in bfloat16 of 4-second crops, beside PyTorch eager and compiled.

    python -m benchmarks.cnn14 [clips]       needs a CUDA device, jax[cuda13] and torch with CUDA

76 M parameters, 2 views of 401 x 64, SGD; bf16 autocast and channels-last on their side. Prints the
share of the rate of a large bf16 matrix product that the step reaches (operations of the forward
pass, times 3), and the time a step waits for made-up batches from the host.
"""

import sys
import time
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx

from benchmarks.simclr import forward_work
from benchmarks.timing import answer_help, in_turns, machine, need, report
from cryjax.augment import AugmentSettings, PatchInfo, build_policy
from cryjax.models import CNN14
from cryjax.models.compute import ComputeSettings, set_compute
from cryjax.objectives import SimCLR
from cryjax.train.mesh import data_mesh, replicate, shard_batch
from cryjax.train.state import create, make_step

FRAMES, MELS, STEPS, SIDE = 401, 64, 10, 8192
RATE, MOMENTUM = 0.03, 0.9


def product_rate() -> float:
    """Measures floating point operations a second of a bfloat16 matrix product."""
    x = jnp.ones((SIDE, SIDE), jnp.bfloat16)
    product = jax.jit(lambda a: a @ a)
    jax.block_until_ready(product(x))
    started, out = time.perf_counter(), x
    for _ in range(STEPS):
        out = product(x)
    jax.block_until_ready(out)
    return 2 * SIDE**3 * STEPS / (time.perf_counter() - started)


def our_steps(clips: int) -> tuple[Any, float]:
    """Makes a function that takes some steps and returns the seconds it waited for batches."""
    encoder = CNN14(MELS, rngs=nnx.Rngs(0))
    work = forward_work(encoder, FRAMES, MELS)
    set_compute(encoder, ComputeSettings(dtype="bfloat16"))
    objective = SimCLR(
        encoder,
        build_policy(AugmentSettings(order=("normalise",)), PatchInfo(FRAMES, MELS)),
        rngs=nnx.Rngs(0),
    )
    tx, mesh = optax.sgd(RATE, MOMENTUM), data_mesh(clips)
    graphdef, state = create(objective, tx)
    box, step = [replicate(state, mesh)], make_step(graphdef, tx)
    mel = np.random.default_rng(0).normal(size=(clips, 2, FRAMES, MELS)).astype(np.float16)

    def run() -> float:
        waited, metrics = 0.0, {}
        for _ in range(STEPS):
            asked = time.perf_counter()
            batch = shard_batch({"mel": mel}, mesh)
            waited += time.perf_counter() - asked
            box[0], metrics = step(box[0], batch, jax.random.key(0))
        jax.block_until_ready(metrics)
        return waited

    return run, work


def their_steps(torch: Any, clips: int, *, compiled: bool) -> Any:
    """Makes the same function in PyTorch."""
    from benchmarks import peers

    model = peers.SimCLR(peers.CNN14(), 2048).cuda().to(memory_format=torch.channels_last)
    loss_of = torch.compile(model) if compiled else model
    optimiser = torch.optim.SGD(model.parameters(), RATE, MOMENTUM)
    mel = np.random.default_rng(0).normal(size=(clips, 2, FRAMES, MELS)).astype(np.float16)
    host = torch.from_numpy(mel).pin_memory()

    def run() -> None:
        for _ in range(STEPS):
            optimiser.zero_grad(set_to_none=True)
            with torch.autocast("cuda", torch.bfloat16):
                loss = loss_of(host.cuda(non_blocking=True).float())
            loss.backward()
            optimiser.step()
        torch.cuda.synchronize()

    return run


def main() -> None:
    """Prints all."""
    answer_help()
    if jax.default_backend() != "gpu":
        sys.exit("this benchmark needs a GPU and jax[cuda13]")
    torch = need("torch", "pip install torch==2.13.0 (with CUDA)")
    clips = int((sys.argv[1:] or ["256"])[0])
    ours, work = our_steps(clips)
    runs = {
        "ours, bfloat16": ours,
        "PyTorch compiled, bf16 autocast": their_steps(torch, clips, compiled=True),
        "PyTorch eager, bf16 autocast": their_steps(torch, clips, compiled=False),
    }
    print(machine("jax", "torch"), torch.cuda.get_device_name())
    took = in_turns(runs, 3)
    report(f"CNN14, {clips} clips x 2 views", took, count=clips * STEPS, unit="clips")
    seconds, rate = min(took["ours, bfloat16"]), product_rate()
    share = 3 * work * 2 * clips * STEPS / seconds / rate
    print(f"{rate / 1e12:.0f} TFLOP/s of a product; the step reaches {share:.0%} of it")
    print(f"waiting for batches: {ours() / seconds:.1%} of the time")


if __name__ == "__main__":
    main()
