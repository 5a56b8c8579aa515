"""Judging an encoder by training on labels: one step, one loop, another filter."""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from cryjax.data.pipeline import Corpus, Pool, Sampling, make_batches
from cryjax.evaluate.embed import embed, make_forward, over_windows
from cryjax.evaluate.metrics import NAMES, log_loss, score
from cryjax.evaluate.scoring import average_over, softmax
from cryjax.models.layers import in_eval_mode
from cryjax.objectives.semi import SEMI
from cryjax.train.log import MetricLog
from cryjax.train.loop import Batches, Run, run
from cryjax.train.mesh import data_mesh, replicate
from cryjax.train.optim import OptimSettings, build_optimiser
from cryjax.train.state import TrainState, create, make_step, merge_trees
from cryjax.train.variables import trainable

UNTRAINED = ("scratch", *SEMI)  # modes that train fresh weights whole
FILTERS = {
    "linear": "linear",
    "random_linear": "linear",
    "linear_bn": "linear_bn",
    "finetune": "finetune",
    **dict.fromkeys(UNTRAINED, "finetune"),
}
BALANCE = ("sampling", "loss", "none")


@dataclasses.dataclass(frozen=True)
class Split:
    """Clip numbers of the three parts; every row is labelled."""

    train: np.ndarray
    val: np.ndarray
    test: np.ndarray


@dataclasses.dataclass(frozen=True)
class ProbeSettings:
    """How a probe is trained.

    Attributes:
      steps: Updates.
      batch_size: Clips an update.
      frames: Length of a window.
      hop: Frames between evaluation windows.
      balance: Against class imbalance: "sampling" draws classes alike, "loss" weighs them
        inversely to their share, "none".
      select: Metric of the validation part that picks the step.
      eval_every: Steps between validations.
      optim: Optimiser.
      released: As LAPE's code: a linear probe's encoder keeps batch statistics and dropout alive,
        and the step is picked on TEST. To repeat figures, never to report them.
    """

    steps: int
    batch_size: int
    frames: int
    hop: int
    balance: str
    select: str
    eval_every: int
    optim: OptimSettings
    released: bool = False

    def __post_init__(self):
        if self.balance not in BALANCE:
            raise ValueError(f"balance must be one of {', '.join(BALANCE)}, got {self.balance!r}")
        if self.select not in NAMES:
            raise ValueError(f"select must be one of {', '.join(NAMES)}, got {self.select!r}")


def class_weights(labels: np.ndarray, classes: int, balance: str) -> list[float]:
    """Loss weights: inverse to the class shares for "loss", else one."""
    if balance != "loss":
        return [1.0] * classes
    counts = np.maximum(np.bincount(labels, minlength=classes), 1)
    return (len(labels) / (classes * counts)).tolist()


