"""Training on labels for evaluation: one step, one loop, a step chosen on validation."""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import numpy as np
from flax import nnx

from cryjax.data.batches import Sampling, make_batches
from cryjax.data.corpus import Corpus
from cryjax.data.parts import Split
from cryjax.data.pool import Pool
from cryjax.data.windows import Windows
from cryjax.encoder import PROGRAMS, make_forward, over_windows
from cryjax.evaluate.metrics import log_loss, score
from cryjax.evaluate.scoring import Scored, average_over, softmax
from cryjax.evaluate.training_settings import TrainingSettings
from cryjax.models.layers import in_eval_mode
from cryjax.train.log import MetricLog
from cryjax.train.loop import Batches, LoopSettings, run_loop
from cryjax.train.mesh import data_mesh, replicate
from cryjax.train.optim import OptimSettings, build_optimiser
from cryjax.train.state import Step, TrainState, create, make_step, merge_trees
from cryjax.train.variables import trainable


class Trained(NamedTuple):
    """What a training ended with.

    Attributes:
      val: (clips, classes) validation probabilities of the chosen step; NaN where none was.
      test: (clips, classes) test probabilities of the chosen step.
      extra: (clips, classes) probabilities of further clips that were asked for.
      curve: (validations, 2) step and validation metric.
      step: The chosen step; 0 where no validation was finite.
      objective: The trained module of that step; None where no validation was finite.
      train_accuracy: Accuracy of the last updates, on their labelled rows as they were augmented.
    """

    val: np.ndarray
    test: np.ndarray
    extra: np.ndarray
    curve: np.ndarray
    step: int
    objective: Any
    train_accuracy: float


def class_weights(labels: np.ndarray, classes: int, balance: str) -> list[float]:
    """Computes loss weights: inverse to the class shares for "loss", else one."""
    if balance != "loss":
        return [1.0] * classes
    counts = np.maximum(np.bincount(labels, minlength=classes), 1)
    return (len(labels) / (classes * counts)).tolist()


def _logits(objective: Any, mel: jax.Array) -> jax.Array:
    return objective.logits(mel)


@functools.lru_cache(maxsize=PROGRAMS)
def _step_of(graphdef: Any, chosen: Any, optim: OptimSettings, steps: int) -> Step:
    return make_step(graphdef, build_optimiser(optim, steps), chosen)


class Trainer:
    """Trains one kind of network on labels; what is compiled serves all seeds, folds and tasks.

    Args:
      name: Name shown in the progress line.
      build: Function of (seed, class weights) that returns a `Supervised` objective.
      what: What is trained; see `cryjax.train.variables.trainable`.
      settings: Resolved settings.
      windows: How clips are cut for validation and test, and how long training patches are.
      unlabelled: Clips of a second stream, and how many of them a batch has behind the labelled
        ones; None for none.
    """

    def __init__(
        self,
        name: str,
        build: Callable[[int, list[float]], Any],
        what: str,
        settings: TrainingSettings,
        windows: Windows,
        *,
        unlabelled: tuple[np.ndarray, int] | None = None,
    ):
        self.name, self.settings, self.windows = name, settings, windows
        self._build, self._what = build, what
        self._unlabelled, self._drawn = unlabelled or (np.zeros(0, int), 0)
        self._tx = build_optimiser(settings.optim, settings.steps)
        self._graphdef: Any = None

    def _start(self, seed: int, corpus: Corpus, split: Split) -> TrainState:
        """Makes a fresh state; step and forward pass are compiled once for all of its structure."""
        labels = corpus.labels[split.train]
        weights = class_weights(labels, len(corpus.classes), self.settings.balance)
        objective = self._build(seed, weights)
        if self._what == "head" and not self.settings.train_mode:
            objective = in_eval_mode(objective)
        chosen = trainable(objective, self._what)
        self._graphdef, state = create(objective, self._tx, chosen)
        self._step = _step_of(self._graphdef, chosen, self.settings.optim, self.settings.steps)
        self._forward, _ = make_forward(objective, _logits)
        self._policy = objective.policy
        return state

    def predict(self, arrays: Any, corpus: Corpus, rows: np.ndarray) -> np.ndarray:
        """Computes (clips, classes) probabilities, averaged over a clip's windows."""
        if not len(rows):
            return np.zeros((0, len(corpus.classes)))
        logits, owner = over_windows(
            self._forward, arrays, corpus.frames, rows, corpus.lengths[rows], self.windows
        )
        return average_over(softmax(logits), owner, len(rows))

    def fit(
        self,
        seed: int,
        corpus: Corpus,
        split: Split,
        *,
        log: MetricLog | None = None,
        extra: np.ndarray | None = None,
    ) -> Trained:
        """Trains with one seed, chooses the step on validation, scores the test part once.

        Args:
          seed: Seed of fresh weights and batches.
          corpus: A single prepared folder, or its embeddings; labels that may not be read are -1.
          split: Parts with disjoint groups.
          log: Where the curves of training and validation go.
          extra: More clips to score with the chosen step.
        """
        state = self._start(seed, corpus, split)
        settings, size = self.settings, self.settings.batch_size + self._drawn
        chooser = _Chooser(self, corpus, split)
        sampling = Sampling(
            self.windows.frames,
            balanced=settings.balance == "sampling",
            replay=self._drawn,
            backgrounds="both" if self._policy.needs_backgrounds else None,
        )
        pool = Pool(split.train, self._unlabelled)

        def batches(start: int) -> Batches:
            return make_batches(
                corpus, pool, sampling, batch_size=size, seed=seed, start_step=start
            )

        eval_every, mesh = settings.eval_every or settings.steps, data_mesh(size)
        loop = LoopSettings(
            f"{self.name} seed {seed}",
            settings.steps,
            size,
            evaluate=chooser.evaluate,
            is_finished=chooser.is_finished,
            hear=chooser.hear,
            log=log,
            log_every=min(50, eval_every),
            eval_every=eval_every,
        )
        run_loop(replicate(state, mesh), self._step, batches, jax.random.key(seed), mesh, loop)
        return chooser.trained(self._graphdef, np.zeros(0, int) if extra is None else extra)


