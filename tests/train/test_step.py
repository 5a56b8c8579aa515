"""The step: the original's two updates, any number of devices, what each mode may move."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from double import in_float64
from flax import nnx
from policies import policy as build_policy
from torch_names import fill, ours, vgg_names

from cryjax.models import ResNet18, SimpleCNN, VGGLike, vgg
from cryjax.models.compute import DTYPES, ComputeSettings, set_compute
from cryjax.models.heads import ProjectorSettings
from cryjax.models.layers import ConvNorm, in_eval_mode, time_means
from cryjax.objectives import SimCLR, Supervised
from cryjax.objectives.losses import nt_xent
from cryjax.objectives.simclr import SimCLRSettings
from cryjax.train import mesh as meshes
from cryjax.train.optim import OptimSettings, build_optimiser
from cryjax.train.state import create, make_step
from cryjax.train.variables import trainable

POLICY = "random_resized_crop,spec_augment,gaussian_noise,normalise"

HEALTH = {"feature_std", "effective_rank", "alignment", "uniformity"}


class TwoBlocks(nnx.Module):
    """The smallest encoder with all that depends on a batch's other rows."""

    features = 8 * 16

    def __init__(self, rngs):
        self.first = ConvNorm(1, 4, rngs=rngs)
        self.second = ConvNorm(4, 8, rngs=rngs)

    def __call__(self, mel):
        return time_means(self.second(vgg.max_pool(self.first(mel[..., None]))))


def simclr(policy=None, encoder=None, **kwargs):
    rngs = nnx.Rngs(0)
    encoder = encoder or VGGLike(32, width=4, rngs=rngs)
    settings = SimCLRSettings(projector=ProjectorSettings(hidden=16, dim=8), **kwargs)
    return SimCLR(encoder, policy or build_policy(POLICY), settings, rngs=rngs)


def batch(n=16, views=2, frames=40, mels=32):
    mel = np.random.default_rng(0).normal(size=(n, views, frames, mels)).astype(np.float16)
    return {"mel": mel, "label": np.arange(n, dtype=np.int32) % 3}


def updates(objective, n_devices, steps=3, rate=0.05, what=None, data=None):
    tx = optax.sgd(rate, momentum=0.9)
    chosen = nnx.Param if what is None else trainable(objective, what)
    graphdef, state = create(objective, tx, chosen)
    mesh = meshes.data_mesh(n_devices, devices=jax.devices()[:n_devices])
    state, step = meshes.replicate(state, mesh), make_step(graphdef, tx, chosen)
    metrics = {}
    for _ in range(steps):
        rows = meshes.shard_batch(data or batch(), mesh)
        state, metrics = step(state, rows, jax.random.key(0))
    assert step._cache_size() == 1  # pyright: ignore[reportFunctionMemberAccess]
    return state, metrics


@pytest.mark.slow
def test_eight_devices_equal_one(monkeypatch):
    monkeypatch.setitem(DTYPES, "float64", jnp.float64)
    # in float32 a step of this small net makes a rounding up to a thousand times larger, by machine
    small = lambda: in_float64(simclr(encoder=TwoBlocks(nnx.Rngs(0))))  # noqa: E731
    with jax.enable_x64(True):
        (one, m1), (eight, m8) = (updates(small(), n) for n in (1, 8))
    assert m1.keys() == m8.keys() == {"loss", "grad_norm", "skipped", *HEALTH}
    for name, value in m1.items():  # of these the health is measured in float32
        np.testing.assert_allclose(m8[name], value, rtol=1e-5)
    for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(eight), strict=True):
        np.testing.assert_allclose(np.asarray(a), np.asarray(b), rtol=1e-7, atol=1e-9)


@pytest.mark.slow
def test_pooling_has_the_gradient_of_xlas_own_within_a_network(monkeypatch):
    """`x.max()` would not do: compiled in haste it looks for a maximum that it rounds otherwise."""

    def plain(x, window=(2, 2)):
        return nnx.max_pool(x, window, strides=window)

    ours = updates(simclr(), 1, steps=1)[1]
    monkeypatch.setattr(vgg, "max_pool", plain)
    theirs = updates(simclr(), 1, steps=1)[1]
    np.testing.assert_allclose(ours["grad_norm"], theirs["grad_norm"], rtol=1e-4)


