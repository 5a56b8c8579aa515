"""Evaluations of a trained encoder: embeddings, windows, refusals, outcomes, the report."""

import csv
import dataclasses
import json
import shutil
from typing import Any

import numpy as np
import pytest

from configs import knn, simclr, transfer
from cryjax.data.corpus import open_corpus
from cryjax.encoder import load
from cryjax.evaluate.embeddings import embedded_corpus
from cryjax.evaluate.outcomes import outcome_key
from cryjax.evaluate.protocols import PROTOCOLS
from cryjax.evaluate.report.publish import facts_of
from cryjax.evaluate.task import open_tasks
from cryjax.evaluate.trained import trained_meta
from cryjax.tasks import pretrain as pretrain_task
from cryjax.tasks import transfer as transfer_task
from cryjax.train.checkpoint import load_meta, save_model
from cryjax.train.log import load_metrics


def test_a_probe_reads_embeddings_made_once_unless_it_augments(evaluated, smoke, trained):
    _, settings = evaluated
    (task,) = open_tasks(settings)
    made, rows = task.embeddings(task.encoder("pretrained", 0)), task.split.rows
    kept, owner = embedded_corpus(task.corpus, rows, made), made.window_to_clip
    own = np.concatenate([np.arange(n) for n in np.bincount(owner)])
    np.testing.assert_array_equal(kept.frames.gather(rows[owner], own, 1)[:, 0], made.h)
    assert task.embeddings(task.encoder("pretrained", 1)) is made  # one encoder, one pass
    assert task.embeddings(task.encoder("random", 1)) is not made
    order = {"augment.order": "gaussian_noise,normalise"}
    (noisy,) = open_tasks(smoke(transfer, checkpoint=str(trained), **order))
    for opened, frames in ((task, 1), (noisy, settings.data.frames)):
        linear: Any = PROTOCOLS["linear"]
        assert linear.trainer(opened, 0).windows.frames == frames


def test_a_checkpoint_that_the_tested_groups_selected_is_called_leaky(smoke, trained):
    """Only what was trained on was counted, and not whose score chose the step."""
    swapped = {"data.val": "test", "data.test": "val"}
    for changes in ({}, swapped):
        (task,) = open_tasks(smoke(transfer, checkpoint=str(trained), **changes))
        said = facts_of([task], ["knn"], 0)["selection"]
        n = len(set(task.corpus.groups[task.split.test]))
        if changes:
            assert said == f"the checkpoint's step by {n} of {n} test groups (LEAKY)"
        else:
            assert said == "nothing is selected"
    made = trained_meta("linear", task, 1)
    assert set(made.selection_groups) > set(load_meta(trained).selection_groups)


def test_an_evaluation_writes_table_predictions_and_a_report(evaluated):
    workdir, _ = evaluated
    metrics = json.loads((workdir / "metrics.json").read_text())
    rows = {row["mode"]: row for row in metrics["table"]["recording"]}
    modes = "majority mel_statistics knn random_knn linear linear_bn finetune"
    assert list(rows) == modes.split()
    assert rows["majority"]["balanced_accuracy"]["mean"] == 0.5
    assert (rows["linear"]["seeds"], rows["knn"]["seeds"]) == (2, 1)
    assert metrics["about"]["test groups seen (unlabelled) in pre-training"].startswith("0 of")
    with (workdir / "predictions.csv").open() as file:
        predictions = list(csv.DictReader(file))
    n = metrics["about"]["clips"]["test"]
    assert len(predictions) == n * (3 + 2 * 4)
    assert all(abs(float(p["p_noise"]) + float(p["p_tone"]) - 1) < 1e-5 for p in predictions)
    page = (workdir / "report.html").read_text()
    assert page.count("data:image/png;base64,") == 6
    assert "http://" not in page
    assert "https://" not in page


def test_what_was_learnt_of_the_training_recordings_is_said(evaluated):
    """Fine-tuning once stood above a training from scratch that had learnt 41 % of its own."""
    workdir, _ = evaluated
    said = json.loads((workdir / "metrics.json").read_text())["about"][
        "accuracy of the last updates"
    ]
    for mode in ("linear", "linear_bn", "finetune"):
        logs = [load_metrics(workdir / "curves" / f"{mode}-seed{seed}") for seed in (0, 1)]
        last = [[row["accuracy"] for row in rows if "accuracy" in row][-1] for rows in logs]
        assert f"{mode} {100 * np.mean(last):.1f}" in said
    assert "knn" not in said
    assert f"accuracy of the last updates: {said}" in (workdir / "results.md").read_text()


