"""The one training loop: every objective and every protocol that trains runs through it."""

import dataclasses
import pathlib
import time
from collections.abc import Callable, Iterator

import jax
import numpy as np

from cryjax.train.faults import (
    NonFiniteMonitor,
    NonFinitePolicy,
    PreemptedError,
    preemption_guard,
)
from cryjax.train.log import MetricLog, Progress
from cryjax.train.mesh import shard_batch
from cryjax.train.state import Step, TrainState

Scores = dict[str, float]
Batches = Iterator[dict[str, np.ndarray]]
TRACED = (3, 6)  # steps of this run after which a profile starts and ends
QUEUED = 2  # steps that the host may be ahead of the device


@dataclasses.dataclass(frozen=True)
class LoopSettings:
    """What a run does besides stepping.

    Attributes:
      name: Name shown in the progress line.
      steps: Length of the whole run in updates.
      batch_size: Rows of a global batch, to compute clips per second.
      log_every: Steps between rows of metrics.
      eval_every: Steps between calls of `evaluate`; it is called after the last step too.
      save_every: Steps between calls of `save`; it is called after the last step too.
      evaluate: Function of the state that returns scores.
      is_finished: Whether the run may end after an evaluation, before its last step.
      save: Function of (step, state, scores, skipped batches) that writes a checkpoint; scores are
        those of this step, maybe none.
      restore: Function of the present state that returns that of the last checkpoint, or the
        present one where there is none.
      skipped_batches: Batches that had been passed over before this run was resumed.
      non_finite: What is tolerated of updates that are not finite; None ends the run where a
        roll-back would be due, without an error.
      hear: Function that is given the metrics of the updates since it was last called, when they
        are logged.
      log: Where rows of metrics go; None keeps none.
      profile: Folder for a trace of a few steps; None makes none.
      quiet: Whether nothing is printed.
    """

    name: str
    steps: int
    batch_size: int
    log_every: int = 20
    eval_every: int = 0
    save_every: int = 0
    evaluate: Callable[[TrainState], Scores] | None = None
    is_finished: Callable[[], bool] = lambda: False
    save: Callable[[int, TrainState, Scores, int], None] | None = None
    restore: Callable[[TrainState], TrainState] = lambda state: state
    skipped_batches: int = 0
    non_finite: NonFinitePolicy | None = None
    hear: Callable[[Scores], None] = lambda metrics: None
    log: MetricLog | None = None
    profile: pathlib.Path | None = None
    quiet: bool = False

    def due(self, every: int, step: int) -> bool:
        """Tells whether something that happens every so many steps happens after this one."""
        return step == self.steps or (every > 0 and step % every == 0)

    def write(self, step: int, values: Scores) -> None:
        """Adds a row to the log, if there is one."""
        if self.log is not None and values:
            self.log.write(step, values)


class _Metrics:
    """Metrics on their way from the device to the log."""

    def __init__(self, monitor: NonFiniteMonitor):
        self.monitor, self._pending, self._rows, self._skipped = monitor, [], [], 0

    def add(self, metrics: dict[str, jax.Array]) -> None:
        """Takes a step's metrics; waits for earlier steps only, so that few are ever queued."""
        self._pending.append(metrics)
        if len(self._pending) > QUEUED:
            jax.block_until_ready(self._pending[-QUEUED - 1]["loss"])

    def read(self) -> None:
        """Waits for the device and reads the metrics of all steps so far."""
        made = self.monitor.update(jax.device_get(self._pending))
        self._skipped += len(self._pending) - len(made)
        self._rows, self._pending = self._rows + made, []

    def means(self) -> Scores:
        """Averages over the updates since the last call; "skipped" counts those not made."""
        rows, means = self._rows, {"loss": float("nan")}
        if rows:
            means = {name: float(np.mean([row[name] for row in rows])) for name in rows[0]}
        means["skipped"] = float(self._skipped)
        self._rows, self._skipped = [], 0
        return means


