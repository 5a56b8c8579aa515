"""Every task on real small data: resumption, evaluation, export, the report."""

import csv
import dataclasses
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import time
from typing import Any

import jax
import numpy as np
import pytest
from flax import nnx
from shell import QUICK

from configs import export, knn, simclr, suite, transfer
from cryjax import pretraining
from cryjax.data.corpus import open_corpus
from cryjax.data.pool import open_pool, open_training_data
from cryjax.encoder import load
from cryjax.evaluate.embeddings import embedded_corpus
from cryjax.evaluate.monitor import MonitorSettings
from cryjax.evaluate.outcomes import outcome_key
from cryjax.evaluate.protocols import PROTOCOLS
from cryjax.evaluate.report.publish import facts_of
from cryjax.evaluate.task import open_tasks
from cryjax.evaluate.trained import trained_meta
from cryjax.settings import from_dict
from cryjax.tasks import TASKS
from cryjax.tasks import export as export_task
from cryjax.tasks import pretrain as pretrain_task
from cryjax.tasks import suite as suite_task
from cryjax.tasks import transfer as transfer_task
from cryjax.train.checkpoint import load_meta, save_model
from cryjax.train.log import load_metrics

ROOT = pathlib.Path(__file__).parent.parent.parent


def arrays(workdir, step):
    encoder = load(workdir, step)
    return [x for m in (encoder.module, encoder.projector) for x in jax.tree.leaves(nnx.state(m))]


def test_a_stopped_and_resumed_run_is_the_straight_run(smoke, trained, tmp_path, interrupted):
    config = smoke(simclr)
    interrupted(config, tmp_path)
    pretrain_task.run(config, tmp_path)
    for a, b in zip(arrays(trained, 4), arrays(tmp_path, 4), strict=True):
        np.testing.assert_array_equal(a, b)
    timed = {"clips_per_s", "waiting_share", "eta_s"}
    logs = [
        [{k: v for k, v in row.items() if k not in timed} for row in load_metrics(w)]
        for w in (trained, tmp_path)
    ]
    assert logs[0] == logs[1]
    assert [row["step"] for row in logs[0]] == [2, 4, 4]


@pytest.mark.slow
def test_kill_minus_nine_loses_no_bit(prepared, tmp_path):
    """Real processes: one straight, one killed and started again; more kills: `make faults`."""
    steps = 24

    def command(workdir):
        return [
            sys.executable,
            "-m",
            "cryjax.main",
            f"--config={ROOT}/configs/simclr.py:smoke",
            f"--workdir={workdir}",
            f"--config.data.dirs={prepared}",
            f"--config.steps={steps}",
            "--config.encoder.width=4",
            "--config.save_every=3",
            "--config.log.every=1",
            "--config.knn.every=None",
        ]

    env = {**os.environ, "PYTHONPATH": str(ROOT), "XLA_FLAGS": QUICK}
    subprocess.run(command(tmp_path / "straight"), env=env, check=True, capture_output=True)
    run = subprocess.Popen(command(tmp_path / "killed"), env=env, stdout=subprocess.DEVNULL)
    until = time.monotonic() + 120
    while len(load_metrics(tmp_path / "killed")) < 8 and time.monotonic() < until:
        time.sleep(0.05)
    run.send_signal(signal.SIGKILL)
    assert run.wait() == -signal.SIGKILL
    done = subprocess.run(command(tmp_path / "killed"), env=env, check=True, capture_output=True)
    assert b"continuing at step" in done.stdout
    for a, b in zip(
        arrays(tmp_path / "straight", steps), arrays(tmp_path / "killed", steps), strict=True
    ):
        np.testing.assert_array_equal(a, b)


def test_another_config_in_the_same_workdir_is_refused(smoke, trained):
    other = smoke(simclr, **{"objective.temperature": 0.5})
    with pytest.raises(ValueError, match=r"config.objective.temperature: 0.2 there, 0.5 here"):
        pretrain_task.run(other, trained)


def test_a_refused_command_leaves_the_workdir_free(smoke, tmp_path):
    """Doing what the refusal said was refused too."""
    settings = smoke(simclr, **{"data.val": "nobody", "knn.every": 2, "steps": 2})
    with pytest.raises(ValueError, match="nobody"):
        pretrain_task.run(settings, tmp_path)
    settings = smoke(simclr, **{"data.splits": "val", "knn.every": 2, "steps": 2, "batch_size": 4})
    with pytest.raises(ValueError, match="of other groups that are trained on"):
        pretrain_task.run(settings, tmp_path)  # at once, and not at the first score
    pretrain_task.run(dataclasses.replace(settings, knn=MonitorSettings(every=None)), tmp_path)