@pytest.mark.slow
def test_joint_batch_norm_differs_from_separate():
    small = [simclr(None, TwoBlocks(nnx.Rngs(0)), batch_norm=b) for b in ("separate", "joint")]
    losses = [updates(objective, 1, steps=1)[1]["loss"] for objective in small]
    assert abs(losses[0] - losses[1]) > 1e-6
    with pytest.raises(ValueError, match="batch_norm must be one of"):
        simclr(batch_norm="both")


@pytest.mark.slow
def test_two_updates_are_those_of_the_original_code(golden):
    g, weights = golden("uclser_trainstep_vgg"), golden("uclser_vgg_weights")
    names = {f"encoder.{k}": v for k, v in vgg_names().items()}
    names |= {
        "projector.hidden.0": "head.net1.0",
        "projector.norms.0": "head.net1.1",
        "projector.out": "head.net1.3",
    }
    objective = SimCLR(VGGLike(96, rngs=nnx.Rngs(0)), build_policy(), rngs=nnx.Rngs(0))
    fill(objective, weights, names)
    settings = OptimSettings(learning_rate=0.03, schedule="constant", weight_decay=1e-4)
    tx = build_optimiser(settings, 2)
    graphdef, state = create(objective, tx)
    step = make_step(graphdef, tx)
    mel = jnp.asarray(np.concatenate([g["view1"], g["view2"]], axis=1))
    with jax.default_matmul_precision("highest"):
        for i in range(2):
            state, metrics = step(state, {"mel": mel}, jax.random.key(0))
            np.testing.assert_allclose(metrics["loss"], g["losses"][i], rtol=2e-4)
            if i == 0:
                norms = [v for k, v in g.items() if k.startswith("gradnorm.") and "out" not in k]
                total = np.sqrt(np.sum(np.square(norms)))
                np.testing.assert_allclose(metrics["grad_norm"], total, rtol=1e-3)
            compare(nnx.merge(graphdef, state.params, state.rest), g, names, f"after{i + 1}")


def compare(objective, g, names, when):
    from torch_names import at

    seen = 0
    for path, theirs in names.items():
        node = at(objective, path)
        for ours_, wanted in (
            ("kernel", "weight"),
            ("scale", "weight"),
            ("bias", "bias"),
            ("mean", "running_mean"),
        ):
            if hasattr(node, ours_) and f"{when}.{theirs}.{wanted}" in g:
                want = g[f"{when}.{theirs}.{wanted}"]
                want = ours(want) if ours_ == "kernel" else want
                got = getattr(node, ours_)[...]
                atol = 2e-3 * np.abs(want).max()
                np.testing.assert_allclose(got, want, atol=atol, err_msg=f"{when}.{theirs}")
                seen += 1
        key = f"{when}.{theirs}.running_var"
        if key in g and hasattr(node, "var"):  # biased here, unbiased there: within 1/7 of a tenth
            np.testing.assert_allclose(node.var[...], g[key], rtol=0.04)
            seen += 1
    assert seen >= 4


class Flat(nnx.Module):
    """A dense layer under a loss of two views of its output."""

    def __init__(self, loss):
        self.encoder, self.of_views = nnx.Linear(5, 4, rngs=nnx.Rngs(0)), loss

    def loss(self, batch, key):
        return self.of_views(self.encoder(batch["x"][:, 0]), self.encoder(batch["x"][:, 1])), {}

    def after_update(self, step):
        pass


def flat_update(loss, rows, accumulate=1):
    graphdef, state = create(Flat(loss), optax.sgd(0.1))
    step = make_step(graphdef, optax.sgd(0.1), accumulate=accumulate)
    return step(state, {"x": rows}, jax.random.key(0))


