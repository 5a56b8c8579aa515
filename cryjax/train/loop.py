"""The one loop: every objective, pre-training and transfer alike, runs through here."""

import dataclasses
import pathlib
import time
from collections.abc import Callable, Iterator

import jax
import numpy as np

from cryjax.train.faults import PreemptedError, Tolerance, Watch, listening
from cryjax.train.log import MetricLog, Progress
from cryjax.train.mesh import shard_batch
from cryjax.train.state import Step, TrainState

Scores = dict[str, float]
Batches = Iterator[dict[str, np.ndarray]]
TRACED = (3, 6)  # steps of this run after which a profile starts and ends


@dataclasses.dataclass(frozen=True)
class Run:
    """What a run does besides stepping.

    Attributes:
      name: Shown in the progress line.
      steps: Length of the whole run.
      batch_size: Global, for clips a second.
      log_every: Steps between rows of metrics.
      eval_every: Steps between calls of `evaluate`; the last step is always one.
      save_every: Steps between calls of `save`; the last step is always one.
      evaluate: State to scores, selection among them.
      save: (step, state, scores, passed) to disk; the scores are those of this step, else empty;
        passed is the number of batches passed over so far.
      restore: State of the last checkpoint, given the present one; the present one where there is
        none.
      passed: Batches passed over before this run was resumed.
      tolerance: Of numbers that are not finite; by default no roll-back.
      log: Where rows go; None keeps none.
      profile: Folder for a trace of a few steps; None makes none.
      quiet: Prints nothing.
    """

    name: str
    steps: int
    batch_size: int
    log_every: int = 20
    eval_every: int = 0
    save_every: int = 0
    evaluate: Callable[[TrainState], Scores] | None = None
    save: Callable[[int, TrainState, Scores, int], None] | None = None
    restore: Callable[[TrainState], TrainState] = lambda state: state
    passed: int = 0
    tolerance: Tolerance = dataclasses.field(default_factory=lambda: Tolerance(rollbacks=0))
    log: MetricLog | None = None
    profile: pathlib.Path | None = None
    quiet: bool = False

    def due(self, every: int, step: int) -> bool:
        """Whether something that happens every so many steps happens after this one."""
        return step == self.steps or (every > 0 and step % every == 0)

    def write(self, step: int, values: Scores) -> None:
        """Puts a row into the log, if there is one."""
        if self.log is not None and values:
            self.log.write(step, values)


class _Metrics:
    """Metrics on their way from the device to the log; reading is what the host waits for."""

    def __init__(self, watch: Watch):
        self.watch, self._pending, self._rows, self._skipped = watch, [], [], 0

    def add(self, metrics: dict[str, jax.Array]) -> None:
        """Takes a step's metrics without waiting for them."""
        self._pending.append(metrics)

    def read(self) -> None:
        """Waits for the device."""
        made = self.watch.see(jax.device_get(self._pending))
        self._skipped += len(self._pending) - len(made)
        self._rows, self._pending = self._rows + made, []

    def means(self) -> Scores:
        """Averages since the last call over the updates that were made; "skipped" counts others."""
        rows, means = self._rows, {"loss": float("nan")}
        if rows:
            means = {name: float(np.mean([row[name] for row in rows])) for name in rows[0]}
        means["skipped"] = float(self._skipped)
        self._rows, self._skipped = [], 0
        return means


def _trace(plan: Run, state: TrainState, done: int, step: int) -> None:
    """Starts and stops the profile after so many steps of this run."""
    if plan.profile is None or done > TRACED[1]:
        return
    if done == TRACED[0]:
        jax.block_until_ready(state)
        jax.profiler.start_trace(plan.profile)
    elif done > TRACED[0] and (done == TRACED[1] or step == plan.steps):
        jax.block_until_ready(state)
        jax.profiler.stop_trace()
        print(f"profile of steps {step - done + TRACED[0] + 1} to {step}: {plan.profile}")


def run(
    state: TrainState,
    step_fn: Step,
    batches: Callable[[int], Batches],
    key: jax.Array,
    mesh: jax.sharding.Mesh,
    plan: Run,
) -> TrainState:
    """Steps from `state.step` to the end; order within a step: update, log, evaluate, save.

    Args:
      state: Fresh or restored; donated.
      step_fn: From `make_step`.
      batches: Number of the first batch to the batches from there on.
      key: Base of all randomness on the device; every step folds its number in.
      mesh: Over which the batch is split.
      plan: Everything else.

    Raises:
      PreemptedError: SIGTERM came; the state is saved.
      NotFiniteError: Updates were not finite for longer than `plan.tolerance`.
    """
    start = step = int(state.step)
    progress = Progress(
        plan.name, steps=plan.steps, step=start, batch_size=plan.batch_size, quiet=plan.quiet
    )
    passed, feed = plan.passed, batches(start + plan.passed)
    metrics = _Metrics(Watch(plan.tolerance))
    with listening() as asked_to_stop:
        while step < plan.steps:
            asked = time.perf_counter()
            batch = next(feed)
            progress.waited(time.perf_counter() - asked)
            state, found = step_fn(state, shard_batch(batch, mesh), key)
            metrics.add(found)
            step += 1
            _trace(plan, state, step - start, step)
            stop = asked_to_stop(step) and step < plan.steps
            if stop or plan.due(plan.log_every, step) or plan.due(plan.save_every, step):
                metrics.read()
            if metrics.watch.lost:
                metrics.watch.go_back(step, passed)
                state, passed = _rolled_back(state, step, passed, plan)
                step = int(state.step)
                feed = batches(step + passed)
                progress.rates(step)
                continue
            scores = _report(plan, state, step, metrics, progress)
            save = plan.due(plan.save_every, step) and not metrics.watch.in_a_row
            if plan.save is not None and (save or stop or step == plan.steps):
                plan.save(step, state, scores, passed)
            if stop:
                raise PreemptedError(f"asked to stop after step {step} of {plan.steps}")
    return state


def _report(
    plan: Run, state: TrainState, step: int, metrics: _Metrics, progress: Progress
) -> Scores:
    """Logs and evaluates where due; returns the scores."""
    if plan.due(plan.log_every, step):
        values = metrics.means() | progress.rates(step)
        progress.show(step, values)
        plan.write(step, values)
    if plan.evaluate is None or not plan.due(plan.eval_every, step):
        return {}
    scores = plan.evaluate(state)
    plan.write(step, scores)
    return scores


def _rolled_back(state: TrainState, step: int, passed: int, plan: Run) -> tuple[TrainState, int]:
    """The last checkpoint's state, and the batches passed over with those since then."""
    state = plan.restore(state)
    back = int(state.step)
    if plan.log is not None:
        plan.log.rewind(back)
    if not plan.quiet:
        print(f"not finite: back from step {step} to {back}, the rows between are passed over")
    return state, passed + step - back
