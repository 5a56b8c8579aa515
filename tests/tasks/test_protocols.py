"""Few labels, leaky validation, the practical, verification: each through its config."""

import dataclasses
import json
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import soundfile

from configs import icbhi, transfer, verify
from cryjax.data.batches import sample_patches
from cryjax.encoder import load
from cryjax.evaluate import training
from cryjax.evaluate.outcomes import evaluate
from cryjax.evaluate.protocols import PROTOCOLS
from cryjax.evaluate.protocols.probe import Probe
from cryjax.evaluate.task import open_tasks
from cryjax.objectives.semi import SEMI_SUPERVISED
from cryjax.settings import changed
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
