"""Every objective through the one loop: devices, resumption, what no optimiser may touch."""

import dataclasses
import pathlib

import jax
import numpy as np
import pytest
from flax import nnx

from configs import (
    adapt,
    byola,
    cola,
    delores_m,
    delores_s,
    knn,
    simclr,
    slicer,
    supervised,
)
from cryjax.data.batches import Sampling, make_batches
from cryjax.data.pool import open_pool, open_training_data
from cryjax.encoder import load
from cryjax.models import EncoderSettings
from cryjax.objectives.supervised import SupervisedSettings
from cryjax.pretraining import build, resolve, sampling_of
from cryjax.settings import to_dict
from cryjax.tasks import pretrain as pretrain_task
from cryjax.tasks import transfer as transfer_task
from cryjax.train import mesh as meshes
from cryjax.train.checkpoint import load_meta
from cryjax.train.log import load_metrics
from cryjax.train.optim import build_optimiser
from cryjax.train.state import create, make_step

UBENWA = {
    "augment.order": "time_warp,spec_augment,normalise",
    "augment.normalise.by": "patch_mean",
    "augment.spec_augment.fill": "zero",
    "augment.time_warp.window": 4,
    "objective.predictor": 8,
    "objective.projector.last_norm": True,
    "objective.temperature": 0.5,
}
RELEASED = {
    "objective.queue_update": "sequential",
    "objective.entropy_weight": 0.0,
    "augment.order": "normalise,log_mixup,byola_resize_crop,k_mix",
    "augment.normalise.by": "running_released",
    "augment.log_mixup.size": 16,
}
METHODS = {
    "simclr": (simclr, {}),
    "simclr_ubenwa": (simclr, UBENWA),
    "slicer": (slicer, {}),
    "slicer_released": (slicer, RELEASED),
    "byola": (byola, {"augment.normalise.by": "running"}),
    "cola": (cola, {}),
    "cola_cosine": (cola, {"objective.similarity": "cosine"}),
    "delores_s": (delores_s, {}),
    "delores_m": (delores_m, {}),
    "supervised": (supervised, {"objective.head": "cosine", "objective.mixup": 0.4}),
}
WITH_MEMORY = ("slicer_released", "byola", "delores_m")  # teacher, queue, banks, running norm
ALIKE = {"cola_cosine", "simclr_ubenwa", "slicer_released", "supervised"}  # no other batch sums
FAST = {"steps": 4, "save_every": 2, "knn.every": None, "log.every": 1}


def config_of(smoke, name, **changes):
    module, own = METHODS[name]
    settings = smoke(module, **FAST, **own, **changes)
    if module in (slicer, byola, delores_s, delores_m):  # the fixture puts a small vgg everywhere
        encoder = EncoderSettings("audio_ntt", width=16)
        settings = dataclasses.replace(settings, encoder=encoder)
    return settings


def losses_on(settings, n_devices, steps=3):
    settings, start = resolve(settings)
    corpus = open_training_data(settings.data)
    labelled = isinstance(settings.objective, SupervisedSettings)
    pool = open_pool(corpus, settings.data, labelled=labelled)
    objective = build(settings, corpus, pool, start)
    tx = build_optimiser(settings.optim, 10)
    graphdef, state = create(objective, tx)
    kept = {jax.tree_util.keystr(k) for k, _ in jax.tree_util.tree_leaves_with_path(state.params)}
    assert not any(word in k for k in kept for word in ("teacher", "queue", "banks", "normaliser"))
    mesh = meshes.data_mesh(n_devices, devices=jax.devices()[:n_devices])
    state, step = meshes.replicate(state, mesh), make_step(graphdef, tx)
    sampling = sampling_of(settings, corpus, pool, objective)
    batches = make_batches(corpus, pool, sampling, batch_size=8, seed=0)
    rows = []
    for _ in range(steps):
        state, metrics = step(state, meshes.shard_batch(next(batches), mesh), jax.random.key(0))
        rows.append(jax.device_get(metrics))
    assert step._cache_size() == 1  # pyright: ignore[reportFunctionMemberAccess]
    return rows


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(METHODS.keys() - ALIKE))
def test_losses_are_the_same_on_one_and_eight_devices(smoke, name):
    # eight clips are chaotic at a higher rate; test_step.py has updates
    settings = config_of(smoke, name, **{"optim.learning_rate": 1e-6})
    one, eight = (losses_on(settings, n) for n in (1, 8))
    assert np.isfinite([row["loss"] for row in one]).all()
    assert one[0]["loss"] != one[2]["loss"]
    np.testing.assert_allclose(one[0]["grad_norm"], eight[0]["grad_norm"], rtol=1e-3)
    for a, b in zip(one, eight, strict=True):
        assert a.keys() == b.keys()
        np.testing.assert_allclose(a["loss"], b["loss"], rtol=1e-5)
    assert {"feature_std", "effective_rank", "alignment", "uniformity"} <= one[0].keys()
    if "slicer" in name:
        assert {"instance_loss", "cluster_loss"} <= one[0].keys()
    if name == "delores_m":
        assert {"instance_loss", "layer1_loss", "layer3_loss"} <= one[0].keys()


