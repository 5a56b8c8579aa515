"""What may go wrong in a run: it is asked to stop, or its numbers are not finite."""

import contextlib
import dataclasses
import pathlib
import signal
import threading
from collections.abc import Callable, Iterable, Iterator

import jax
import numpy as np
from jax.experimental import multihost_utils

from cryjax.errors import UserError
from cryjax.files import save_json

ASKS = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT)  # signals that ask a run to stop


class PreemptedError(Exception):
    """A run was asked to stop and has saved its state."""


@contextlib.contextmanager
def preemption_guard() -> Iterator[Callable[[int], bool]]:
    """Notices SIGTERM, SIGHUP and the first Ctrl-C while it is open; a second Ctrl-C ends at once.

    Yields:
      A function of the step that tells whether to stop after it; all processes of a run get the
      same answer although the signal may have reached only one.
    """
    if jax.process_count() > 1:
        yield multihost_utils.reached_preemption_sync_point
        return
    if threading.current_thread() is not threading.main_thread():
        yield lambda step: False
        return
    asked = threading.Event()

    def ask(number: int, _: object) -> None:
        asked.set()
        if number == signal.SIGINT:
            print("saving; Ctrl-C again ends at once", flush=True)
            signal.signal(signal.SIGINT, signal.default_int_handler)

    before = {number: signal.signal(number, ask) for number in ASKS}
    try:
        yield lambda step: asked.is_set()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@dataclasses.dataclass(frozen=True)
class NonFinitePolicy:
    """How many updates without finite numbers a run tolerates.

    Attributes:
      patience: Number of such updates in a row after which the run goes back to its last
        checkpoint and skips the batches since then.
      rollbacks: Number of times that it goes back before it stops.
    """

    patience: int = 10
    rollbacks: int = 2

    def __post_init__(self):
        if self.patience < 1 or self.rollbacks < 0:
            raise UserError(
                f"non_finite needs patience >= 1 and rollbacks >= 0, got {self.patience} and "
                f"{self.rollbacks}"
            )


class NotFiniteError(UserError, FloatingPointError):
    """A run stops because its loss or gradient is not finite again and again.

    Attributes:
      first_batch: Number of the first batch of the last such updates.
      in_a_row: How many there were in a row.
    """

    def __init__(self, reason: str, first_batch: int, in_a_row: int):
        super().__init__(reason)
        self.first_batch, self.in_a_row = first_batch, in_a_row


class NonFiniteMonitor:
    """Counts updates that were skipped because loss or gradient was not finite.

    Attributes:
      policy: What is tolerated.
      in_a_row: Number of such updates up to the latest one.
      total: Number of such updates of this run.
      rollbacks: Number of times that the run went back.
    """

    def __init__(self, policy: NonFinitePolicy):
        self.policy, self.in_a_row, self.total, self.rollbacks = policy, 0, 0, 0

    def update(self, rows: list[dict[str, np.ndarray]]) -> list[dict[str, np.ndarray]]:
        """Counts the updates that these rows of metrics are of; returns the rows of real ones."""
        for row in rows:
            self.in_a_row = self.in_a_row + 1 if row["skipped"] else 0
            self.total += bool(row["skipped"])
        return [row for row in rows if not row["skipped"]]

    @property
    def should_roll_back(self) -> bool:
        """Whether the run should go back to its last checkpoint."""
        return self.in_a_row >= self.policy.patience

    def roll_back(self, step: int, skipped_batches: int) -> None:
        """Counts a roll-back.

        Raises:
          NotFiniteError: The run has gone back often enough.
        """
        if self.rollbacks == self.policy.rollbacks:
            raise NotFiniteError(
                f"loss or gradient were not finite in {self.in_a_row} updates in a row at step "
                f"{step}, after {self.rollbacks} roll-backs ({self.total} updates skipped in all); "
                "lower optim.learning_rate, set optim.clip, or raise objective.temperature, and "
                "start again in a new --workdir",
                step + skipped_batches - self.in_a_row,
                self.in_a_row,
            )
        self.rollbacks, self.in_a_row = self.rollbacks + 1, 0


def report_not_finite(
    workdir: pathlib.Path,
    error: NotFiniteError,
    feed: Iterable[dict[str, np.ndarray]],
    named: Callable[[int], str],
) -> None:
    """Writes not_finite.json, which names the recordings that a run could not get past."""
    bad = [
        {
            "batch": error.first_batch + i,
            "clips": [named(row) for row in batch["index"]],
            "finite": bool(np.isfinite(batch["mel"]).all()),
        }
        for i, batch in zip(range(error.in_a_row), feed, strict=False)
    ]
    save_json(workdir / "not_finite.json", {"reason": str(error), "batches": bad})
    print(f"the recordings of these batches are named in {workdir / 'not_finite.json'}")
