"""The one loop: every objective, pre-training and transfer alike, runs through here."""

import dataclasses
import time
from collections.abc import Callable, Iterator
from typing import Any

import jax
import numpy as np

from cryjax.train.log import MetricLog, Progress
from cryjax.train.mesh import shard_batch
from cryjax.train.state import Step, TrainState

Scores = dict[str, float]


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
      save: (step, state, scores) to disk; the scores are those of this step, else empty.
      log: Where rows go; None keeps none.
      quiet: Prints nothing.
    """

    name: str
    steps: int
    batch_size: int
    log_every: int = 20
    eval_every: int = 0
    save_every: int = 0
    evaluate: Callable[[TrainState], Scores] | None = None
    save: Callable[[int, TrainState, Scores], None] | None = None
    log: MetricLog | None = None
    quiet: bool = False

    def due(self, every: int, step: int) -> bool:
        """Whether something that happens every so many steps happens after this one."""
        return step == self.steps or (every > 0 and step % every == 0)


def _means(pending: list[dict[str, Any]], step: int) -> Scores:
    """Averages device metrics; the only place where the host waits for the device."""
    rows = jax.device_get(pending)
    means = {name: float(np.mean([row[name] for row in rows])) for name in rows[0]}
    if not np.isfinite(means["loss"]):
        raise FloatingPointError(
            f"the loss is not finite at step {step}; lower optim.learning_rate or raise "
            "objective.temperature, and continue from the last checkpoint"
        )
    return means


def run(
    state: TrainState,
    step_fn: Step,
    batches: Iterator[dict[str, np.ndarray]],
    key: jax.Array,
    mesh: jax.sharding.Mesh,
    plan: Run,
) -> TrainState:
    """Steps from `state.step` to the end; order within a step: update, log, evaluate, save.

    Args:
      state: Fresh or restored; donated.
      step_fn: From `make_step`.
      batches: Starting at the batch of `state.step`.
      key: Base of all randomness on the device; every step folds its number in.
      mesh: Over which the batch is split.
      plan: Everything else.
    """
    start = int(state.step)
    progress = Progress(
        plan.name, steps=plan.steps, step=start, batch_size=plan.batch_size, quiet=plan.quiet
    )
    pending: list[dict[str, Any]] = []
    for step in range(start + 1, plan.steps + 1):
        asked = time.perf_counter()
        batch = next(batches)
        progress.waited(time.perf_counter() - asked)
        state, metrics = step_fn(state, shard_batch(batch, mesh), key)
        pending.append(metrics)
        if plan.due(plan.log_every, step):
            values = _means(pending, step) | progress.rates(step)
            pending = []
            progress.show(step, values)
            if plan.log is not None:
                plan.log.write(step, values)
        scores: Scores = {}
        if plan.evaluate is not None and plan.due(plan.eval_every, step):
            scores = plan.evaluate(state)
            if plan.log is not None:
                plan.log.write(step, scores)
        if plan.save is not None and plan.due(plan.save_every, step):
            plan.save(step, state, scores)
    return state
