"""Cross-entropy on labels: linear probe, linear+BN, fine-tuning and training from scratch."""

from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from cryjax.augment import Policy
from cryjax.models.frontend import Standardise
from cryjax.models.heads import Classifier
from cryjax.objectives import losses
from cryjax.types import Batch, Count, Mel, Metrics, RngKey, Scalar


class Supervised(nnx.Module):
    """An encoder and a linear classifier.

    Attributes:
      encoder: Maps (batch, time, mel) to (batch, features).
      head: Maps features to logits.
    """

    def __init__(
        self,
        encoder: Any,
        policy: Policy,
        *,
        statistics: tuple[float, float],
        class_weights: Sequence[float],
        rngs: nnx.Rngs,
    ):
        """Args are the parts and settings.

        Args:
          encoder: With an attribute `features`.
          policy: Of augmentations; an empty one is uclser's choice.
          statistics: Mean and standard deviation that the encoder expects to be taken out.
          class_weights: Weight of each class in the loss; their number is that of the classes.
          rngs: For the head.
        """
        self.encoder, self.policy = encoder, policy
        self.standardise = Standardise(*statistics)
        self.class_weights = tuple(class_weights)
        self.head = Classifier(encoder.features, len(self.class_weights), rngs=rngs)

    def logits(self, mel: Mel) -> Float[Array, "batch classes"]:
        """Scores log-mel patches as they come from the shards."""
        return self.head(self.encoder(self.standardise(mel)))

    def loss(self, batch: Batch, key: RngKey) -> tuple[Scalar, Metrics]:
        """See `Objective.loss`; one view a clip."""
        logits = self.logits(self.policy(key, batch["mel"].astype(jnp.float32))[:, 0])
        hit = (logits.argmax(axis=-1) == batch["label"]).mean()
        weights = jnp.asarray(self.class_weights)
        return losses.cross_entropy(logits, batch["label"], weights), {"accuracy": hit}

    def after_update(self, step: Count) -> None:
        """Nothing moves but by gradients."""
