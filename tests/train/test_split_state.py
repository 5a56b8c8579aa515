"""A training state that is split over devices: the same updates, less memory, any checkpoint."""

import dataclasses
import math
import shutil

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from double import in_float64
from flax import nnx
from policies import policy

from benchmarks import scale
from configs import simclr
from cryjax.encoder import load
from cryjax.errors import UserError
from cryjax.models import CNN14, AudioNTT
from cryjax.models.compute import DTYPES
from cryjax.models.heads import ProjectorSettings
from cryjax.objectives import SLICER, SimCLR
from cryjax.objectives.simclr import SimCLRSettings
from cryjax.objectives.slicer import SLICERSettings
from cryjax.settings import changed
from cryjax.tasks import pretrain
from cryjax.train import mesh as meshes
from cryjax.train.checkpoint import Checkpointer, load_meta
from cryjax.train.state import create, make_step

HEAD = ProjectorSettings(hidden=64, dim=32)
POLICY = "gaussian_noise,normalise"


def simclr_on_cnn14():
    rngs = nnx.Rngs(0)
    encoder = CNN14(32, widths=(16, 32), dropout=0.2, rngs=rngs)
    return SimCLR(encoder, policy(POLICY), SimCLRSettings(projector=HEAD), rngs=rngs)


def slicer_on_audio_ntt():
    rngs = nnx.Rngs(0)
    settings = SLICERSettings(queue=64, clusters=16, projector=HEAD)
    return SLICER(AudioNTT(32, width=64, rngs=rngs), policy(POLICY), settings, rngs=rngs)


OBJECTIVES = {"simclr": simclr_on_cnn14, "slicer": slicer_on_audio_ntt}