def test_who_is_scored_is_not_among_the_neighbours(smoke, monkeypatch):
    """Where validation is trained on too, a clip's own windows voted for it."""
    made = {}
    monkeypatch.setattr(pretraining, "make_monitor", lambda *_, **given: made.update(given))
    settings, _ = pretraining.resolve(smoke(simclr, **{"data.splits": "*", "knn.every": 2}))
    corpus = open_training_data(settings.data)
    pool = open_pool(corpus, settings.data)
    pretraining.monitor_of(settings, corpus, pool, None)
    groups = corpus.groups
    assert set(made["query"]) < set(pool.own)
    assert not set(groups[made["bank"]]) & set(groups[made["query"]])
    assert len(made["bank"])


def test_the_checkpoint_says_where_it_comes_from(trained):
    meta = load_meta(trained)
    assert meta.parts == ("encoder", "projector")
    assert meta.selected_by == "knn_balanced_accuracy"
    assert meta.selection_groups
    assert not set(meta.selection_groups) & set(meta.train_groups)
    assert meta.data[0]["corpus"] == "csv"
    assert all(group.startswith("csv/g") for group in meta.train_groups)
    assert len(meta.train_audio) > 10
    with pytest.raises(FileNotFoundError, match="no checkpoint; give the --workdir"):
        load_meta(trained.parent)


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


def test_a_finished_mode_is_not_run_again(evaluated, monkeypatch):
    workdir, settings = evaluated
    for protocol in {type(p) for p in PROTOCOLS.values()}:
        monkeypatch.setattr(protocol, "run", lambda *_: pytest.fail("ran again"))
    transfer_task.run(settings, workdir)


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


@pytest.mark.slow
def test_a_run_can_be_extended_and_its_data_moved(smoke, trained, prepared, tmp_path, capsys):
    """More steps, and the same fingerprint in another folder, are the same run."""
    shutil.copytree(trained, tmp_path / "run")
    shutil.copytree(prepared, tmp_path / "moved")
    longer = smoke(simclr, steps=5)
    data = dataclasses.replace(longer.data, dirs=(str(tmp_path / "moved"),))
    pretrain_task.run(dataclasses.replace(longer, data=data), tmp_path / "run")
    said = capsys.readouterr().out
    assert "continuing at step 4 of 5" in said
    assert "extended from 4 to 5 steps: the step schedule is that of the longer run" in said
    assert load_metrics(tmp_path / "run")[-1]["step"] == 5
    with pytest.raises(ValueError, match="config.steps: 5 there, 3 here"):
        pretrain_task.run(smoke(simclr, steps=3), tmp_path / "run")


def test_an_export_is_accepted_wherever_a_checkpoint_is(smoke, trained, evaluated, tmp_path):
    config = export.get_config().to_dict() | {"checkpoint": str(trained)}
    export_task.run(from_dict(export_task.ExportSettings, config), tmp_path / "export")
    exported = load(tmp_path / "export")
    assert exported.projector is None
    assert exported.fingerprint == load(trained).fingerprint
    again = smoke(knn, checkpoint=str(tmp_path / "export"), modes="knn")
    transfer_task.run(again, tmp_path / "knn")
    (old,), (new,) = (d.glob("outcomes/knn-seed0-*.npz") for d in (evaluated[0], tmp_path / "knn"))
    np.testing.assert_array_equal(np.load(old)["test"], np.load(new)["test"])
    assert old.name == new.name  # the same encoder by its fingerprint: the same outcome
    z = {"knn.features": "z", "checkpoint": str(tmp_path / "export"), "modes": "knn"}
    with pytest.raises(ValueError, match="needs the projector of a pre-training checkpoint"):
        transfer_task.run(smoke(knn, **z), tmp_path / "z")


def test_knn_on_z_runs_from_a_checkpoint(smoke, trained, tmp_path):
    config = smoke(knn, checkpoint=str(trained), modes="knn", **{"knn.features": "z"})
    transfer_task.run(config, tmp_path)
    assert (tmp_path / "results.md").exists()


