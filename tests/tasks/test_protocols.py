"""Few labels, the sources' protocols, the practical, verification: each through its config."""

import csv
import dataclasses
import json
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import soundfile

from configs import icbhi, protocol, transfer, verify
from cryjax.data.batches import sample_patches
from cryjax.data.parts import LEAKY_VALIDATION
from cryjax.encoder import load
from cryjax.evaluate import training
from cryjax.evaluate.outcomes import evaluate
from cryjax.evaluate.protocols import PROTOCOLS
from cryjax.evaluate.protocols.probe import Probe
from cryjax.evaluate.task import open_tasks
from cryjax.objectives.semi import SEMI_SUPERVISED
from cryjax.settings import changed, from_dict, merged
from cryjax.tasks import table
from cryjax.tasks import transfer as task
from cryjax.tasks import verify as verify_task
from cryjax.train.log import load_metrics
from data_prep.main import prepare as prepare_corpus

METHODS = (*SEMI_SUPERVISED, "self_training")
AUGMENT = "random_resized_crop,normalise"


def few(smoke, **changes):
    settings = {"label.fraction": 0.5, "modes": ",".join(METHODS), "augment.order": AUGMENT}
    return smoke(transfer, **settings | changes)


def test_hidden_labels_are_gone_and_groups_stay_whole(smoke):
    (opened,) = open_tasks(few(smoke))
    split, corpus = opened.labelled(0), opened.hidden(0)
    hidden = np.setdiff1d(opened.split.train, split.train)
    assert len(hidden)
    assert (corpus.labels[hidden] == -1).all()
    assert (corpus.labels[split.train] >= 0).all()
    assert not set(corpus.groups[hidden]) & set(corpus.groups[split.train])
    np.testing.assert_array_equal(split.test, opened.split.test)
    assert set(opened.labelled(1).train.tolist()) != set(split.train.tolist())


@pytest.mark.slow
def test_every_semi_supervised_mode_runs_and_is_evaluated(smoke, tmp_path):
    encoder = {"encoder.name": "simple_cnn", "encoder.width": 4}
    task.run(few(smoke, **encoder, **{"semi.self_training.rounds": 2}), tmp_path)
    found = json.loads((tmp_path / "metrics.json").read_text())
    assert [row["mode"] for row in found["table"]["recording"]] == list(METHODS)
    assert found["about"]["labels"].startswith("50 % of it by group")
    for mode in METHODS:
        rows = load_metrics(tmp_path / "curves" / f"{mode}-seed0")
        assert any("val_loss" in row for row in rows)
        assert ("unsupervised" in rows[0]) == (mode != "self_training")


@pytest.mark.parametrize("mode", [*METHODS, "linear", "linear_bn", "finetune", "scratch"])
def test_all_seeds_and_folds_share_one_compiled_step(smoke, trained, monkeypatch, mode):
    made, make_step = [], training.make_step
    monkeypatch.setattr(training, "make_step", lambda *a: made.append(mode) or make_step(*a))
    training._step_of.cache_clear()
    order = "mix_back,random_resized_crop,spec_augment,compress,gaussian_noise,normalise"
    settings = few(smoke, checkpoint=str(trained), **{"augment.order": order})
    (opened,) = open_tasks(settings)
    parts = opened.split
    other = dataclasses.replace(parts, train=parts.val, val=parts.train)
    for seed, split in enumerate((parts, other)):
        task = dataclasses.replace(opened, split=split)
        protocol: Any = PROTOCOLS[mode]
        protocol.trainer(task, seed)._start(seed, task.hidden(seed), task.labelled(seed))
    assert made == [mode]
    training._step_of.cache_clear()