class _Chooser:
    """Remembers the arrays of the best validation of a run."""

    def __init__(self, trainer: Trainer, corpus: Corpus, split: Split):
        self._trainer, self._corpus, self._split = trainer, corpus, split
        self._curve: list[tuple[int, float]] = []
        self._best: Any = None
        self._value, self._step, self._scores = -np.inf, 0, np.zeros(0)
        self._train_accuracy = np.nan

    def hear(self, metrics: dict[str, float]) -> None:
        """Keeps the accuracy of the latest updates, of which a long enough training knows all."""
        self._train_accuracy = metrics.get("accuracy", np.nan)

    def evaluate(self, state: TrainState) -> dict[str, float]:
        """Scores the part that selects, and keeps the state if it is the best so far."""
        settings = self._trainer.settings
        rows = self._split.parts()[settings.select_on]
        labels, groups = self._corpus.labels[rows], self._corpus.groups[rows]
        arrays = merge_trees(state.params, state.rest)
        scores = self._trainer.predict(arrays, self._corpus, rows)
        values = score(Scored.of(scores, labels, groups))
        value = values[settings.select]
        self._curve.append((int(state.step), value))
        if value > self._value:  # the earliest of equals; never one that is not finite
            self._value, self._step, self._scores = value, int(state.step), scores
            self._best = jax.device_get(arrays)
        named = {f"val_{name}": values[name] for name in {"accuracy", settings.select}}
        return {"val_loss": log_loss(scores, labels)} | named

    def is_finished(self) -> bool:
        """Tells whether validation has not improved for long enough."""
        patience = self._trainer.settings.patience
        if patience is None:
            return False
        since = [step for step, _ in self._curve if step > self._step]
        return len(since) >= patience

    def trained(self, graphdef: Any, extra: np.ndarray) -> Trained:
        """Scores the other parts with the chosen state; all are NaN where there is none."""
        parts = {"val": self._split.val, "test": self._split.test, "extra": extra}
        curve, classes = np.array(self._curve), len(self._corpus.classes)
        if self._best is None:
            nothing = {k: np.full((len(rows), classes), np.nan) for k, rows in parts.items()}
            return Trained(**nothing, curve=curve, step=0, objective=None, train_accuracy=np.nan)
        selecting = self._trainer.settings.select_on
        scores = {
            k: self._scores
            if k == selecting
            else self._trainer.predict(self._best, self._corpus, v)
            for k, v in parts.items()
        }
        module = nnx.merge(graphdef, self._best)
        known = self._train_accuracy
        return Trained(
            **scores, curve=curve, step=self._step, objective=module, train_accuracy=known
        )