def test_groups_on_both_sides_are_refused(smoke, tmp_path):
    config = smoke(transfer, **{"data.test": "train"})
    with pytest.raises(ValueError, match="groups are on both sides, such as \\['g"):
        transfer_task.run(config, tmp_path)


@pytest.mark.slow
def test_the_suite_pretrains_evaluates_and_continues(smoke, tmp_path, capsys):
    seeds = {"transfer.seeds": 2, "transfer.modes": "majority,knn,random_knn"}
    config = smoke(suite, folds="train,val", seeds=2, **seeds)
    suite_task.run(config, tmp_path)
    metrics = json.loads((tmp_path / "metrics.json").read_text())
    assert {row["mode"]: row["folds"] for row in metrics["table"]["recording"]} == {
        "majority": 2,
        "knn": 2,
        "random_knn": 2,
    }
    # two pre-trainings, each evaluated twice: spread is over what is independent
    assert [row["seeds"] for row in metrics["table"]["recording"]] == [1, 2, 2]
    assert [row["runs"] for row in metrics["table"]["recording"]] == [2, 4, 8]
    assert "spread is over pre-trainings" in metrics["about"]["seeds"]
    for fold in ("train", "val"):
        meta = load_meta(tmp_path / f"{fold}-seed0" / "pretrain")
        assert fold not in meta.config["data"]["splits"]
    capsys.readouterr()
    suite_task.run(config, tmp_path)
    assert "loss" not in capsys.readouterr().out


def test_a_suite_hears_nothing_that_it_validates_or_tests_on(smoke, prepared):
    """val_share, folds and extra_dirs were guarded by other rules than the evaluation's."""
    for changes in (
        {"transfer.data.val": "", "transfer.data.val_share": 0.3},
        {"transfer.data.val": "", "transfer.data.val_share": 0.5},
        {"pretrain.data.extra_dirs": str(prepared)},
        {"transfer.data.val": "", "pretrain.data.extra_dirs": str(prepared)},
    ):
        settings = smoke(suite, **changes)
        data = settings.transfer.data
        pretraining = suite_task.pretraining_of(settings.pretrain, data, 0)
        assert pretraining.data.dirs == data.dirs
        corpus = open_training_data(pretraining.data)
        pool = open_pool(corpus, pretraining.data)
        (task,) = open_tasks(settings.transfer)
        heard = {corpus.clips[row].group for row in pool.rows}
        for part in ("val", "test"):
            assert not heard & {task.corpus.clips[r].group for r in task.split.parts()[part]}
        if not pretraining.data.extra_dirs:
            assert heard == {task.corpus.clips[r].group for r in task.split.train}


def run_main(*args):
    command = [sys.executable, "-m", "cryjax.main", *args]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def test_an_unknown_setting_fails_with_the_nearest_names():
    done = run_main("--config=configs/simclr.py", "--workdir=x", "--config.encoder.nam=vgg")
    assert done.returncode != 0
    assert "config.encoder.nam is not a setting" in done.stderr
    assert "config.encoder.name" in done.stderr


def test_help_answers_fast():
    started = time.monotonic()
    done = run_main("--help")
    assert "--workdir" in done.stdout + done.stderr
    assert time.monotonic() - started < 20
    command = [sys.executable, "-m", "data_prep.main", "--help"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert "donateacry" in done.stdout


def test_only_refusals_lose_their_traceback(tmp_path):
    """A KeyError within a task printed `cryjax: 'name'`."""
    done = run_main("--config=configs/export.py", f"--workdir={tmp_path}", "--config.checkpoint=/x")
    assert "Traceback" not in done.stderr
    assert "no checkpoint" in done.stderr
    broken = (
        "import cryjax.tasks.export as e, sys; e.run = lambda *_: {}['name']; sys.argv[0] = 'x'"
    )
    arguments = ["--config=configs/export.py", f"--workdir={tmp_path}"]
    code = f"{broken}; sys.argv[1:] = {arguments}; from cryjax.main import cli; cli()"
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode
    assert "Traceback" in done.stderr
    assert "KeyError: 'name'" in done.stderr


def test_every_task_of_a_config_exists():
    for module in (simclr, transfer, knn, export, suite):
        assert module.get_config().task in TASKS
        assert module.get_config("smoke").task in TASKS


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