def whole_state(workdir, step):
    """Every array of a checkpoint, queues and banks included."""
    import orbax.checkpoint as ocp

    with ocp.StandardCheckpointer() as reader:
        parts = [
            reader.restore((pathlib.Path(workdir) / "checkpoints" / str(step) / part).absolute())
            for part in ("model", "training")
        ]
    return jax.tree_util.tree_leaves_with_path(parts)


@pytest.mark.slow
@pytest.mark.parametrize("name", WITH_MEMORY)  # test_tasks.py has SimCLR
def test_a_stopped_run_continues_bit_for_bit(smoke, name, tmp_path, interrupted):
    config = config_of(smoke, name)
    pretrain_task.run(config, tmp_path / "straight")
    interrupted(config, tmp_path / "stopped")
    pretrain_task.run(config, tmp_path / "stopped")
    a, b = (whole_state(tmp_path / d, 4) for d in ("straight", "stopped"))
    assert len(a) == len(b)
    for (path, x), (_, y) in zip(a, b, strict=True):
        np.testing.assert_array_equal(x, y, err_msg=jax.tree_util.keystr(path))


@pytest.mark.slow
def test_an_encoder_of_any_method_is_evaluated(smoke, tmp_path):
    config = config_of(smoke, "byola")
    pretrain_task.run(config, tmp_path / "byola")
    evaluation = smoke(knn, checkpoint=str(tmp_path / "byola"), modes="majority,knn")
    transfer_task.run(evaluation, tmp_path / "evaluated")
    assert (tmp_path / "evaluated" / "report.html").exists()
    assert load_meta(tmp_path / "byola").normalise == "running"
    assert load(tmp_path / "byola").projector.settings == config.objective.projector


@pytest.fixture(scope="module")
def generic(smoke, tmp_path_factory):
    workdir = tmp_path_factory.mktemp("generic")
    pretrain_task.run(smoke(simclr, **FAST), workdir)
    return workdir


def parameters(workdir):
    encoder = load(workdir)
    modules = (encoder.module, encoder.projector)
    return jax.tree.leaves([nnx.state(module, nnx.Param) for module in modules])


@pytest.mark.slow
def test_adaptation_starts_from_a_checkpoint_and_logs_both_losses(
    smoke, generic, tmp_path, prepared
):
    config = smoke(
        adapt,
        **FAST,
        init=str(generic),
        **{
            "data.replay_dirs": str(prepared),
            "data.on_protected": "drop",
            "data.replay_fraction": 0.25,
            "optim.learning_rate": 0.0,
        },
    )
    pretrain_task.run(config, tmp_path)
    rows = load_metrics(tmp_path)
    assert all({"loss_own", "loss_replay"} <= row.keys() for row in rows)
    mixed = [0.75 * row["loss_own"] + 0.25 * row["loss_replay"] for row in rows]
    np.testing.assert_allclose(mixed, [row["loss"] for row in rows], rtol=1e-5)
    for a, b in zip(
        parameters(generic), parameters(tmp_path), strict=True
    ):  # a rate of 0 changes nothing
        np.testing.assert_array_equal(a, b)
    assert load_meta(tmp_path).statistics == load_meta(generic).statistics


