"""Tasks on real small data: pre-training, its resumption, export, suite, the command line."""

import dataclasses
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import time

import jax
import numpy as np
import pytest
from flax import nnx
from shell import QUICK

from configs import export, knn, simclr, suite, transfer
from cryjax import pretraining
from cryjax.data.pool import open_pool, open_training_data
from cryjax.encoder import load
from cryjax.evaluate.monitor import MonitorSettings
from cryjax.evaluate.task import open_tasks
from cryjax.settings import from_dict
from cryjax.tasks import TASKS
from cryjax.tasks import export as export_task
from cryjax.tasks import pretrain as pretrain_task
from cryjax.tasks import suite as suite_task
from cryjax.tasks import transfer as transfer_task
from cryjax.train.checkpoint import load_meta
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
