"""Metrics of a run: JSON lines that survive a resume, a progress line, and TensorBoard."""

import dataclasses
import json
import math
import os
import pathlib
import sys
import time
from typing import Any

from cryjax.errors import UserError
from cryjax.files import replacing

WIDTH = 78
LINES = 10  # of a run, where they stay
INSTANT_S = 0.5  # up to which a run was read from disk


@dataclasses.dataclass(frozen=True)
class LogSettings:
    """What is logged during training.

    Attributes:
      every: Updates between rows of metrics.
      tensorboard: Whether they also go to TensorBoard.
    """

    every: int = 10
    tensorboard: bool = False


class MetricLog:
    """Appends rows to `metrics.jsonl`.

    Args:
      workdir: Folder of the file.
      resumed_step: Step that the run continues at; rows past it are removed.
      tensorboard: Whether values also go to TensorBoard.
    """

    def __init__(self, workdir: pathlib.Path, *, resumed_step: int, tensorboard: bool = False):
        self._path = workdir / "metrics.jsonl"
        self.rewind(resumed_step)
        self._board = _board(workdir, resumed_step) if tensorboard else None

    def rewind(self, step: int) -> None:
        """Removes the rows past a step that a run goes back to."""
        kept = [row for row in load_metrics(self._path.parent) if row["step"] <= step]
        with replacing(self._path) as temporary:
            temporary.write_text("".join(json.dumps(row) + "\n" for row in kept), encoding="utf-8")

    def write(self, step: int, values: dict[str, float]) -> None:
        """Appends one row and syncs it to the disk."""
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"step": step, **values}) + "\n")
            file.flush()
            os.fsync(file.fileno())
        if self._board is not None:
            for name, value in values.items():
                self._board.add_scalar(name, value, step)


def _board(workdir: pathlib.Path, resumed_step: int) -> Any:
    try:
        from tensorboardX import SummaryWriter
    except ImportError:
        raise UserError(
            "log.tensorboard needs tensorboardX: pip install cryjax[tensorboard]"
        ) from None
    return SummaryWriter(str(workdir / "tensorboard"), purge_step=resumed_step + 1)


def load_metrics(workdir: pathlib.Path) -> list[dict[str, float]]:
    """Reads the rows of a run so far; a last line that a crash cut is left out."""
    path, rows = workdir / "metrics.jsonl", []
    for line in path.read_text(encoding="utf-8").splitlines() if path.exists() else []:
        try:
            rows.append(json.loads(line))
        except json.JSONDecodeError:
            break
    return rows


class Progress:
    """A progress line: step, loss, clips per second, share of time waiting for data, ETA.

    On a terminal one line is drawn again and again; elsewhere there are about ten of a run.
    """

    def __init__(self, name: str, *, steps: int, step: int, batch_size: int, quiet: bool):
        self._name, self._steps, self._batch_size, self._quiet = name, steps, batch_size, quiet
        self._step, self._time, self._waited = step, time.perf_counter(), 0.0
        self._redraws, self._shown = sys.stdout.isatty(), step
        if not quiet and self._redraws:
            print(f"{name}: compiling ...".ljust(WIDTH), end="\r", flush=True)

    def waited(self, seconds: float) -> None:
        """Adds to the time that was spent waiting for data."""
        self._waited += seconds

    def rates(self, step: int) -> dict[str, float]:
        """Computes clips per second, waiting share and ETA since the last call."""
        now = time.perf_counter()
        elapsed = max(now - self._time, 1e-9)
        speed = (step - self._step) / elapsed
        values = {
            "clips_per_s": round(speed * self._batch_size, 2),
            "waiting_share": round(self._waited / elapsed, 4),
            "eta_s": round((self._steps - step) / speed, 1) if speed else math.inf,
        }
        self._step, self._time, self._waited = step, now, 0.0
        return values

    def show(self, step: int, values: dict[str, float]) -> None:
        """Prints the line, where it is time for one."""
        last = step >= self._steps
        due = self._redraws or last or LINES * (step - self._shown) >= self._steps
        if self._quiet or not due:
            return
        self._shown = step
        text = (
            f"{self._name} {step}/{self._steps}  loss {values['loss']:.4f}  "
            f"{values['clips_per_s']:.0f} clips/s  waiting {values['waiting_share']:.0%}  "
            f"ETA {in_words(values['eta_s'])}"
        )
        end = "\r" if self._redraws and not last else "\n"
        print(text.ljust(WIDTH) if self._redraws else text, end=end, flush=True)


class Countdown:
    """Says which of many runs begins, and how long all that are left may take.

    Args:
      what: What they are called, such as "fit".
      total: Number of all of them.
    """

    def __init__(self, what: str, total: int):
        self._what, self._total, self._begun = what, total, 0
        self._took: list[float] = []
        self._since = time.perf_counter()

    def begin(self, name: str) -> None:
        """Ends the run before and begins the next; runs that took no time say nothing of others."""
        now = time.perf_counter()
        if self._begun and now - self._since > INSTANT_S:
            self._took.append(now - self._since)
        self._since, self._begun = now, self._begun + 1
        left = self._total - self._begun + 1
        known = len(self._took) > 1
        words = (
            f", about {in_words(left * sum(self._took) / len(self._took))} left" if known else ""
        )
        print(f"{self._what} {self._begun} of {self._total}: {name}{words}", flush=True)


def in_words(seconds: float) -> str:
    """Writes a duration as people say it."""
    if not math.isfinite(seconds):
        return "unknown"
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"
