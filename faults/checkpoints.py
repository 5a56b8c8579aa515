"""Checkpoints that are damaged on the disk, and disks that take no more."""

import contextlib
import os
import pathlib
import shutil
import signal
import subprocess

from cryjax.train.checkpoint import FOLDER
from cryjax.train.sums import steps_in
from faults.runs import SAVE_EVERY, Hurt, Trial, flip


def largest(folder: pathlib.Path) -> pathlib.Path:
    """Finds the file of a folder with the most bytes."""
    return max((p for p in folder.rglob("*") if p.is_file()), key=lambda p: p.stat().st_size)


def _cut(path: pathlib.Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def damaged(root: pathlib.Path, corpus: pathlib.Path, straight: list[float]) -> list[Hurt]:
    """Flips bits, cuts files and takes them away in the latest checkpoint."""
    base = Trial(root / "base", corpus)
    process = base.start()
    base.wait_for(5 * SAVE_EVERY + 2, process)
    base.kill(process)
    found = []
    for name, harm, parts in (
        ("a bit of the latest checkpoint flipped", flip, ("model", "training", "meta")),
        ("a file of it cut short", _cut, ("model",)),
        ("a file of it missing", pathlib.Path.unlink, ("training",)),
    ):
        hurt = Hurt(name, "is reported, the checkpoint before is used")
        for part in parts:
            trial = Trial(root / f"{harm.__name__.strip('_')}-{part}", corpus)
            shutil.copytree(base.workdir, trial.workdir)
            steps = steps_in(trial.checkpoints)
            harm(largest(trial.checkpoints / str(steps[-1]) / part))
            good, from_step = trial.finish()
            said = f"checkpoint {steps[-1]} is damaged" in trial.said
            hurt.count(
                good and said and from_step == steps[-2] and trial.losses == straight,
                steps[-1] - from_step,
                "named in the output",
            )
        found.append(hurt)
    return found


def full(root: pathlib.Path, corpus: pathlib.Path, straight: list[float]) -> list[Hurt]:
    """Fills a disk up while a run writes to it."""
    hurt = Hurt(
        "the disk is full", "a clear message; the last checkpoint stays; continues with room"
    )
    disk = root / "disk"
    disk.mkdir()
    last = root / "straight" / FOLDER
    sizes = sum(p.stat().st_size for p in last.rglob("*") if p.is_file()) // 1024
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={4 * sizes}k", "tmpfs", str(disk)],
        capture_output=True,
        check=False,
    )
    if mounted.returncode:
        hurt.note = "not run: mounting a small disk needs root"
        return [hurt]
    trial = Trial(root / "disk" / "run", corpus)
    trial.log = root / "disk.log"
    try:
        process = trial.start()
        trial.wait_for(SAVE_EVERY + 3, process)
        with contextlib.suppress(OSError), (disk / "ballast").open("wb", buffering=0) as file:
            while file.write(bytes(1 << 12)):
                pass
        status, done = process.wait(120), trial.steps
        clear = "No space left" in trial.said or "could not be written" in trial.said
        (disk / "ballast").unlink(missing_ok=True)
        subprocess.run(["mount", "-o", "remount,size=256m", str(disk)], check=True)
        good, from_step = trial.finish()
        hurt.count(
            status not in (0, -signal.SIGABRT) and clear and good and trial.losses == straight,
            done - from_step,
            "[Errno 28] No space left" if "Errno 28" in trial.said else "said",
        )
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=False)
    return [hurt]


def unwritable(root: pathlib.Path, corpus: pathlib.Path, straight: list[float]) -> list[Hurt]:
    """Starts a run in a workdir that nobody may write to."""
    hurt = Hurt("the workdir cannot be written", "a clear message before any work")
    trial = Trial(pathlib.Path("/proc/cryjax-run"), corpus)
    trial.log = root / "unwritable.log"
    status = trial.start().wait(120)
    hurt.count(status == 1 and "cryjax: " in trial.said, None, "names the folder")
    return [hurt]


FAULTS = (damaged, full, unwritable)