def test_a_pi_model_without_anything_random_is_refused(smoke, tmp_path):
    """Two equal looks agree: its loss was 0 and nothing said so."""
    settings = few(smoke, modes="pi_model", **{"augment.order": "normalise"})
    with pytest.raises(ValueError, match="pi_model compares .* nothing is random here"):
        task.run(settings, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("step", ["log_mixup", "k_mix"])
def test_augmentations_with_a_memory_work_on_labels_too(smoke, tmp_path, step):
    settings = smoke(transfer, modes="scratch", **{"augment.order": f"normalise,{step}"})
    (opened,) = open_tasks(settings)
    policy = opened.policy(opened.encoder("random", 0))
    if step == "k_mix":  # fitted on the training part
        assert len(np.unique(np.asarray(policy.step("k_mix").centroids), axis=0)) > 1
    task.run(settings, tmp_path)
    (row,) = json.loads((tmp_path / "metrics.json").read_text())["table"]["recording"]
    assert (row["mode"], row["diverged"]) == ("scratch", 0)


def test_validation_by_clip_says_leaky_and_chooses_nothing(smoke, tmp_path):
    changes = {"data.val": "", "data.val_by": "clip", "modes": "majority,random_knn"}
    task.run(smoke(transfer, **changes), tmp_path)
    found = json.loads((tmp_path / "metrics.json").read_text())
    assert "LEAKY" in found["about"]["split rule"]
    assert "Operating points" not in found["more"]
    assert "LEAKY: " in (tmp_path / "report.html").read_text()
    with pytest.raises(ValueError, match="groups are in train and test"):
        task.run(smoke(transfer, **changes | {"data.test": "train"}), tmp_path / "x")


def test_leaky_validation_of_folds_says_so_and_chooses_nothing(smoke, tmp_path):
    """With folds the word was lost, and thresholds were chosen on clips that were trained on."""
    changes = {"data.val_by": "train", "data.folds": "train,test", "modes": "random_linear"}
    task.run(smoke(transfer, **changes, **{"label.fraction": 0.5}, seeds=1), tmp_path)
    found = json.loads((tmp_path / "metrics.json").read_text())
    assert "LEAKY" in found["about"]["split rule"]
    assert "Operating points" not in found["more"]
    sizes = [len(t.split.test) for t in open_tasks(smoke(transfer, **changes))]
    assert sizes[0] != sizes[1]  # those of the last fold were taken for both
    assert found["about"]["clips"]["test"] == f"{min(sizes)} to {max(sizes)}"
    assert found["about"]["folds"].startswith("2; ")
    with pytest.raises(ValueError, match="data.val names one, val: set --config.data.val= to"):
        smoke(transfer, **{"data.val_by": "clip"})


@pytest.mark.parametrize("mode", ["random_linear", "random_logistic"])
def test_a_metric_that_validation_does_not_have_selects_nothing(smoke, tmp_path, mode):
    """AUC of one class is NaN: healthy runs were called diverged, or the first strength taken."""
    settings = smoke(transfer, modes=mode, seeds=1)
    (part,) = open_tasks(settings)
    labels = part.corpus.labels.copy()
    labels[part.split.val] = 0
    one = dataclasses.replace(part, corpus=dataclasses.replace(part.corpus, labels=labels))
    probe = {"probe.linear.select": "auc", "logistic.select": "auc"}
    chosen = smoke(transfer, modes=mode, seeds=1, **probe)
    with pytest.raises(ValueError, match="val holds one class, and .*select=auc is not defined"):
        evaluate(dataclasses.replace(one, settings=chosen), [mode], [0], tmp_path)


def test_the_practical_validates_each_epoch_by_patient(smoke, tmp_path):
    training = {"probe.scratch.batch_size": 8, "probe.scratch.epochs": 2.0}
    encoder = {"encoder.name": "simple_cnn", "encoder.width": 2}
    task.run(smoke(icbhi, **{"data.val_share": 0.2}, **training, **encoder), tmp_path)
    found = json.loads((tmp_path / "metrics.json").read_text())
    rows = load_metrics(tmp_path / "curves" / "scratch-seed0")
    validated = [row for row in rows if "val_loss" in row]
    steps = found["about"]["clips"]["train"] // 8
    assert [row["step"] for row in validated] == [steps, 2 * steps]
    best = load(tmp_path / "best" / "scratch-seed0")
    assert best.meta.trained_by == "scratch"
    assert best.meta.step in (steps, 2 * steps)
    assert best.features == 16
    with np.load(tmp_path / "best" / "scratch-seed0" / "classifier.npz") as head:
        assert head["kernel"].shape == (16, 2)
    checkpoint = str(tmp_path / "best" / "scratch-seed0")
    again = smoke(transfer, checkpoint=checkpoint, modes="knn", **{"data.frames": None})
    task.run(again, tmp_path / "again")
    said = json.loads((tmp_path / "again" / "metrics.json").read_text())["about"]["windows"]
    assert said.startswith("64 frames")  # the checkpoint's own
    assert [r["class"] for r in found["more"]["Per class"]] == [
        "noise",
        "tone",
        "macro avg",
        "weighted avg",
    ]


def small(prepared):
    """The smoke variant of the protocols on the small corpus, with its base's settings."""
    config = protocol.get_config("smoke").to_dict()
    base = {"data": {"dirs": str(prepared)}, "encoder": {"name": "vgg", "width": 4}}
    return config | {"base": merged(config["base"], base), "only": ""}


def table_of(config):
    return from_dict(table.TableSettings, config)


def test_a_protocols_table_keeps_the_sources_figures_apart(prepared, tmp_path):
    config = small(prepared)
    config["published"] = {"SC-V1: SLICER": {"random_linear": 94.8}}
    config["base"]["modes"], config["modes"] = "majority,random_linear", "random_linear,majority"
    other = f"{prepared}:val=:val_share=0.3"
    table.run(table_of(config | {"tasks": [str(prepared), other], "rows": {}}), tmp_path)
    lines = (tmp_path / "results.md").read_text().splitlines()
    head, ours, others, theirs = (lines[i] for i in (4, 6, 7, 8))
    assert head == "| row | random_linear | majority | random_linear: as published (other data) |"
    assert ours.startswith("| prepared | ")
    assert ours.endswith("|  |")
    assert others.startswith("| prepared:val=:val_share=0.3 | ")  # one of the two was lost
    assert theirs == "| SC-V1: SLICER |  |  | 94.8 |"
    with (tmp_path / "results.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert rows[2]["random_linear_published"] == "94.8"
    assert rows[2]["random_linear_mean"] == ""
    page = (tmp_path / "report.html").read_text()
    assert "<td>SC-V1: SLICER</td><td></td><td></td><td>94.8</td>" in page


def test_a_row_that_lacks_a_column_is_blank_there(prepared, tmp_path):
    config = small(prepared) | {"modes": "majority,random_knn", "metric": "accuracy"}
    config["rows"] = {"a": {"modes": "majority,random_knn"}, "b": {"modes": "majority"}}
    table.run(table_of(config), tmp_path)
    rows = {
        line.split(" | ")[0]: line for line in (tmp_path / "results.md").read_text().split("\n")
    }
    assert rows["| a"].count("[") == 2
    assert rows["| b"].endswith(" |  |")
    config["rows"]["b"] = {"modes": "random_linear"}
    with pytest.raises(ValueError, match="row b evaluates random_linear .* nothing of it would"):
        table.run(table_of(config), tmp_path / "other")
    config["rows"] = {"a": {"modes": "majority"}}
    with pytest.raises(ValueError, match="config.metric must be one of accuracy, .* got 'acc'"):
        table.run(table_of(config | {"metric": "acc"}), tmp_path / "typo")


@pytest.mark.parametrize("name", [v for v in protocol.VARIANTS if v != "ubenwa_fractions"])
def test_every_protocol_names_settings_that_exist(name):
    """Each row is structured as the task would do it, which refuses what does not exist."""
    settings = table_of(protocol.get_config(name).to_dict())
    kind, _ = table.BASES[settings.base["task"]]
    rows = {
        row: from_dict(kind, merged(settings.base, changes))
        for row, changes in settings.rows.items()
    }
    assert all(set(row) <= set(settings.modes) for row in settings.published.values())
    assert all(row.isidentifier() for row in rows)  # each can be overridden on the command line
    for row in rows.values():
        evaluation = getattr(row, "transfer", row)
        assert {"majority", "mel_statistics"} < set(evaluation.modes)
        assert any(mode.startswith("random_") for mode in evaluation.modes)
        seeds = {"ubenwa": 10, "ubenwa_adaptation": 10, "lape_released": 1}.get(name, 3)
        assert evaluation.seeds == seeds


def settings_of(name, row):
    settings = table_of(protocol.get_config(name).to_dict())
    kind, _ = table.BASES[settings.base["task"]]
    return from_dict(kind, merged(settings.base, settings.rows[row]))


def test_uclsers_protocol_is_that_of_the_source():
    clean = settings_of("uclser", "small_clean")
    assert clean.probe.finetune.resolved(1535).steps == 200 * (1535 // 128)
    assert clean.probe.finetune.resolved(1535).steps == 2200
    noisy = settings_of("uclser", "larger_noisy")
    assert noisy.probe.linear.resolved(15_813).steps == 200 * (15_813 // 128)
    assert (noisy.probe.linear.batch_size, noisy.probe.linear.optim.learning_rate) == (128, 0.1)
    assert noisy.probe.finetune.optim.learning_rate == 0.01
    knn = settings_of("uclser", "clean_set_knn")
    assert (knn.knn.k, knn.knn.features, knn.data.test) == (200, "z", ("val",))
    assert not knn.knn.released_lookup
    released = settings_of("uclser_released", "small_clean")
    assert released.knn.released_lookup
    assert released.probe.linear.train_mode
    assert not released.data.val
    assert "LEAKY" in LEAKY_VALIDATION[released.data.val_by]


def test_lapes_protocol_stops_early_and_its_release_selects_on_test():
    us8k = settings_of("lape", "us8k")
    assert (us8k.data.train[0], us8k.data.train[-1], us8k.data.test) == (
        "fold1",
        "fold9",
        ("fold10",),
    )
    assert (us8k.probe.linear.select_on, us8k.probe.linear.patience) == ("val", 10)
    assert us8k.pool == "mean"
    released = settings_of("lape_released", "us8k").probe.linear
    assert (released.epochs, released.select_on, released.patience) == (100, "test", None)
    assert settings_of("lape", "ic").data.folds == ("*",)
    assert settings_of("lape", "tut").data.val == ()


def test_ubenwas_adaptation_has_four_arms_of_which_one_replays():
    rows = {
        name: settings_of("ubenwa_adaptation", name).pretrain
        for name in protocol._ubenwa_adaptation().rows
    }
    assert list(rows) == ["none", "cry", "cry_extra", "cry_extra_replay"]
    assert [row.steps > 0 for row in rows.values()] == [False, True, True, True]
    assert [bool(row.data.extra_dirs) for row in rows.values()] == [False, False, True, True]
    assert [bool(row.data.replay_dirs) for row in rows.values()] == [False, False, False, True]
    assert [row.data.replay_fraction > 0 for row in rows.values()] == [False] * 3 + [True]


def test_ubenwas_modes_are_four_on_the_checkpoints_own_crops():
    settings = settings_of("ubenwa", "injury")
    assert set(settings.modes) >= {"linear", "linear_bn", "finetune", "scratch"}
    assert settings.data.frames is None
    for mode in ("linear", "linear_bn", "finetune"):
        assert getattr(settings.probe, mode).select == "auc"


def test_checkpoints_multiply_the_rows():
    settings = table_of(protocol.get_config("uclser").to_dict() | {"checkpoints": "a=x,b=y"})
    rows = table.rows_of(settings)
    assert list(rows)[:3] == ["clean_set_knn · a", "clean_set_knn · b", "larger_noisy · a"]
    assert rows["small_clean · b"]["checkpoint"] == "y"
    with pytest.raises(ValueError, match=r"name=workdir,..., got \['x'\]"):
        table.rows_of(changed(settings, {"checkpoints": "x"}))


@pytest.fixture(scope="module")
def babies(tmp_path_factory):
    """Six babies with a pitch each, two pieces at birth and two at discharge."""
    root, rows = tmp_path_factory.mktemp("babies"), ["path,group,period,split"]
    rng = np.random.default_rng(0)
    for baby in range(6):
        for piece in range(4):
            t = np.arange(8000) / 8000
            wave = 0.4 * np.sin(2 * np.pi * 300 * 1.4**baby * t) + 0.01 * rng.normal(size=8000)
            soundfile.write(root / f"{baby}_{piece}.wav", wave, 8000)
            rows.append(f"{baby}_{piece}.wav,spk{baby},{'BD'[piece % 2]},test")
    (root / "clips.csv").write_text("\n".join(rows) + "\n")
    out = root / "prepared"
    prepare_corpus("csv", str(root / "clips.csv"), str(out), workers=0)
    return out


def test_verification_tells_babies_apart(smoke, babies, tmp_path):
    names = [f"spk{i}" for i in range(6)]
    lines = [f"{a},{b},{int(a == b)}" for a in names for b in [*names, "nobody"]]
    (tmp_path / "pairs.csv").write_text("\n".join(["baby_id_B,baby_id_D,label", *lines]) + "\n")
    data = {"data.dirs": str(babies), "data.frames": 48, "splits": "test"}
    settings = smoke(verify, pairs=str(tmp_path / "pairs.csv"), **data)
    verify_task.run(settings, tmp_path / "run")
    found = json.loads((tmp_path / "run" / "metrics.json").read_text())
    assert (found["pairs"], found["left_out"], found["groups_seen_in_training"]) == (36, 6, 0)
    assert found["equal_error_rate"] < 0.2  # every baby has a pitch of its own
    assert found["interval"][0] <= found["equal_error_rate"] <= found["interval"][1]
    (tmp_path / "bad.csv").write_text("a,b\n1,2\n")
    with pytest.raises(ValueError, match="expected columns baby_id_B, baby_id_D, label"):
        verify_task.run(changed(settings, {"pairs": str(tmp_path / "bad.csv")}), tmp_path / "bad")
    (tmp_path / "others.csv").write_text("baby_id_B,baby_id_D,label\nx,y,1\n")
    others = changed(settings, {"pairs": str(tmp_path / "others.csv")})
    with pytest.raises(ValueError, match="no pair has both of its recordings"):
        verify_task.run(others, tmp_path / "others")


@pytest.mark.slow
def test_a_random_encoder_starts_at_the_loss_of_guessing(smoke):
    """Its head was scaled by statistics that training replaces: losses began at 18,000."""
    mode = "random_linear_bn"
    (opened,) = open_tasks(smoke(transfer, modes=mode, **{"encoder.width": 16}))
    protocol = PROTOCOLS[mode]
    assert isinstance(protocol, Probe)
    training = protocol._make_trainer(opened, protocol.training(opened).resolved(20))
    objective = training._build(0, [1.0] * len(opened.corpus.classes))
    frames = opened.windows.frames
    mel = sample_patches(opened.corpus, opened.split.train, frames=frames, seed=1)[:64, None]
    labels = jnp.zeros(len(mel), jnp.int32)
    loss, _ = objective.loss({"mel": jnp.asarray(mel), "label": labels}, jax.random.key(0))
    assert float(loss) < 3 * np.log(len(opened.corpus.classes))