def test_parts_of_a_batch_are_averaged_and_see_their_own_negatives():
    rows = np.random.default_rng(0).normal(size=(12, 2, 5)).astype(np.float32)
    square = lambda a, b: ((a - b) ** 2).mean()  # noqa: E731
    for a, b in zip(*(jax.tree.leaves(flat_update(square, rows, n)) for n in (1, 4)), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-7)
    contrast = functools.partial(nt_xent, temperature=0.5)
    losses = [flat_update(contrast, rows[i::2])[1]["loss"] for i in range(2)]
    whole, parts = (flat_update(contrast, rows, n)[1]["loss"] for n in (1, 2))
    np.testing.assert_allclose(parts, np.mean(losses), rtol=1e-6)
    assert whole > parts + 0.3  # 22 negatives against 10
    with pytest.raises(ValueError, match="batch_size must be a multiple of accumulate 5"):
        flat_update(square, rows, 5)


def one_block(mels, *, width, rngs):
    return nnx.Sequential(lambda mel: mel[..., None], ConvNorm(1, width, rngs=rngs))


@pytest.mark.parametrize(
    "make",
    [one_block, pytest.param(ResNet18, marks=pytest.mark.slow)],
)
def test_compute_switches_change_memory_and_rounding_and_nothing_else(make):
    x = jnp.asarray(np.random.default_rng(0).normal(size=(8, 32, 32)), jnp.float32)

    def one(**settings):
        encoder = make(32, width=4, rngs=nnx.Rngs(0))
        set_compute(encoder, ComputeSettings(**settings))
        graphdef, *arrays = nnx.split(encoder, nnx.Param, ...)
        params, rest = map(nnx.to_pure_dict, arrays)

        def loss(params, rest):
            model = nnx.merge(graphdef, params, rest)
            value = (model(x).astype(jnp.float32) ** 2).mean()
            return value, nnx.to_pure_dict(nnx.state(model, nnx.BatchStat))

        run = jax.jit(jax.value_and_grad(loss, has_aux=True)).lower(params, rest).compile()
        (value, statistics), grads = run(params, rest)
        return float(value), jax.tree.leaves((statistics, grads))

    value, arrays = one()
    again, same = one(remat=True)
    np.testing.assert_allclose(again, value, rtol=1e-6)
    for a, b in zip(arrays, same, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-5 * max(1, np.abs(a).max()))
    half, rough = one(dtype="bfloat16")
    assert half != value
    np.testing.assert_allclose(half, value, rtol=0.05)
    assert all(a.dtype == jnp.float32 for a in rough)


def test_compute_switches_name_what_they_cannot_do():
    with pytest.raises(ValueError, match="compute.dtype must be one of float32, bfloat16"):
        ComputeSettings(dtype="float16")
    with pytest.raises(ValueError, match="SimpleCNN has no blocks to compute again"):
        set_compute(SimpleCNN(32, frames=32, rngs=nnx.Rngs(0)), ComputeSettings(remat=True))


def supervised():
    rngs = nnx.Rngs(0)
    encoder = ResNet18(32, width=4, rngs=rngs)
    return Supervised(encoder, build_policy(), class_weights=[1.0] * 3, rngs=rngs)


@pytest.mark.parametrize(
    ("what", "changed"),
    [
        ("head", 2),
        *(pytest.param(*x, marks=pytest.mark.slow) for x in (("head_and_norms", 82), ("all", 102))),
    ],
)
def test_what_is_trained_changes_and_no_other_bit(what, changed):
    before = nnx.to_pure_dict(nnx.state(supervised()))
    objective = supervised()
    if what == "head":
        objective = in_eval_mode(objective)
    state, _ = updates(objective, 8, steps=2, what=what, data=batch(views=1))
    flat = {}
    for tree in (state.params, state.rest):
        flat |= {jax.tree_util.keystr(k): v for k, v in jax.tree_util.tree_leaves_with_path(tree)}
    old = {jax.tree_util.keystr(k): v for k, v in jax.tree_util.tree_leaves_with_path(before)}
    assert flat.keys() == old.keys()
    moved = {k for k in flat if (np.asarray(flat[k]) != np.asarray(old[k])).any()}
    assert len(moved) == changed
    if what == "head":
        assert all("head" in k for k in moved)
    if what == "head_and_norms":
        assert not any("conv" in k and "kernel" in k for k in moved)


def test_an_unknown_part_is_named():
    with pytest.raises(ValueError, match="what must be one of head, head_and_norms, all, got 'x'"):
        trainable(supervised(), "x")
