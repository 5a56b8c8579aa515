"""L_s + alpha(t) L_u + beta R: a labelled and an unlabelled part of every batch."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from cryjax.objectives.supervised import Supervised
from cryjax.types import Batch, Count, Mel, Metrics, Moved, RngKey, Scalar

SHAPES = ("constant", "linear", "gaussian")
Logits = Float[Array, "batch classes"]


@dataclasses.dataclass(frozen=True)
class Ramp:
    """alpha(t), the weight of the unlabelled loss.

    Attributes:
      weight: Reached at `end`.
      shape: "constant"; "linear" from 0 at `start` (Lee 2013); "gaussian", weight times
        exp(-5 (1 - t / end)^2) (Laine & Aila 2017).
      start: Share of the run.
      end: Share of the run.
    """

    weight: float = 1.0
    shape: str = "gaussian"
    start: float = 0.0
    end: float = 0.3

    def __post_init__(self):
        if self.shape not in SHAPES:
            raise ValueError(f"ramp.shape must be one of {', '.join(SHAPES)}, got {self.shape!r}")
        if not 0 <= self.start < self.end <= 1:
            raise ValueError(f"ramp must have 0 <= start < end <= 1, got {self.start}, {self.end}")

    def at(self, share: Float[Array, "..."]) -> Float[Array, "..."]:
        """The weight after this share of the run."""
        risen = jnp.clip((share - self.start) / (self.end - self.start), 0, 1)
        if self.shape == "constant":
            return jnp.full_like(share, self.weight)
        if self.shape == "linear":
            return self.weight * risen
        return self.weight * jnp.exp(-5 * (1 - risen) ** 2)


def entropy(logits: Logits) -> Float[Array, " batch"]:
    """Of each predicted distribution, in nats."""
    log_p = jax.nn.log_softmax(logits)
    return -(jnp.exp(log_p) * log_p).sum(axis=-1)


def divergence(log_p: Logits, logits: Logits) -> Float[Array, " batch"]:
    """KL(p || softmax(logits)) of each row."""
    return (jnp.exp(log_p) * (log_p - jax.nn.log_softmax(logits))).sum(axis=-1)


class SemiSupervised(Supervised):
    """A supervised objective with a second, unlabelled stream; methods fill in `unsupervised`.

    The first `labelled` rows of a batch carry labels, the others are drawn from all training rows
    and their labels are never read. L_u is the mean over the unlabelled rows. Reference: van
    Engelen & Hoos 2020, section 2; practical card, section 5.

    Attributes:
      labelled: Rows of a global batch with labels.
      steps: Of the run, for the ramp.
      ramp: alpha(t).
      beta: Weight of R, the entropy of the predictions on unlabelled rows.
      move_statistics: Whether unlabelled passes move the running statistics of batch normalisation;
        by default they use their batch's and leave the running ones alone, as VAT's reference.
      step: Updates so far.
    """

    def __init__(
        self,
        encoder: Any,
        policy: Any,
        *,
        labelled: int,
        steps: int,
        ramp: dict[str, Any],
        beta: float = 0.0,
        move_statistics: bool = False,
        **settings: Any,
    ):
        super().__init__(encoder, policy, **settings)
        self.labelled, self.steps, self.ramp = labelled, steps, Ramp(**ramp)
        self.beta, self.move_statistics = beta, move_statistics
        self.step = Moved(jnp.zeros((), jnp.int32))

    def detached(self) -> Any:
        """The same parameters in a module whose statistics and counters nobody keeps."""
        graphdef, state = nnx.split(self)
        return nnx.merge(graphdef, nnx.to_pure_dict(state))  # plain arrays: new variables

    def views_of(self, mel: Float[Array, "batch views time mel"], key: RngKey) -> Mel:
        """One augmented and normalised view of each row."""
        return self.augment({"mel": mel}, key)[:, 0]

    def score(self, x: Mel) -> Logits:
        """Logits of augmented, normalised views in training mode."""
        return self.head(self.encoder(x))

    def unsupervised(self, mel: Array, key: RngKey) -> tuple[Scalar, Logits, Metrics]:
        """L_u, the logits that R is taken of, and what is worth a curve."""
        raise NotImplementedError

    def loss(self, batch: Batch, key: RngKey) -> tuple[Scalar, Metrics]:
        """See `Objective.loss`."""
        k_labelled, k_unlabelled = jax.random.split(key)
        own = {name: rows[: self.labelled] for name, rows in batch.items()}
        supervised, metrics = super().loss(own, k_labelled)
        model = self if self.move_statistics else self.detached()
        others = batch["mel"][self.labelled :]
        unsupervised, logits, more = model.unsupervised(others, k_unlabelled)
        alpha = self.ramp.at(self.step[...] / self.steps)
        uncertain = entropy(logits).mean()
        total = supervised + alpha * unsupervised + self.beta * uncertain
        parts = {
            "supervised": supervised,
            "unsupervised": unsupervised,
            "alpha": alpha,
            "entropy": uncertain,
        }
        return total, metrics | parts | more

    def after_update(self, step: Count) -> None:
        """See `Objective.after_update`."""
        self.step[...] = self.step[...] + 1
