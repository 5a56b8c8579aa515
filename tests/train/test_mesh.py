"""What is asked of the platform before the first step."""

import os
import subprocess
import sys

import jax
import joblib
import pytest
from absl import flags

from cryjax import main
from cryjax.train import mesh


@pytest.fixture
def calls(monkeypatch):
    """What jax.distributed was asked for."""
    made = []
    monkeypatch.setattr(jax.distributed, "initialize", lambda *args: made.append(args))
    for name in ("SLURM_STEP_NUM_TASKS", "OMPI_COMM_WORLD_SIZE"):
        monkeypatch.delenv(name, raising=False)
    return made


@pytest.mark.parametrize("name", ["SLURM_STEP_NUM_TASKS", "OMPI_COMM_WORLD_SIZE"])
def test_a_cluster_is_noticed_where_there_are_several_tasks(calls, monkeypatch, name):
    mesh.connect(False, None, None, None)
    monkeypatch.setenv(name, "1")
    mesh.connect(False, None, None, None)
    assert calls == []
    monkeypatch.setenv(name, "2")
    mesh.connect(False, None, None, None)
    assert calls == [()]


def test_elsewhere_processes_are_told_or_asked_for(calls):
    mesh.connect(True, None, None, None)
    mesh.connect(False, "host:7777", 4, 2)
    assert calls == [(), ("host:7777", 4, 2)]
    with pytest.raises(ValueError, match="needs --num_processes and --process_id"):
        mesh.connect(False, "host:7777", None, 2)


def test_a_gpu_is_asked_for_the_same_bits(monkeypatch):
    monkeypatch.setenv("XLA_FLAGS", "--mine")
    mesh.make_deterministic()
    assert os.environ["XLA_FLAGS"] == (
        "--mine --xla_gpu_deterministic_ops=true --xla_gpu_autotune_level=0"
    )


@pytest.mark.parametrize(("cores", "devices"), [(1, 1), (2, 1), (3, 1), (8, 4)])
def test_devices_get_threads_enough_to_wait_for_each_other(monkeypatch, cores, devices):
    monkeypatch.delenv("NPROC", raising=False)
    given = []
    monkeypatch.setattr(joblib, "cpu_count", lambda: cores)
    monkeypatch.setattr(jax.config, "update", lambda *pair: given.append(pair))
    monkeypatch.setenv("XLA_FLAGS", "")
    mesh.use_all_cores()
    assert given == [("jax_num_cpu_devices", devices)]
    assert os.environ.pop("NPROC") == str(max(cores, 2))
    flags = "--xla_force_host_platform_device_count=9 --xla_cpu_experimental_ynn_fusion_type="
    monkeypatch.setenv("XLA_FLAGS", flags)
    mesh.use_all_cores()
    assert len(given) == 1
    assert os.environ["NPROC"] == "18"
    assert os.environ["XLA_FLAGS"] == (
        f"{flags} --xla_cpu_collective_call_terminate_timeout_seconds=600"
    )


def test_a_loaded_encoder_convolves_by_xla(trained):
    """YNNPACK's convolutions ran on one thread, their gradients three times as long."""
    program = f"""
import jax, jax.numpy as jnp
from cryjax import load
from cryjax.models.layers import convolve
load({str(trained)!r})
made = jax.jit(convolve).lower(jnp.zeros((64, 48, 48, 32)), jnp.zeros((3, 3, 32, 32))).compile()
assert "convolution" in made.as_text()
assert "ynn" not in made.as_text()
"""
    env = {name: value for name, value in os.environ.items() if name != "XLA_FLAGS"}
    subprocess.run([sys.executable, "-c", program], env=env, check=True)


@pytest.mark.parametrize("wanted", [True, False])
def test_the_setting_reaches_the_platform_and_small_tasks_are_not_spread(monkeypatch, wanted):
    done = []
    for name in ("make_deterministic", "use_all_cores", "keep_compiled", "connect"):
        monkeypatch.setattr(mesh, name, lambda *_, name=name: done.append(name))
    monkeypatch.setattr(mesh, "processes", lambda: (0, 2))
    flags.FLAGS.mark_as_parsed()
    main._prepare_devices("pretrain", wanted)
    assert done == ["make_deterministic"] * wanted + ["use_all_cores", "keep_compiled", "connect"]
    with pytest.raises(
        ValueError, match="config.task=transfer runs in one process, this is one of 2"
    ):
        main._prepare_devices("transfer", False)
