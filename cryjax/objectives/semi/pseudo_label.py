"""Pseudo-labels: the network's own confident predictions as labels (Lee 2013)."""

import dataclasses

import jax
from jaxtyping import Array

from cryjax.errors import UserError
from cryjax.objectives.semi.base import Logits, Ramp, SemiSettings, SemiSupervised
from cryjax.types import Metrics, RngKey, Scalar


@dataclasses.dataclass(frozen=True, kw_only=True)
class PseudoLabelSettings(SemiSettings):
    """Settings of pseudo-labels.

    Attributes:
      threshold: Smallest probability of a prediction that becomes a label, in [0, 1).
    """

    ramp: Ramp = Ramp(1.0, "linear", 0.1, 0.5)
    threshold: float = 0.95

    def __post_init__(self):
        if not 0 <= self.threshold < 1:
            raise UserError(f"pseudo_label.threshold must lie in [0, 1), got {self.threshold}")


class PseudoLabel(SemiSupervised):
    """L_u is the cross-entropy against the likeliest class where its probability is high enough.

    Divided by all unlabelled rows, so that a confident batch weighs more; with a threshold of 0 it
    is Lee's.
    """

    def unsupervised(self, mel: Array, key: RngKey) -> tuple[Scalar, Logits, Metrics]:
        """Scores pseudo-labels and logs how many rows have one ("coverage")."""
        logits = self.score(self.views_of(mel, key))
        log_p = jax.nn.log_softmax(logits)
        guess = jax.lax.stop_gradient(jax.nn.softmax(logits)).max(axis=-1)
        taken = (guess >= self.settings.threshold).astype(logits.dtype)
        return -(taken * log_p.max(axis=-1)).mean(), logits, {"coverage": taken.mean()}