class Probe:
    """One mode of judging on one split, compiled once for all seeds."""

    def __init__(
        self,
        mode: str,
        build: Callable[[int, list[float]], Any],
        corpus: Callable[[int], Corpus],
        split: Callable[[int], Split],
        settings: ProbeSettings,
        *,
        unlabelled: tuple[np.ndarray, int] | None = None,
    ):
        """Args decide what is trained on what.

        Args:
          mode: A key of `FILTERS`.
          build: (seed, class weights) to a `Supervised` objective.
          corpus: Seed to a single prepared folder, or to its embeddings by the seed's encoder.
          split: Seed to parts with disjoint groups; train may be smaller for fewer labels.
          settings: Of the training.
          unlabelled: Rows of a second stream and how many a batch has of them, behind the labelled
            ones.
        """
        if mode not in FILTERS:
            raise ValueError(f"mode must be one of {', '.join(FILTERS)}, got {mode!r}")
        self.mode, self.settings = mode, settings
        self._build, self._corpus, self._split = build, corpus, split
        self._unlabelled, self._drawn = unlabelled or (np.zeros(0, int), 0)
        self._tx = build_optimiser(settings.optim, settings.steps)
        self._compiled: tuple | None = None

    def _start(self, seed: int) -> tuple[TrainState, Any, Any]:
        """A fresh state, the step, and the forward pass; the last two are made once."""
        self.corpus, self.split = self._corpus(seed), self._split(seed)
        labels = self.corpus.labels[self.split.train]
        weights = class_weights(labels, len(self.corpus.classes), self.settings.balance)
        objective = self._build(seed, weights)
        if self.mode not in UNTRAINED:  # fresh statistics of batch norm say nothing about features
            objective.head.standardise_by(self._sample(objective))
        if FILTERS[self.mode] == "linear" and not self.settings.released:
            objective = in_eval_mode(objective)
        chosen = trainable(objective, FILTERS[self.mode])
        graphdef, state = create(objective, self._tx, chosen)
        self._graphdef = graphdef
        if self._compiled is None:
            forward, _ = make_forward(objective, lambda m, mel: m.logits(mel))
            self._compiled = make_step(graphdef, self._tx, chosen), forward
        return state, *self._compiled

    def _sample(self, objective: Any) -> jax.Array:
        """Features of every fourth training window, in evaluation mode."""
        settings = self.settings
        h, _ = embed(
            objective.encoder,
            self.corpus,
            self.split.train,
            normaliser=objective.policy.normaliser,
            frames=settings.frames,
            hop=4 * settings.hop,
        )
        return jnp.asarray(h)

    def predict(self, forward: Any, state: TrainState, rows: np.ndarray) -> np.ndarray:
        """(clips, classes) probabilities, averaged over a clip's windows."""
        arrays = merge_trees(state.params, state.rest)
        frames, hop = self.settings.frames, self.settings.hop
        logits, owner = over_windows(forward, arrays, self.corpus, rows, frames=frames, hop=hop)
        return average_over(softmax(logits), owner, len(rows))

    def fit(
        self,
        seed: int,
        *,
        log: MetricLog | None = None,
        extra: np.ndarray | None = None,
        keep: Callable[[Any, int], None] | None = None,
    ) -> dict[str, np.ndarray]:
        """Trains with one seed, picks the step on validation, scores the test part once.

        Args:
          seed: Of fresh weights, batches and labelled subset.
          log: Where the curves of training and validation go.
          extra: More clips to score with the chosen step.
          keep: Called with the objective of the chosen step and its number.

        Returns:
          "test" and "val" (clips, classes) probabilities of the chosen step, "curve" rows of
          (step, validation metric), "step" the chosen one; "extra" where asked for.
        """
        state, step, forward = self._start(seed)
        settings, size = self.settings, self.settings.batch_size + self._drawn
        mesh = data_mesh(size)
        curve: list[tuple[int, float]] = []
        best: dict[str, Any] = {"value": -np.inf}
        parts = {"val": self.split.val, "test": self.split.test}
        parts |= {} if extra is None else {"extra": extra}
        picked_on = "test" if settings.released else "val"
        selecting = parts.pop(picked_on)
        labels = self.corpus.labels[selecting]

        def evaluate(state: TrainState) -> dict[str, float]:
            scores = self.predict(forward, state, selecting)
            found = score(scores, labels)
            value = found[settings.select]
            curve.append((int(state.step), value))
            if value > best["value"]:  # the earliest of equals
                best.update(value=value, scores=scores, step=curve[-1][0])
                best["state"] = jax.device_get(state)
            named = {f"val_{name}": found[name] for name in {"accuracy", settings.select}}
            return {"val_loss": log_loss(scores, labels)} | named

        balanced = settings.balance == "sampling"
        sampling = Sampling(settings.frames, balanced=balanced, replay=self._drawn)
        pool = Pool(self.split.train, self._unlabelled)

        def batches(start: int) -> Batches:
            return make_batches(
                self.corpus, pool, sampling, batch_size=size, seed=seed, start_step=start
            )

        plan = Run(
            f"{self.mode} seed {seed}",
            settings.steps,
            size,
            evaluate=evaluate,
            log=log,
            log_every=min(50, settings.eval_every),
            eval_every=settings.eval_every,
        )
        run(replicate(state, mesh), step, batches, jax.random.key(seed), mesh, plan)
        if "state" not in best:
            raise FloatingPointError(f"{self.mode}: the validation {settings.select} is NaN")
        if keep is not None:
            arrays = merge_trees(best["state"].params, best["state"].rest)
            keep(nnx.merge(self._graphdef, arrays), best["step"])
        found = {"curve": np.array(curve), "step": np.array(best["step"])}
        found[picked_on] = best["scores"]
        return found | {k: self.predict(forward, best["state"], v) for k, v in parts.items()}
