"""L_s + alpha(t) L_u + beta R: a labelled and an unlabelled part of every batch."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from cryjax.errors import UserError
from cryjax.objectives.supervised import Supervised
from cryjax.types import Batch, Buffer, Count, Mel, Metrics, RngKey, Scalar

SHAPES = ("constant", "linear", "gaussian")
Logits = Float[Array, "batch classes"]


@dataclasses.dataclass(frozen=True)
class Ramp:
    """The weight alpha(t) of the unlabelled loss over a run.

    Attributes:
      weight: Weight that is reached at `end`.
      shape: "constant"; "linear" from 0 at `start` (Lee 2013); "gaussian", weight times
        exp(-5 (1 - t / end)^2) (Laine & Aila 2017).
      start: Share of the run at which a linear ramp begins.
      end: Share of the run at which the ramp ends.
    """

    weight: float = 1.0
    shape: str = "gaussian"
    start: float = 0.0
    end: float = 0.3

    def __post_init__(self):
        if self.shape not in SHAPES:
            raise UserError(f"ramp.shape must be one of {', '.join(SHAPES)}, got {self.shape!r}")
        if not 0 <= self.start < self.end <= 1:
            raise UserError(f"ramp must have 0 <= start < end <= 1, got {self.start}, {self.end}")

    def at(self, share: Float[Array, "..."]) -> Float[Array, "..."]:
        """Computes the weight after a share of the run in [0, 1]."""
        risen = jnp.clip((share - self.start) / (self.end - self.start), 0, 1)
        if self.shape == "constant":
            return jnp.full_like(share, self.weight)
        if self.shape == "linear":
            return self.weight * risen
        return self.weight * jnp.exp(-5 * (1 - risen) ** 2)


@dataclasses.dataclass(frozen=True, kw_only=True)
class SemiSettings:
    """What all semi-supervised methods set.

    Attributes:
      ramp: Weight of the unlabelled loss.
      beta: Weight of the mean entropy of predictions on unlabelled rows.
      move_statistics: Whether unlabelled passes move the running statistics of batch
        normalisation; by default they use their batch's and leave the running ones alone, as
        Miyato et al. 2018 do.
    """

    ramp: Ramp = Ramp()
    beta: float = 0.0
    move_statistics: bool = False


def entropy(logits: Logits) -> Float[Array, " batch"]:
    """Computes the entropy of each predicted distribution in nats."""
    log_p = jax.nn.log_softmax(logits)
    return -(jnp.exp(log_p) * log_p).sum(axis=-1)


def divergence(log_p: Logits, logits: Logits) -> Float[Array, " batch"]:
    """Computes KL(p || softmax(logits)) of each row in nats."""
    return (jnp.exp(log_p) * (log_p - jax.nn.log_softmax(logits))).sum(axis=-1)


class SemiSupervised(Supervised):
    """Supervised training with a second, unlabelled stream; methods fill in `unsupervised`.

    The first `labelled` rows of a batch carry labels; the others are drawn from all training clips
    and their labels are never read. L_u is the mean over the unlabelled rows (van Engelen & Hoos
    2020, section 2).

    Args:
      encoder: Module with an attribute `features`.
      policy: Augmentations; they are what is random in most methods.
      settings: Settings of the method.
      labelled: Number of rows of a global batch with labels.
      steps: Number of updates of the run, for the ramp.
      **supervised: Keyword arguments of `Supervised`.

    Attributes:
      reconstructs: Whether the constructor also takes `frames` and `mels`, the size of a patch.
      step: Number of updates so far.
    """

    reconstructs = False

    def __init__(
        self,
        encoder: Any,
        policy: Any,
        settings: Any,
        *,
        labelled: int,
        steps: int,
        **supervised: Any,
    ):
        super().__init__(encoder, policy, **supervised)
        self.settings, self.labelled, self.steps = settings, labelled, steps
        self.step = Buffer(jnp.zeros((), jnp.int32))

    def detached(self) -> Any:
        """Copies the module so that nobody keeps the copy's statistics and counters."""
        graphdef, state = nnx.split(self)
        return nnx.merge(graphdef, nnx.to_pure_dict(state))  # plain arrays: new variables

    def views_of(self, mel: Float[Array, "batch views time mel"], key: RngKey) -> Mel:
        """Augments and normalises one view of each row, (batch, time, mel)."""
        return self.augment({"mel": mel}, key)[:, 0]

    def score(self, x: Mel) -> Logits:
        """Scores augmented, normalised views in training mode, (batch, classes)."""
        return self.head(self.encoder(x))

    def unsupervised(self, mel: Array, key: RngKey) -> tuple[Scalar, Logits, Metrics]:
        """Computes the loss of unlabelled rows.

        Args:
          mel: (batch, views, time, mel) log-mels as stored.
          key: Key of all draws.

        Returns:
          The loss L_u, the logits that the entropy is taken of, and scalars for the log.
        """
        raise NotImplementedError

    def loss(self, batch: Batch, key: RngKey) -> tuple[Scalar, Metrics]:
        """Adds the supervised and the weighted unsupervised loss; see `Objective.loss`."""
        k_labelled, k_unlabelled = jax.random.split(key)
        own = {name: rows[: self.labelled] for name, rows in batch.items()}
        supervised, metrics = super().loss(own, k_labelled)
        model = self if self.settings.move_statistics else self.detached()
        others = batch["mel"][self.labelled :]
        unsupervised, logits, more = model.unsupervised(others, k_unlabelled)
        alpha = self.settings.ramp.at(self.step[...] / self.steps)
        uncertain = entropy(logits).mean()
        total = supervised + alpha * unsupervised + self.settings.beta * uncertain
        parts = {
            "supervised": supervised,
            "unsupervised": unsupervised,
            "alpha": alpha,
            "entropy": uncertain,
        }
        return total, metrics | parts | more

    def after_update(self, step: Count) -> None:
        """Counts the update."""
        self.step[...] = self.step[...] + 1
