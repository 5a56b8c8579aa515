"""One device, and two processes of four devices: the same run (eight of one process: tasks).

Noise and a small rate: a maximum that ties, or a rate at which rounding grows a hundredfold a step,
would tell nothing about devices. At these rates eight updates still move the losses by a share of
up to 7e-4 and 4e-4, at least thirty times the tolerance, and devices differ by less than a tenth
of it; at rates ten times these by up to five times the tolerance. In float64: test_step.
"""

import shutil
import signal
import socket
import subprocess
import sys
import time

import numpy as np
import pytest
import soundfile
from shell import ROOT, quickly

from cryjax.train.log import load_metrics
from data_prep.main import prepare

pytestmark = pytest.mark.slow
STEPS = 8
SMALL = {
    "simclr": ["--config.encoder.name=audio_ntt", "--config.optim.learning_rate=3e-6"],
    "slicer": ["--config.objective.queue=64", "--config.optim.learning_rate=1e-5"],
}


@pytest.fixture(scope="module")
def noise(tmp_path_factory):
    root, rng = tmp_path_factory.mktemp("noise"), np.random.default_rng(0)
    for i in range(32):
        fade = np.linspace(0.3, 1, 30_000) ** rng.uniform(-1, 1)
        soundfile.write(root / f"{i}.wav", 0.1 * fade * rng.normal(size=30_000), 22_050)
    rows = [f"{i}.wav,{'ab'[i % 2]},g{i},{'train' if i < 24 else 'val'}" for i in range(32)]
    (root / "clips.csv").write_text("\n".join(["path,label,group,split", *rows]) + "\n")
    prepare("csv", str(root / "clips.csv"), str(root / "prepared"), workers=0)
    return root / "prepared"


def start(method, data, workdir, *, devices, process=(0, 1), port=0, steps=STEPS):
    """One process of a run, with so many devices of its own."""
    command = [
        sys.executable,
        "-m",
        "cryjax.main",
        f"--config={ROOT}/configs/{method}.py:smoke",
        f"--workdir={workdir}",
        f"--config.data.dirs={data}",
        f"--config.steps={steps}",
        "--config.log.every=1",
        f"--config.save_every={STEPS}",
        f"--config.knn.every={STEPS}",  # scored in several processes too
        "--config.optim.name=sgd",
        "--config.encoder.width=16",
        "--config.batch_size=16",
        "--config.data.frames=32",
        *SMALL[method],
    ]
    if process[1] > 1:
        command += [
            f"--coordinator_address=localhost:{port}",
            f"--num_processes={process[1]}",
            f"--process_id={process[0]}",
        ]
    env = quickly(devices)
    return subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)


def together(method, data, workdir, *, devices=4, steps=(STEPS, STEPS)):
    """Two processes of so many devices each."""
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    return [
        start(method, data, workdir, devices=devices, process=(i, 2), port=port, steps=steps[i])
        for i in range(2)
    ]


def finish(*runs):
    texts = [run.communicate(timeout=300)[0].decode() for run in runs]
    assert [run.returncode for run in runs] == [0] * len(runs), texts
    return texts


def losses(workdir):
    *rows, scores = load_metrics(workdir)
    assert [row["step"] for row in rows] == list(range(1, STEPS + 1))
    assert 0 <= scores["knn_balanced_accuracy"] <= 1
    return np.array([row["loss"] for row in rows])


def alone(method, data, workdir):
    """Losses of the run on one device."""
    finish(start(method, data, workdir, devices=1))
    return losses(workdir)


def test_two_processes_of_four_devices_give_the_run_of_one(noise, tmp_path):
    texts = finish(*together("slicer", noise, tmp_path / "two"))  # simclr's are in the next test
    want = alone("slicer", noise, tmp_path / "one")
    np.testing.assert_allclose(losses(tmp_path / "two"), want, rtol=1e-5)
    assert "checkpoint:" in texts[0]
    assert "checkpoint:" not in texts[1]


def test_a_stopped_run_continues_on_other_devices_to_the_same_losses(noise, tmp_path):
    """Two processes, one of which a signal stops; then one of eight devices, and two again."""
    texts = stopped(together("simclr", noise, tmp_path / "one"), tmp_path / "one", 3)
    shutil.copytree(tmp_path / "one", tmp_path / "two")
    assert 3 <= len(load_metrics(tmp_path / "one")) < STEPS, texts
    again = finish(start("simclr", noise, tmp_path / "one", devices=8))
    assert "continuing at step" in again[0]
    finish(*together("simclr", noise, tmp_path / "two"))
    want = alone("simclr", noise, tmp_path / "straight")
    for continued in ("one", "two"):
        np.testing.assert_allclose(losses(tmp_path / continued), want, rtol=1e-5)


def test_processes_that_were_started_differently_refuse(noise, tmp_path):
    runs = together("simclr", noise, tmp_path, devices=1, steps=(STEPS, STEPS + 1))
    texts = [run.communicate(timeout=200)[0].decode() for run in runs]
    assert all(run.returncode for run in runs)
    assert any("processes [1] have another config or other data than process 0" in t for t in texts)


def stopped(runs, workdir, step):
    """The last of the processes gets SIGTERM after a step; all must end within 30 seconds."""
    until = time.monotonic() + 240
    while len(load_metrics(workdir)) < step and time.monotonic() < until:
        time.sleep(0.02)
    asked = time.monotonic()
    runs[-1].send_signal(signal.SIGTERM)
    texts = [run.communicate(timeout=60)[0].decode() for run in runs]
    assert time.monotonic() - asked < 30
    assert [run.returncode for run in runs] == [75] * len(runs), texts
    return texts
