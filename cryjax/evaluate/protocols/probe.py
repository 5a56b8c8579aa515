"""Probes: a classifier on an encoder that is frozen, adapted in its norms, or trained whole."""

import dataclasses
import functools
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

from cryjax.augment import AugmentSettings, PatchInfo, build_policy
from cryjax.data.batches import sample_patches
from cryjax.data.windows import Windows
from cryjax.encoder import BATCH, Encoder
from cryjax.evaluate.embeddings import PrecomputedEncoder, embedded_corpus
from cryjax.evaluate.protocols.base import EvaluationProtocol, Predictions
from cryjax.evaluate.task import EvaluationTask
from cryjax.evaluate.training import Trained, Trainer
from cryjax.evaluate.training_settings import TrainingSettings
from cryjax.objectives.supervised import Supervised
from cryjax.settings import to_dict
from cryjax.train.log import MetricLog

BATCHES = 16  # of training patches, which say what scale features have


@dataclasses.dataclass(frozen=True)
class Probe(EvaluationProtocol):
    """A linear classifier behind an encoder, trained step by step.

    Attributes:
      rule: Name of its settings in `ProbeSettings`.
      trains_what: "head", "head_and_norms" or "all"; see `cryjax.train.variables.trainable`.
    """

    rule: str = ""
    trains_what: str = "head"
    trains: bool = True

    def settings(self, task: EvaluationTask) -> Any:
        """Reads `probe.<rule>` and `augment`."""
        return [to_dict(self.training(task)), to_dict(task.settings.augment)]

    def training(self, task: EvaluationTask) -> TrainingSettings:
        """Returns the settings of its training."""
        return getattr(task.settings.probe, self.rule)

    def selects_by(self, task: EvaluationTask) -> tuple[str, str, str]:
        """Names what the step is selected by."""
        training = self.training(task)
        return training.select, training.select_on, f"probe.{self.rule}.select"

    def selection(self, task: EvaluationTask) -> str:
        """Names the metric that selects the step, and the part where it is not validation."""
        training = self.training(task)
        if training.select_on == "test":
            return f"step with the best {training.select} ON TEST, as released (LEAKY)"
        return f"step with the best {training.select} on val"

    def caveats(self, task: EvaluationTask) -> str:
        """Tells of a frozen encoder that is left in training mode."""
        moving = self.trains_what == "head" and self.training(task).train_mode
        return "the frozen encoder stays in training mode, as released" if moving else ""

    def is_precomputed(self, task: EvaluationTask) -> bool:
        """Tells whether the encoder never changes, so that it runs once and not at every step."""
        frozen = self.trains_what == "head" and not self.training(task).train_mode
        return frozen and task.settings.augment.order == ("normalise",)

    def run(self, task: EvaluationTask, seed: int, log: MetricLog | None = None) -> Predictions:
        """Trains the probe; see `EvaluationProtocol.run`."""
        trainer = self.trainer(task, seed)
        corpus = task.hidden(seed)
        if self.is_precomputed(task):
            made = task.embeddings(task.encoder(self.weights, seed))
            corpus = embedded_corpus(corpus, task.split.rows, made)
        return predictions(task, trainer.fit(seed, corpus, task.labelled(seed), log=log))

    def trainer(self, task: EvaluationTask, seed: int) -> Trainer:
        """Makes what trains; programs of equal networks are compiled once."""
        settings = self.training(task).resolved(len(task.labelled(seed).train))
        return self._make_trainer(task, settings)

    def _make_trainer(self, task: EvaluationTask, settings: TrainingSettings) -> Trainer:
        precomputed = self.is_precomputed(task)

        def build(seed: int, class_weights: list[float]) -> Supervised:
            encoder, rngs = task.encoder(self.weights, seed), nnx.Rngs(seed + 1)
            module, policy = nnx.clone(encoder.module, arrays=True), task.policy(encoder)
            if precomputed:
                module, plain = PrecomputedEncoder(encoder.features), PatchInfo(1, encoder.features)
                policy = build_policy(AugmentSettings(order=("normalise",)), plain)
            objective = Supervised(module, policy, class_weights=class_weights, rngs=rngs)
            self._standardise(task, encoder, objective)
            return objective

        windows = Windows(1, 1) if precomputed else task.windows
        return Trainer(self.rule, build, self.trains_what, settings, windows)

    def _standardise(self, task: EvaluationTask, encoder: Encoder, objective: Any) -> None:
        """Brings all features to one scale, by training recordings, labelled or not.

        A fresh encoder's features are tiny, and a fixed learning rate would measure their scale.
        Where training normalises by the statistics of batches, so do the features here: a fresh
        encoder's running statistics are those of nothing.
        """
        if self.trains_what == "head" and not self.training(task).train_mode:
            h = jnp.asarray(task.embeddings(encoder).of(0, len(task.split.train)).h)
        else:
            h = _features_in_training(task, encoder)
        objective.head.standardise_by(h)


def _features_in_training(task: EvaluationTask, encoder: Encoder) -> jnp.ndarray:
    """Encodes (patches, features) random training patches, each batch by its own statistics."""
    rows, frames = task.split.train, task.windows.frames
    patches = sample_patches(task.corpus, rows, frames=frames, seed=0)[: BATCHES * BATCH]
    graphdef, arrays = nnx.split(encoder.network)
    starts = range(0, max(1, len(patches) - len(patches) % BATCH), BATCH)
    return jnp.concatenate([_encode(graphdef, arrays, patches[i : i + BATCH]) for i in starts])


@functools.partial(jax.jit, static_argnums=0)  # compiled once for all seeds and folds
def _encode(graphdef: Any, arrays: Any, mel: jnp.ndarray) -> jnp.ndarray:
    return nnx.merge(graphdef, arrays)(mel)


@dataclasses.dataclass(frozen=True)
class FromScratch(Probe):
    """The whole network from fresh weights, without the encoder's help."""

    def _standardise(self, task: EvaluationTask, encoder: Encoder, objective: Any) -> None:
        """Leaves the head: statistics of fresh batch normalisation say nothing about features."""


def predictions(task: EvaluationTask, trained: Trained) -> Predictions:
    """Puts the result of a training into the form that every protocol returns."""
    warning = "" if trained.step else "the training diverged: no validation was finite"
    return Predictions(
        task.scored("val", trained.val),
        task.scored("test", trained.test),
        {"step": trained.step},
        trained.curve,
        trained.objective,
        warning,
        trained.train_accuracy,
    )
