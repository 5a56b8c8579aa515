"""One process at a time, and files that appear whole."""

import concurrent.futures
import json
import os
import socket
import subprocess
import sys
import time

import numpy as np
import pytest

from cryjax.files import load_arrays, replacing
from cryjax.locks import DEAD_S, LockedError, hold

HOLD = """
import sys, time
from pathlib import Path
from cryjax.locks import hold
with hold(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


def test_the_owner_is_named_and_its_death_frees_the_lock(tmp_path):
    path = tmp_path / ".lock"
    command = [sys.executable, "-c", HOLD, str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as owner:
        assert owner.stdout is not None
        assert owner.stdout.readline() == "held\n"
        named = rf"is in use by process {owner.pid} on {socket.gethostname()}, started 2"
        with pytest.raises(LockedError, match=named), hold(path):
            pass
        owner.kill()
    with hold(path):
        assert json.loads(path.read_text())["process"] == os.getpid()
    assert path.read_text() == ""


@pytest.mark.parametrize(("age_s", "free"), [(0, False), (DEAD_S + 5, True), (-DEAD_S - 5, True)])
def test_an_owner_on_another_host_is_dead_without_signs_of_life(tmp_path, age_s, free):
    """Also when a clock went backwards: a time that far in the future is no sign of life."""
    path = tmp_path / ".lock"
    path.write_text(json.dumps({"host": "another", "process": 7, "started": "today"}))
    os.utime(path, (time.time() - age_s,) * 2)
    if free:
        with hold(path):
            pass
    else:
        with pytest.raises(LockedError, match="process 7 on another"), hold(path):
            pass


def test_writers_of_one_file_never_hold_each_others_content(tmp_path):
    path = tmp_path / "outcome.txt"

    def write(number):
        with replacing(path) as temporary:
            for _ in range(20):
                with temporary.open("a") as file:
                    file.write(f"{number}\n")

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        list(pool.map(write, range(200)))
    assert len(set(path.read_text().split())) == 1
    assert [p.name for p in tmp_path.iterdir()] == ["outcome.txt"]


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "kept.txt"
    path.write_text("old")

    def fail():
        with replacing(path) as temporary:
            temporary.write_text("half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["kept.txt"]


def test_a_cut_file_of_arrays_names_itself(tmp_path):
    path = tmp_path / "outcome.npz"
    assert load_arrays(path) is None
    np.savez(path, a=np.arange(99))
    kept = load_arrays(path)
    assert kept is not None
    assert kept["a"].sum() == 99 * 49
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(ValueError, match=r"outcome.npz is damaged \(.*\); remove it"):
        load_arrays(path)