def test_adaptation_refuses_groups_that_validate_or_test(smoke, generic, tmp_path, prepared):
    replay = {"data.replay_dirs": str(prepared), "data.replay_fraction": 0.25}
    with pytest.raises(ValueError, match="clips of .* groups that validate or test"):
        pretrain_task.run(smoke(adapt, init=str(generic), **replay), tmp_path)
    own = smoke(adapt, **{"data.splits": "*"}).data
    with pytest.raises(ValueError, match="set data.on_protected=drop"):
        open_pool(open_training_data(own), own)


@pytest.mark.slow
def test_adaptation_takes_encoder_normaliser_and_length_from_the_checkpoint(
    smoke, generic, tmp_path
):
    """Ubenwa's encoders normalise by the patch's mean; adaptation went on with the dataset's."""
    ubenwa = smoke(simclr, **FAST, **{"augment.normalise.by": "patch_mean", "data.frames": 40})
    pretrain_task.run(ubenwa, tmp_path / "ubenwa")
    left_open = {"encoder": to_dict(EncoderSettings()), "data.frames": None}
    adapted, start = resolve(smoke(adapt, init=str(tmp_path / "ubenwa"), **left_open))
    assert start is not None
    assert adapted.encoder == start.meta.encoder
    assert (adapted.augment.normalise.by, adapted.data.frames) == ("patch_mean", 40)
    for changes, named in (
        ({"encoder.width": 8}, "config.encoder.width: 4 there, 8 here"),
        ({"augment.normalise.by": "patch_mean"}, "normalise.by: 'dataset' there, 'patch_mean'"),
    ):
        other = smoke(adapt, init=str(generic), **changes)
        with pytest.raises(ValueError, match=named):
            resolve(other)
        resolve(dataclasses.replace(other, on_mismatch="allow"))
    # its arrays went into a run whose checkpoints nothing could load
    wider = smoke(adapt, init=str(generic), **{"encoder.width": 8, "on_mismatch": "allow"})
    with pytest.raises(
        ValueError, match=r"arrays are not .*: \(3, 3, 1, 4\) there, \(3, 3, 1, 8\) here"
    ):
        pretrain_task.run(wider, tmp_path / "wider")
    assert not (tmp_path / "wider").exists()


def test_the_arm_without_replay_opens_no_replay_pool_and_hears_none(smoke, generic, tmp_path):
    settings = smoke(adapt, init=str(generic), **{"data.replay_dirs": str(tmp_path / "nowhere")})
    assert smoke(adapt, init=str(generic)).data.replay_dirs == ()
    corpus = open_training_data(settings.data)
    pool = open_pool(corpus, settings.data)
    objective = build(*(resolve(settings)[0], corpus, pool), resolve(settings)[1])
    sampling = sampling_of(settings, corpus, pool, objective)
    assert (len(pool.replay), sampling.backgrounds) == (0, "own")


def test_replayed_rows_are_an_exact_share_drawn_independently(smoke, prepared):
    replay = {"data.replay_dirs": str(prepared), "data.replay_fraction": 0.375}
    data = smoke(adapt, **replay, **{"data.on_protected": "drop"}).data
    corpus = open_training_data(data)
    pool = open_pool(corpus, data)
    assert len(corpus.classes) == 4
    sampling = Sampling(32, views=2, replay=3)
    whole = make_batches(corpus, pool, sampling, batch_size=8, seed=0)
    parts = [
        make_batches(corpus, pool, sampling, batch_size=8, seed=0, process=(i, 2)) for i in (0, 1)
    ]
    for _ in range(3):
        batch, halves = next(whole), [next(p) for p in parts]
        np.testing.assert_array_equal(batch["replayed"], [False] * 5 + [True] * 3)
        assert np.isin(batch["index"][:5], pool.own).all()
        assert np.isin(batch["index"][5:], pool.replay).all()
        for name in batch:
            np.testing.assert_array_equal(
                batch[name], np.concatenate([half[name] for half in halves])
            )
    with pytest.raises(ValueError, match="8 of 8 rows cannot come from a replay pool"):
        make_batches(corpus, pool, Sampling(32, replay=8), batch_size=8, seed=0)
