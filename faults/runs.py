"""Runs to hurt: small pre-trainings in processes of their own."""

import dataclasses
import os
import pathlib
import re
import signal
import socket
import subprocess
import sys
import time

import numpy as np
import soundfile

from cryjax.train.checkpoint import FOLDER
from cryjax.train.log import load_metrics
from cryjax.train.sums import UNFINISHED, steps_in

ROOT = pathlib.Path(__file__).parent.parent
STEPS, SAVE_EVERY = 60, 6
PATIENCE_S = 240


@dataclasses.dataclass
class Hurt:
    """What came of one kind of fault.

    Attributes:
      fault: Name of the fault in words.
      promise: What a run promises when it happens.
      times: Number of times that it was injected.
      survived: Number of times that the promise was kept.
      lost: Largest number of steps that had to be made again; None where that says nothing.
      note: What was seen.
    """

    fault: str
    promise: str
    times: int = 0
    survived: int = 0
    lost: int | None = None
    note: str = ""

    def count(self, kept: bool, lost: int | None = None, note: str = "") -> None:
        """Adds one injection."""
        self.times, self.survived = self.times + 1, self.survived + kept
        if lost is not None:
            self.lost = max(lost, self.lost or 0)
        self.note = note or self.note
        print(f"  {self.fault}: {'kept' if kept else 'BROKEN'}, lost {lost}; {note}", flush=True)


def make_corpus(root: pathlib.Path, *, clips: int = 40, seed: int = 0) -> pathlib.Path:
    """Makes a prepared folder of noise."""
    from data_prep.main import prepare

    rng, rows = np.random.default_rng(seed), ["path,label,group,split"]
    root.mkdir(parents=True, exist_ok=True)
    for i in range(clips):
        soundfile.write(root / f"{i}.wav", 0.1 * rng.normal(size=24_000), 22_050)
        rows.append(f"{i}.wav,{'ab'[i % 2]},g{i},train")
    (root / "clips.csv").write_text("\n".join(rows) + "\n")
    prepare("csv", str(root / "clips.csv"), str(root / "prepared"), workers=0)
    return root / "prepared"


def flip(path: pathlib.Path) -> None:
    """Flips one bit in the middle of a file."""
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


class Trial:
    """A workdir and the command that trains in it.

    Attributes:
      workdir: Workdir of the run.
      log: File that the output of its processes goes to.
    """

    def __init__(self, workdir: pathlib.Path, data: pathlib.Path, *settings: str):
        self.workdir = workdir
        self._command = [
            sys.executable,
            "-m",
            "cryjax.main",
            f"--config={ROOT}/configs/simclr.py:smoke",
            f"--workdir={workdir}",
            f"--config.data.dirs={data}",
            "--config.encoder.name=audio_ntt",
            f"--config.steps={STEPS}",
            f"--config.save_every={SAVE_EVERY}",
            "--config.log.every=1",
            "--config.knn.every=None",
            "--config.optim.learning_rate=1e-5",
            "--config.encoder.width=16",
            *settings,
        ]
        self.log = workdir.parent / f"{workdir.name}.log"

    def start(self, *more: str) -> subprocess.Popen:
        """Starts a process; its output goes to a file, as nobody reads a pipe while it runs."""
        flags = "--xla_force_host_platform_device_count=1"
        env = {**os.environ, "PYTHONPATH": str(ROOT), "XLA_FLAGS": flags, "JAX_PLATFORMS": "cpu"}
        with self.log.open("a") as log:
            return subprocess.Popen(
                [*self._command, *more], env=env, stdout=log, stderr=subprocess.STDOUT
            )

    def start_two(self) -> list[subprocess.Popen]:
        """Starts two processes of one run."""
        with socket.socket() as free:
            free.bind(("localhost", 0))
            address = f"--coordinator_address=localhost:{free.getsockname()[1]}"
        return [self.start(address, "--num_processes=2", f"--process_id={i}") for i in range(2)]

    @property
    def said(self) -> str:
        """Output of all processes so far."""
        return self.log.read_text()

    @property
    def steps(self) -> int:
        """Number of steps logged so far."""
        return len(load_metrics(self.workdir))

    @property
    def losses(self) -> list[float]:
        """Logged losses by step."""
        return [row["loss"] for row in load_metrics(self.workdir)]

    @property
    def kept(self) -> int:
        """Step of the newest whole checkpoint; 0 without one."""
        return max(steps_in(self.checkpoints), default=0)

    @property
    def checkpoints(self) -> pathlib.Path:
        """Folder of the checkpoints."""
        return self.workdir / FOLDER

    @property
    def saving(self) -> bool:
        """Whether there is an unfinished checkpoint."""
        return any(self.checkpoints.glob(f"*{UNFINISHED}*"))

    def wait_for(self, step: int, process: subprocess.Popen) -> None:
        """Waits until a step is logged, or the process ends."""
        until = time.monotonic() + PATIENCE_S
        while self.steps < step and process.poll() is None and time.monotonic() < until:
            time.sleep(0.01)

    def finish(self) -> tuple[bool, int]:
        """Starts again and runs to the end.

        Returns:
          Whether that went well, and the step that it continued from.
        """
        before = len(self.said) if self.log.exists() else 0
        good = self.start().wait(PATIENCE_S) == 0 and self.steps == STEPS
        found = re.findall(r"continuing at step (\d+)", self.said[before:])
        return good, int(found[-1]) if found else 0

    def kill(self, process: subprocess.Popen) -> int:
        """Sends SIGKILL and returns the number of steps that were logged."""
        process.send_signal(signal.SIGKILL)
        process.wait()
        return self.steps