def test_a_finished_mode_is_not_run_again(evaluated, monkeypatch):
    workdir, settings = evaluated
    before = (workdir / "results.md").read_text()
    for protocol in {type(p) for p in PROTOCOLS.values()}:
        monkeypatch.setattr(protocol, "run", lambda *_: pytest.fail("ran again"))
    transfer_task.run(settings, workdir)
    assert (workdir / "results.md").read_text() == before


@pytest.mark.slow
def test_another_checkpoint_at_the_same_path_is_evaluated_anew(smoke, trained, tmp_path):
    """Outcomes were reused by file name: the old numbers came back."""
    path = tmp_path / "checkpoint"
    shutil.copytree(trained, path)
    settings = smoke(transfer, checkpoint=str(path), modes="knn,linear_bn", save_best=True)
    transfer_task.run(settings, tmp_path / "run")
    old = (tmp_path / "run" / "predictions.csv").read_text()
    first = load(tmp_path / "run" / "best" / "linear_bn-seed0")
    shutil.rmtree(path)
    pretrain_task.run(smoke(simclr, seed=7), path)
    transfer_task.run(settings, tmp_path / "run")
    assert (tmp_path / "run" / "predictions.csv").read_text() != old
    second = load(tmp_path / "run" / "best" / "linear_bn-seed0")
    assert second.meta.started_from == load(path).fingerprint != first.meta.started_from
    shutil.rmtree(path)
    shutil.copytree(trained, path)
    transfer_task.run(settings, tmp_path / "run")
    assert (tmp_path / "run" / "predictions.csv").read_text() == old
    again = load(tmp_path / "run" / "best" / "linear_bn-seed0")
    assert again.meta.started_from == first.meta.started_from


def test_the_pool_is_part_of_the_encoder(smoke, tmp_path):
    """`pool` was no part of the cache's key: every choice gave the same table."""
    settings = {"encoder.name": "audio_ntt", "encoder.width": 16}
    (task,) = open_tasks(smoke(transfer, **settings))
    fresh = task.encoder("random", 5)
    save_model(tmp_path / "ntt", {"encoder": fresh.module}, fresh.meta)
    means = {}
    for pool in (None, "mean", "max_mean"):
        (task,) = open_tasks(smoke(transfer, checkpoint=str(tmp_path / "ntt"), pool=pool))
        for weights in ("pretrained", "random"):
            opened = task.encoder(weights, 0)
            means[pool, weights] = task.embeddings(opened).h
            assert opened.meta.encoder.pool == pool
        assert trained_meta("finetune", task, 1).encoder.pool == pool
        keys = {m: outcome_key(m, task, 0) for m in ("knn", "random_knn", "scratch", "finetune")}
        means[pool, "keys"] = keys
    for weights in ("pretrained", "random"):
        np.testing.assert_array_equal(means[None, weights], means["max_mean", weights])
        assert np.abs(means["mean", weights] - means["max_mean", weights]).max() > 1e-3
    assert all(means["mean", "keys"][m] != key for m, key in means["max_mean", "keys"].items())
    typo = smoke(transfer, checkpoint=str(tmp_path / "ntt"), pool="meen")
    with pytest.raises(ValueError, match="must be one of max_mean, mean, got 'meen'"):
        next(open_tasks(typo))


def test_windows_are_the_checkpoints_unless_asked_otherwise(smoke, trained, tmp_path):
    checkpoint = str(trained)
    (own,) = open_tasks(smoke(transfer, checkpoint=checkpoint, **{"data.frames": None}))
    assert own.windows == load(trained).windows
    (asked,) = open_tasks(smoke(transfer, checkpoint=checkpoint, **{"data.frames": 30}))
    assert (asked.windows.frames, asked.windows.hop_frames) == (30, 15)
    other = smoke(transfer, checkpoint=checkpoint, **{"augment.normalise.by": "patch_mean"})
    with pytest.raises(ValueError, match="'patch_mean' and the checkpoint was trained with"):
        next(open_tasks(other))


@pytest.mark.slow
def test_whole_recordings_are_an_option_of_every_protocol(smoke, trained, tmp_path):
    modes = "majority,mel_statistics,knn,knn_within,logistic,linear,linear_bn"
    settings = smoke(transfer, checkpoint=str(trained), modes=modes, **{"data.whole": True})
    transfer_task.run(settings, tmp_path)
    found = json.loads((tmp_path / "metrics.json").read_text())
    assert found["about"]["windows"] == "none: recordings in one piece"
    (task,) = open_tasks(settings)
    made = task.embeddings(task.encoder("pretrained", 0))
    assert len(made.h) == len(task.split.rows)


