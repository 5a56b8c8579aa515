"""Every launcher says what it would do, and the local ones do it."""

import os
import pathlib
import subprocess

import pytest
from shell import QUICK

ROOT = pathlib.Path(__file__).parent.parent
SETTINGS = ["--config=configs/simclr.py", "--workdir=runs/a b"]


def launch(*command, **env):
    return subprocess.run(
        ["bash", f"launch/{command[0]}", *command[1:]],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **env},
    )


def test_one_process():
    done = launch("local.sh", "--dry-run", *SETTINGS)
    assert done.stdout.strip().endswith(
        "-m cryjax.main --config=configs/simclr.py --workdir=runs/a b"
    )


def test_several_processes_have_one_address_and_numbers_of_their_own():
    done = launch("processes.sh", "--dry-run", "3", *SETTINGS, PORT="7777", DEVICES="4")
    lines = done.stdout.splitlines()
    assert len(lines) == 3
    for i, line in enumerate(lines):
        assert "--xla_force_host_platform_device_count=4" in line
        assert line.endswith(
            f"--coordinator_address=localhost:7777 --num_processes=3 --process_id={i}"
        )
    assert (
        "CUDA_VISIBLE_DEVICES=1"
        in launch("processes.sh", "--dry-run", "2", GPUS="1").stdout.splitlines()[1]
    )
    assert launch("processes.sh", "many").returncode == 64


def test_slurm_signals_before_the_limit_and_puts_the_job_back():
    said = launch("slurm.sbatch", "--dry-run", *SETTINGS).stdout
    assert "--signal=TERM@120" in said
    assert "--requeue" in said
    assert "srun --kill-on-bad-exit=1" in said
    assert "on status 75: scontrol requeue" in said


@pytest.mark.parametrize(("status", "end"), [(75, 0), (3, 3), (0, 0)])
def test_a_slurm_job_is_put_back_on_75_alone(tmp_path, status, end):
    for name, text in (("srun", f"exit {status}"), ("scontrol", f'echo "$@" > {tmp_path}/said')):
        (tmp_path / name).write_text(f"#!/bin/sh\n{text}\n")
        (tmp_path / name).chmod(0o755)
    path = f"{tmp_path}:{os.environ['PATH']}"
    done = launch("slurm.sbatch", *SETTINGS, PATH=path, SLURM_JOB_ID="12")
    assert done.returncode == end
    assert (tmp_path / "said").exists() == (status == 75)
    if status == 75:
        assert (tmp_path / "said").read_text() == "requeue 12\n"


def test_all_hosts_of_a_tpu_get_one_command(tmp_path):
    done = launch("tpu_vm.sh", "--dry-run", "pod", "us-east5-a", *SETTINGS)
    assert "tpu-vm ssh pod --zone=us-east5-a --worker=all" in done.stdout
    assert "python3 -m cryjax.main --distributed --config=configs/simclr.py" in done.stdout
    assert "--workdir=runs/a\\ b" in done.stdout
    assert launch("tpu_vm.sh", "--dry-run", "--config=x", "y").returncode == 64


def test_a_job_set_is_filled_in():
    done = launch("jobset.sh", "--dry-run", *SETTINGS, IMAGE="here/cryjax", CLAIM="disk", HOSTS="8")
    assert "${" not in done.stdout
    assert 'args: ["--config=configs/simclr.py", "--workdir=runs/a b"]' in done.stdout
    assert "parallelism: 8" in done.stdout
    odd = launch("jobset.sh", "--dry-run", '--workdir=a & "b"', IMAGE="a&b", CLAIM="disk").stdout
    assert r'args: ["--workdir=a & \"b\""]' in odd
    assert "image: a&b" in odd
    assert "set IMAGE" in launch("jobset.sh", "--dry-run", CLAIM="disk").stderr


@pytest.mark.slow
def test_two_local_processes_train_together(prepared, tmp_path):
    done = launch(
        "processes.sh",
        "2",
        f"--config={ROOT}/configs/simclr.py:smoke",
        f"--workdir={tmp_path}",
        f"--config.data.dirs={prepared}",
        "--config.encoder.name=audio_ntt",
        "--config.encoder.width=16",
        "--config.knn.every=0",
        XLA_FLAGS=QUICK,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("checkpoint:") == 1
