"""Every task on real small data: resumption, judging, export, the report."""

import csv
import json
import os
import pathlib
import signal
import subprocess
import sys
import time

import jax
import numpy as np
import pytest

from configs import export, knn, simclr, suite, transfer
from cryjax.evaluate.embed import embedded_corpus
from cryjax.tasks import TASKS
from cryjax.tasks import export as export_task
from cryjax.tasks import pretrain as pretrain_task
from cryjax.tasks import suite as suite_task
from cryjax.tasks import transfer as transfer_task
from cryjax.tasks.judged import prepare
from cryjax.tasks.training import make_probe
from cryjax.train.checkpoint import load_meta, load_model
from cryjax.train.log import load_metrics

ROOT = pathlib.Path(__file__).parent.parent.parent


def arrays(workdir, step):
    encoder, projector, _ = load_model(workdir, step)
    from flax import nnx

    return jax.tree.leaves(nnx.state(encoder)) + jax.tree.leaves(nnx.state(projector))


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
def test_kill_minus_nine_at_any_moment_loses_no_bit(prepared, tmp_path):
    """Real processes: one straight, one killed twice and started again."""
    steps = 40

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
            "--config.knn.every=0",
        ]

    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    subprocess.run(command(tmp_path / "straight"), env=env, check=True, capture_output=True)
    for moment in (5, 17):
        run = subprocess.Popen(command(tmp_path / "killed"), env=env, stdout=subprocess.DEVNULL)
        until = time.monotonic() + 120
        while len(load_metrics(tmp_path / "killed")) < moment and time.monotonic() < until:
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


def test_the_checkpoint_says_where_it_comes_from(trained):
    meta = load_meta(trained)
    assert meta["parts"] == ["encoder", "projector"]
    assert meta["selected_by"] == "knn_balanced_accuracy"
    assert meta["data"][0]["corpus"] == "csv"
    assert all(group.startswith("csv/g") for group in meta["pretrained_groups"])
    with pytest.raises(FileNotFoundError, match="no checkpoint; give the --workdir"):
        load_meta(trained.parent)


def test_a_probe_reads_embeddings_made_once_unless_it_augments(judged, smoke, trained):
    _, config = judged
    there = prepare(config)
    h, owner = there.embeddings("linear", 0)
    kept = embedded_corpus(there.corpus, there.rows, h, owner)
    own = np.concatenate([np.arange(n) for n in np.bincount(owner)])
    np.testing.assert_array_equal(kept.frames.gather(there.rows[owner], own, 1)[:, 0], h)
    assert there.embeddings("linear_bn", 1)[0] is h  # one encoder, one pass
    assert there.embeddings("random_knn", 1)[0] is not h
    noisy = smoke(transfer, checkpoint=str(trained), **{"augment.order": "noise,normalise"})
    for chosen, frames in ((config, 1), (noisy, config["data"]["frames"])):
        probe = make_probe("linear", prepare(chosen))
        assert probe.settings.frames == frames


def test_judging_writes_table_predictions_and_a_report(judged):
    workdir, _ = judged
    metrics = json.loads((workdir / "metrics.json").read_text())
    rows = {row["mode"]: row for row in metrics["table"]["recording"]}
    assert set(rows) == {"majority", "knn", "random_knn", "linear", "linear_bn", "finetune"}
    assert rows["majority"]["balanced_accuracy"]["mean"] == 0.5
    assert (rows["linear"]["seeds"], rows["knn"]["seeds"]) == (2, 1)
    assert metrics["about"]["test groups seen (unlabelled) in pre-training"].startswith("0 of")
    with (workdir / "predictions.csv").open() as file:
        predictions = list(csv.DictReader(file))
    n = metrics["about"]["clips"]["test"]
    assert len(predictions) == n * (1 + 1 + 2 * 4)
    assert all(abs(float(p["p_noise"]) + float(p["p_tone"]) - 1) < 1e-5 for p in predictions)
    page = (workdir / "report.html").read_text()
    assert page.count("data:image/png;base64,") == 6
    assert "http://" not in page
    assert "https://" not in page


def test_a_finished_mode_is_not_run_again(judged, monkeypatch):
    workdir, config = judged
    monkeypatch.setattr(transfer_task, "_runner", lambda *_: pytest.fail("ran again"))
    transfer_task.run(config, workdir)


def test_an_export_is_accepted_wherever_a_checkpoint_is(smoke, trained, judged, tmp_path):
    config = export.get_config().to_dict() | {"checkpoint": str(trained)}
    export_task.run(config, tmp_path / "export")
    _, projector, meta = load_model(tmp_path / "export")
    assert projector is None
    assert meta["exported_from"] == str(trained)
    again = smoke(knn, checkpoint=str(tmp_path / "export"), modes="knn")
    transfer_task.run(again, tmp_path / "knn")
    old = np.load(judged[0] / "outcomes" / "knn-seed0.npz")["test"]
    np.testing.assert_array_equal(old, np.load(tmp_path / "knn/outcomes/knn-seed0.npz")["test"])
    z = {"knn.features": "z", "checkpoint": str(tmp_path / "export"), "modes": "knn"}
    with pytest.raises(ValueError, match="exports hold no projector"):
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
def test_the_suite_pretrains_and_judges_and_continues(smoke, tmp_path, capsys):
    config = smoke(suite, folds="train,val")
    config["transfer"]["modes"] = "majority,knn"
    suite_task.run(config, tmp_path)
    metrics = json.loads((tmp_path / "metrics.json").read_text())
    assert {row["mode"]: row["folds"] for row in metrics["table"]["recording"]} == {
        "majority": 2,
        "knn": 2,
    }
    for fold in ("train", "val"):
        meta = load_meta(tmp_path / f"{fold}-seed0" / "pretrain")
        assert fold not in meta["config"]["data"]["splits"].split(",")
    capsys.readouterr()
    suite_task.run(config, tmp_path)
    assert "loss" not in capsys.readouterr().out


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


def test_every_task_of_a_config_exists():
    for module in (simclr, transfer, knn, export, suite):
        assert module.get_config().task in TASKS
        assert module.get_config("smoke").task in TASKS