def test_one_diverged_evaluation_does_not_end_the_others(smoke, trained, tmp_path, monkeypatch):
    rate = {"probe.finetune.optim.learning_rate": 1e30, "probe.finetune.optim.name": "sgd"}
    rate |= {"probe.finetune.steps": 30}  # it was raised after ten updates without numbers
    modes = "majority,finetune,knn"
    settings = smoke(transfer, checkpoint=str(trained), modes=modes, save_best=True, **rate)
    transfer_task.run(settings, tmp_path)
    found = json.loads((tmp_path / "metrics.json").read_text())
    rows = {row["mode"]: row for row in found["table"]["recording"]}
    assert (rows["finetune"]["diverged"], rows["finetune"]["runs"]) == (1, 1)
    assert np.isnan(rows["finetune"]["auc"]["mean"])
    assert rows["knn"]["auc"]["mean"] > 0
    assert "finetune (1 of 1 runs diverged)" in (tmp_path / "results.md").read_text()
    assert not (tmp_path / "best" / "finetune-seed0").exists()
    monkeypatch.setattr(PROTOCOLS["finetune"].__class__, "run", None)  # it is not trained again
    transfer_task.run(settings, tmp_path)


def test_a_protocol_is_one_file_and_one_table_line(smoke, tmp_path, monkeypatch):
    """What the README's three steps say, with a protocol that always names the last class."""
    from cryjax.evaluate.protocols.base import EvaluationProtocol, Predictions

    @dataclasses.dataclass(frozen=True)
    class LastClass(EvaluationProtocol):
        def settings(self, task):
            return {}

        def run(self, task, seed, log=None):
            scores = np.eye(len(task.corpus.classes))[-1]
            n = {part: len(rows) for part, rows in task.split.parts().items()}
            val, test = (task.scored(p, np.tile(scores, (n[p], 1))) for p in ("val", "test"))
            return Predictions(val, test)

    named = LastClass("the last class", weights="none", deterministic=True)
    monkeypatch.setitem(PROTOCOLS, "last_class", named)
    transfer_task.run(smoke(transfer, modes="majority,last_class"), tmp_path)
    with (tmp_path / "predictions.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row["mode"] == "last_class"]
    assert {row["predicted"] for row in rows} == {"tone"}


@pytest.mark.parametrize("mode", ["knn", "logistic"])
def test_recordings_without_finite_embeddings_are_refused_before_anything_is_written(
    smoke, trained, prepared, tmp_path, mode
):
    """A broken disk under the frame cache; kNN once said 'class a with probability 1'."""
    shutil.copytree(prepared, tmp_path / "corpus", ignore=shutil.ignore_patterns("cache"))
    lengths = open_corpus([str(tmp_path / "corpus")]).lengths
    (cache,) = (tmp_path / "corpus").glob("cache/*/frames.npy")
    frames = np.lib.format.open_memmap(cache, "r+")
    frames[-int(lengths[-1]) :] = np.nan
    frames.flush()
    settings = smoke(transfer, checkpoint=str(trained), modes=mode)
    data = dataclasses.replace(settings.data, dirs=(str(tmp_path / "corpus"),))
    with pytest.raises(ValueError, match=r"the embeddings of 1 of \d+ recordings are not finite"):
        transfer_task.run(dataclasses.replace(settings, data=data), tmp_path / "run")
    assert not (tmp_path / "run" / "outcomes").exists()


def test_knn_on_z_runs_from_a_checkpoint(smoke, trained, tmp_path):
    config = smoke(knn, checkpoint=str(trained), modes="knn", **{"knn.features": "z"})
    transfer_task.run(config, tmp_path)
    assert (tmp_path / "results.md").exists()


def test_groups_on_both_sides_are_refused(smoke, tmp_path):
    config = smoke(transfer, **{"data.test": "train"})
    with pytest.raises(ValueError, match="groups are on both sides, such as \\['g"):
        transfer_task.run(config, tmp_path)


def test_a_table_without_groups_is_said_aloud_in_table_and_report(smoke, prepared, tmp_path):
    from data_prep.main import prepare

    rows = (prepared.parent / "clips.csv").read_text().splitlines()
    names = [row.rpartition(",")[0] for row in rows]
    table = prepared.parent / "ungrouped.csv"
    table.write_text("\n".join(names) + "\n")
    prepare("csv", str(table), str(tmp_path / "corpus"), split="holdout", workers=0)
    settings = smoke(transfer, checkpoint=None, modes="majority")
    data = dataclasses.replace(settings.data, dirs=(str(tmp_path / "corpus"),))
    transfer_task.run(dataclasses.replace(settings, data=data), tmp_path / "run")
    for name in ("results.md", "report.html"):
        assert "NO GROUPS: the table has no column group" in (tmp_path / "run" / name).read_text()
