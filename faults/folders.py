"""Folders: two processes in one, a full disk under a cache, a preparation that is killed."""

import contextlib
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import time

from cryjax.data.corpus import DataSettings, open_corpus
from faults.runs import ROOT, Hurt, Trial


def _preparation(source: pathlib.Path, out: pathlib.Path, *more: str) -> subprocess.Popen:
    command = [sys.executable, "-m", "data_prep.main", "--corpus=csv", "--workers=2"]
    command += [f"--source={source}", f"--out={out}", *more]
    with out.with_suffix(".log").open("a") as log:
        env = {**os.environ, "PYTHONPATH": str(ROOT)}
        return subprocess.Popen(command, env=env, stdout=log, stderr=subprocess.STDOUT)


def at_once(root: pathlib.Path, corpus: pathlib.Path, straight: list[float]) -> list[Hurt]:
    """Starts a second run in the workdir of another, and then Ctrl-C."""
    hurts = [
        Hurt("a second run in the same workdir", "refused, naming host and process of the first"),
        Hurt("Ctrl-C", "saves and ends with status 75; loses nothing"),
    ]
    trial = Trial(root / "shared", corpus)
    first = trial.start()
    trial.wait_for(3, first)
    status = trial.start().wait(120)
    named = f"is in use by process {first.pid} on " in trial.said
    hurts[0].count(status == 1 and named and first.poll() is None, None, "names them")
    first.send_signal(signal.SIGINT)
    status, lost = first.wait(60), trial.steps - trial.kept
    hurts[1].count(status == 75 and lost == 0, lost)
    good = trial.finish()[0] and trial.losses == straight
    hurts[1].count(good, None, "same losses in the end")
    return hurts


def _children(pid: int) -> list[int]:
    found = []
    for status in pathlib.Path("/proc").glob("[0-9]*/status"):
        with contextlib.suppress(OSError):
            if f"\nPPid:\t{pid}\n" in status.read_text():
                found.append(int(status.parent.name))
    return found


def prep_killed(root: pathlib.Path, corpus: pathlib.Path, straight: list[float]) -> list[Hurt]:
    """Kills a preparation in three ways while its workers decode, then starts it again."""
    hurt = Hurt("data_prep killed (TERM, HUP, -9)", "its workers end too; a new start continues")
    table = root / "many.csv"
    lines = (corpus.parent / "clips.csv").read_text().splitlines()
    more = [f"{corpus.parent}/{line}" for line in lines[1:] for _ in range(20)]
    table.write_text("\n".join([lines[0], *more]) + "\n")
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGKILL):
        out = root / f"prep-{number.name}"
        process, workers = _preparation(table, out, "--duplicates=keep"), []
        until = time.monotonic() + 60
        while len(workers) < 3 and process.poll() is None and time.monotonic() < until:
            workers = _children(process.pid)  # two workers and the resource tracker
            time.sleep(0.02)
        time.sleep(1)
        process.send_signal(number)
        process.wait(30)
        time.sleep(3)
        left = [pid for pid in workers if pathlib.Path(f"/proc/{pid}").exists()]
        again = _preparation(table, out, "--duplicates=keep").wait(200)
        hurt.count(len(workers) >= 3 and not left and again == 0, None, f"{len(left)} left")
    return [hurt]


def reordered(root: pathlib.Path, corpus: pathlib.Path, straight: list[float]) -> list[Hurt]:
    """Prepares a table, turns its rows round, and kills the second preparation into one folder."""
    hurt = Hurt(
        "a reordered table prepared again, killed", "no manifest describes what it does not own"
    )
    out, table = root / "reordered", root / "reordered.csv"
    lines = (corpus.parent / "clips.csv").read_text().splitlines()
    rows = [f"{corpus.parent}/{line}" for line in lines[1:] for _ in range(60)]  # three shards
    table.write_text("\n".join([lines[0], *rows]) + "\n")
    first = _preparation(table, out, "--duplicates=keep").wait(200)
    table.write_text("\n".join([lines[0], *reversed(rows)]) + "\n")
    process, until = _preparation(table, out, "--duplicates=keep"), time.monotonic() + 60
    (whole,) = (side.stat().st_mtime_ns for side in out.glob("shard-00000-*.json"))
    while process.poll() is None and time.monotonic() < until:
        if any(side.stat().st_mtime_ns != whole for side in out.glob("shard-00000-*.json")):
            break
        time.sleep(0.01)
    process.kill()
    process.wait()
    trial = Trial(root / "run-reordered", out)
    refused = trial.start().wait(120) == 1 and "its preparation was" in trial.said
    hurt.count(first == 0 and refused and not trial.steps, None)
    again = _preparation(table, out, "--duplicates=keep").wait(200)
    clips = open_corpus([str(out)], DataSettings(source="shards")).clips  # checks every record
    hurt.count(again == 0 and clips[0].path == rows[-1].split(",")[0], None, "refused, then whole")
    return [hurt]


def cache_full(root: pathlib.Path, corpus: pathlib.Path, straight: list[float]) -> list[Hurt]:
    """Builds the frame cache on a disk that is too small for it."""
    hurt = Hurt("the disk is full under the frame cache", "a clear message; nothing is left")
    disk = root / "small"
    disk.mkdir()
    small = ["mount", "-t", "tmpfs", "-o", "size=200k", "tmpfs", str(disk)]
    if subprocess.run(small, capture_output=True, check=False).returncode:
        hurt.note = "not run: mounting a small disk needs root"
        return [hurt]
    try:
        trial = Trial(root / "cache-full", corpus, f"--config.data.cache_dir={disk}")
        status = trial.start().wait(120)
        clear = status == 1 and "No space left" in trial.said and "--config.data.c" in trial.said
        free = shutil.disk_usage(disk).free
        hurt.count(clear and free > 180 << 10, None, f"{free >> 10} of 200 KiB are free again")
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=False)
    return [hurt]


FAULTS = (at_once, prep_killed, reordered, cache_full)