def updated(objective, model, steps=2):
    """Takes some steps on eight devices, `model` of which share a state."""
    tx = optax.adamw(1e-3, eps=1e-3)
    graphdef, state = create(objective, tx)
    mesh = meshes.data_mesh(8, model)
    assert dict(mesh.shape) == {"data": 8 // model, "model": model}
    state = meshes.shard_state(state, mesh)
    shardings = jax.tree.map(lambda x: x.sharding, state)
    step = make_step(graphdef, tx, mesh=mesh)
    mel = np.random.default_rng(0).normal(size=(8, 2, 32, 32)).astype(np.float16)
    metrics = {}
    for _ in range(steps):
        rows = meshes.shard_batch({"mel": mel}, mesh)
        state, metrics = step(state, rows, jax.random.key(0))
    assert step._cache_size() == 1  # pyright: ignore[reportFunctionMemberAccess]
    for x, before in zip(jax.tree.leaves(state), jax.tree.leaves(shardings), strict=True):
        assert x.sharding.is_equivalent_to(before, x.ndim)
    return state, metrics


def of_one_device(tree):
    """Bytes that the first device holds."""
    arrays = jax.tree.leaves(tree)
    return sum(x.addressable_shards[0].data.nbytes for x in arrays if jnp.size(x))


@pytest.mark.parametrize("name", OBJECTIVES)
def test_a_split_state_takes_the_same_updates(name, monkeypatch):
    monkeypatch.setitem(DTYPES, "float64", jnp.float64)
    with jax.enable_x64(True):
        (whole, first), *others = (updated(in_float64(OBJECTIVES[name]()), n) for n in (1, 2, 4))
    for (state, metrics), n in zip(others, (2, 4), strict=True):
        for key, value in first.items():  # of these the health is measured in float32
            np.testing.assert_allclose(metrics[key], value, rtol=1e-5, err_msg=key)
        for a, b in zip(jax.tree.leaves(whole), jax.tree.leaves(state), strict=True):
            np.testing.assert_allclose(np.asarray(a), np.asarray(b), rtol=1e-7, atol=1e-9)
        assert of_one_device(state) < 1.2 / n * of_one_device(whole)


def test_a_run_continues_on_another_mesh(smoke, tmp_path, capsys):
    settings = smoke(simclr, **{"optim.learning_rate": 1e-6, "encoder.width": 8, "knn.every": None})
    pretrain.run(settings, tmp_path / "whole")
    shutil.copytree(tmp_path / "whole", tmp_path / "split")
    shutil.rmtree(tmp_path / "split" / "checkpoints" / "4")
    pretrain.run(changed(settings, {"mesh": {"model": 4}}), tmp_path / "split")
    assert "continuing at step 2 of 4" in capsys.readouterr().out
    both = [nnx.state(load(tmp_path / name).module) for name in ("whole", "split")]
    for a, b in zip(*map(jax.tree.leaves, both), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)


def test_a_save_compiles_nothing(trained, tmp_path):
    """The first one waited for a program to cut each shape of array into eight parts."""
    _, state = create(simclr_on_cnn14(), optax.adamw(1e-3))
    state = meshes.replicate(state, meshes.data_mesh(8))
    compiled = []

    def listener(event, duration_secs, **kwargs):
        if "backend_compile" in event:
            compiled.append(duration_secs)

    jax.monitoring.register_event_duration_secs_listener(listener)
    jax.jit(lambda x: x + 1)(jnp.arange(17))
    assert compiled
    compiled.clear()
    keeper = Checkpointer(tmp_path, dataclasses.replace(load_meta(trained), config={}))
    keeper.save(1, state, {})
    jax.monitoring.unregister_event_duration_listener(listener)
    assert not compiled
    restored = keeper.restore(jax.tree.map(jnp.zeros_like, state))
    keeper.close()
    for a, b in zip(jax.tree.leaves(state), jax.tree.leaves(restored), strict=True):
        assert a.sharding.is_equivalent_to(b.sharding, a.ndim)
        np.testing.assert_array_equal(np.asarray(a), np.asarray(b))


@pytest.mark.parametrize("model", [2, 4])
def test_a_device_holds_its_part_of_cnn14_and_adam(model):
    """All 75.5 M parameters and Adam's two moments of them, by shapes alone."""

    def state():
        objective = SimCLR(CNN14(64, rngs=nnx.Rngs(0)), policy(), rngs=nnx.Rngs(0))
        return create(objective, optax.adamw(1e-3))[1]

    arrays = jax.eval_shape(state)
    shardings = meshes.state_shardings(arrays, meshes.data_mesh(8, model))
    held = jax.tree.map(
        lambda x, s: math.prod(s.shard_shape(x.shape)) * x.dtype.itemsize, arrays, shardings
    )
    total = sum(x.size * x.dtype.itemsize for x in jax.tree.leaves(arrays))
    assert total > 3 * 4 * 75e6
    assert sum(jax.tree.leaves(held)) < 1.2 / model * total


def test_devices_and_batch_must_divide():
    with pytest.raises(UserError, match="must divide batch_size 7"):
        meshes.data_mesh(7, 2)
    with pytest.raises(UserError, match=r"mesh\.model 16 must divide them"):
        meshes.data_mesh(16, 16)
    with pytest.raises(UserError, match="at least 1"):
        meshes.MeshSettings(0)


@pytest.mark.slow
def test_a_compiled_step_says_what_it_exchanges():
    """Gradients of all weights are reduced, and split weights are gathered."""
    rows = [scale.measured("configs/simclr.py:smoke", "laptop", 8, 1, n) for n in (1, 4)]
    weights = 4 * 280_032  # of the VGG-like encoder, in float32
    assert all(row["all-reduce"] > weights for row in rows)
    assert rows[1]["all-gather"] > rows[0]["all-gather"] + 0.9 * weights
    assert rows[1]["state"] < 0.5 * rows[0]["state"]
    assert rows[0]["operations"] > 0


def test_bytes_of_collectives_are_read_from_a_program():
    text = (
        "  %a.1 = (f32[2,3]{1,0}, /*index=1*/bf16[4]{0}) all-reduce(%x, %y), to_apply=%sum\n"
        "  %b = f32[8]{0} all-gather(%z), dimensions={0}\n  ROOT %c = f32[9]{0} add(%p, %q)\n"
    )
    assert scale.collectives(text) == {"all-reduce": 32, "all-gather": 32}
