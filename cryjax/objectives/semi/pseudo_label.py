"""The network's own sure guesses as labels (Lee 2013)."""

from typing import Any

import jax
from jaxtyping import Array

from cryjax.objectives.semi.base import Logits, SemiSupervised
from cryjax.types import Metrics, RngKey, Scalar


class PseudoLabel(SemiSupervised):
    """L_u: cross-entropy against the likeliest class where its probability passes a threshold.

    Divided by all unlabelled rows, so that a sure batch weighs more; with a threshold of 0 it is
    Lee's (card, section 5.4).

    Attributes:
      threshold: Smallest probability of a guess that counts.
    """

    def __init__(self, encoder: Any, policy: Any, *, threshold: float = 0.95, **settings: Any):
        super().__init__(encoder, policy, **settings)
        if not 0 <= threshold < 1:
            raise ValueError(f"pseudo_label.threshold must lie in [0, 1), got {threshold}")
        self.threshold = threshold

    def unsupervised(self, mel: Array, key: RngKey) -> tuple[Scalar, Logits, Metrics]:
        """See `SemiSupervised.unsupervised`; also the share of guesses that count."""
        logits = self.score(self.views_of(mel, key))
        log_p = jax.nn.log_softmax(logits)
        guess = jax.lax.stop_gradient(jax.nn.softmax(logits)).max(axis=-1)
        taken = (guess >= self.threshold).astype(logits.dtype)
        return -(taken * log_p.max(axis=-1)).mean(), logits, {"coverage": taken.mean()}
