"""What may go wrong in a run: it is asked to stop, or its numbers stop being numbers."""

import contextlib
import dataclasses
import signal
import threading
from collections.abc import Callable, Iterator

import jax
import numpy as np
from jax.experimental import multihost_utils


class PreemptedError(Exception):
    """The run was asked to stop, and has saved what it did."""


@contextlib.contextmanager
def listening() -> Iterator[Callable[[int], bool]]:
    """Notices SIGTERM while it is open.

    Yields:
      A function of the step that says whether to stop after it; all processes of a run get the
      same answer, though the signal may have reached one alone.
    """
    if jax.process_count() > 1:
        yield multihost_utils.reached_preemption_sync_point
        return
    if threading.current_thread() is not threading.main_thread():
        yield lambda step: False
        return
    asked = threading.Event()
    before = signal.signal(signal.SIGTERM, lambda *_: asked.set())
    try:
        yield lambda step: asked.is_set()
    finally:
        signal.signal(signal.SIGTERM, before)


@dataclasses.dataclass(frozen=True)
class Tolerance:
    """How many updates without finite numbers a run bears.

    Attributes:
      patience: In a row, before it goes back to the last checkpoint and passes over the rows
        since then.
      rollbacks: Of those, before it stops.
    """

    patience: int = 10
    rollbacks: int = 2

    def __post_init__(self):
        if self.patience < 1 or self.rollbacks < 0:
            raise ValueError(
                f"non_finite needs patience >= 1 and rollbacks >= 0, got {self.patience} and "
                f"{self.rollbacks}"
            )


class NotFiniteError(FloatingPointError):
    """A run that does not get past updates without finite numbers.

    Attributes:
      first_batch: Number of the first of the batches that had none.
      in_a_row: How many there were.
    """

    def __init__(self, reason: str, first_batch: int, in_a_row: int):
        super().__init__(reason)
        self.first_batch, self.in_a_row = first_batch, in_a_row


class Watch:
    """Counts skipped updates.

    Attributes:
      in_a_row: Of the latest updates.
      total: Of this run.
      rollbacks: Made so far.
    """

    def __init__(self, tolerance: Tolerance):
        self.tolerance, self.in_a_row, self.total, self.rollbacks = tolerance, 0, 0, 0

    def see(self, rows: list[dict[str, np.ndarray]]) -> list[dict[str, np.ndarray]]:
        """Counts the updates of these rows of metrics and returns those that were made."""
        for row in rows:
            self.in_a_row = self.in_a_row + 1 if row["skipped"] else 0
            self.total += bool(row["skipped"])
        return [row for row in rows if not row["skipped"]]

    @property
    def lost(self) -> bool:
        """Whether the run should go back."""
        return self.in_a_row >= self.tolerance.patience

    def go_back(self, step: int, passed: int) -> None:
        """Counts a roll-back, or ends the run.

        Raises:
          NotFiniteError: There were enough of them.
        """
        if self.rollbacks == self.tolerance.rollbacks:
            raise NotFiniteError(
                f"loss or gradient were not finite in {self.in_a_row} updates in a row at step "
                f"{step}, after {self.rollbacks} roll-backs ({self.total} updates skipped in all); "
                "lower optim.learning_rate, set optim.clip, or raise objective.temperature, and "
                "start again in a new --workdir",
                step + passed - self.in_a_row,
                self.in_a_row,
            )
        self.rollbacks, self.in_a_row = self.rollbacks + 1, 0