def _trace(settings: LoopSettings, state: TrainState, done: int, step: int) -> None:
    """Starts and stops the profile after so many steps of this run."""
    if settings.profile is None or done > TRACED[1]:
        return
    if done == TRACED[0]:
        jax.block_until_ready(state)
        jax.profiler.start_trace(settings.profile)
    elif done > TRACED[0] and (done == TRACED[1] or step == settings.steps):
        jax.block_until_ready(state)
        jax.profiler.stop_trace()
        print(f"profile of steps {step - done + TRACED[0] + 1} to {step}: {settings.profile}")


def run_loop(
    state: TrainState,
    step_fn: Step,
    batches: Callable[[int], Batches],
    key: jax.Array,
    mesh: jax.sharding.Mesh,
    settings: LoopSettings,
) -> TrainState:
    """Steps from `state.step` to the end; the order within a step is update, log, evaluate, save.

    Args:
      state: Fresh or restored state; its buffers are donated.
      step_fn: Function from `make_step`.
      batches: Function of the number of a batch that returns the batches from there on.
      key: Base of all randomness on the device; every step folds its number in.
      mesh: Devices that the batch is split over.
      settings: Everything else.

    Raises:
      PreemptedError: SIGTERM came; the state is saved.
      NotFiniteError: Updates were not finite for longer than `settings.non_finite` tolerates.
    """
    start = step = int(state.step)
    progress = Progress(
        settings.name,
        steps=settings.steps,
        step=start,
        batch_size=settings.batch_size,
        quiet=settings.quiet,
    )
    skipped, feed = settings.skipped_batches, batches(start + settings.skipped_batches)
    metrics = _Metrics(NonFiniteMonitor(settings.non_finite or NonFinitePolicy()))
    with preemption_guard() as asked_to_stop:
        while step < settings.steps:
            asked = time.perf_counter()
            batch = next(feed)
            progress.waited(time.perf_counter() - asked)
            state, step_metrics = step_fn(state, shard_batch(batch, mesh), key)
            metrics.add(step_metrics)
            step += 1
            _trace(settings, state, step - start, step)
            stop = asked_to_stop(step) and step < settings.steps
            if stop or any(
                settings.due(e, step)
                for e in (settings.log_every, settings.save_every, settings.eval_every)
            ):
                metrics.read()
            if metrics.monitor.should_roll_back:
                if settings.non_finite is None:
                    said = "diverged, loss or gradient are not finite; ends at"
                    print(f"{settings.name}: {said} {step}")
                    break
                metrics.monitor.roll_back(step, skipped)
                state, skipped = _rolled_back(state, step, skipped, settings)
                step = int(state.step)
                feed = batches(step + skipped)
                progress.rates(step)
                continue
            scores = _report(settings, state, step, metrics, progress)
            wanted = scores or stop or settings.due(settings.save_every, step)
            good = not metrics.monitor.in_a_row  # else the last checkpoint is from before
            if settings.save is not None and ((wanted and good) or step == settings.steps):
                settings.save(step, state, scores, skipped)
            if stop:
                raise PreemptedError(f"asked to stop after step {step} of {settings.steps}")
            if scores and settings.is_finished():
                break
    return state


def _report(
    settings: LoopSettings, state: TrainState, step: int, metrics: _Metrics, progress: Progress
) -> Scores:
    """Logs and evaluates where due; returns the scores."""
    if settings.due(settings.log_every, step):
        values = metrics.means() | progress.rates(step)
        settings.hear(values)
        progress.show(step, values)
        settings.write(step, values)
    if settings.evaluate is None or not settings.due(settings.eval_every, step):
        return {}
    scores = settings.evaluate(state)
    settings.write(step, scores)
    return scores


def _rolled_back(
    state: TrainState, step: int, skipped: int, settings: LoopSettings
) -> tuple[TrainState, int]:
    """Returns the last checkpoint's state, and the batches skipped with those since then."""
    state = settings.restore(state)
    back = int(state.step)
    if settings.log is not None:
        settings.log.rewind(back)
    if not settings.quiet:
        print(f"not finite: back from step {step} to {back}, the batches between are skipped")
    return state, skipped + step - back
