"""Cross-entropy on labels: probes, fine-tuning, training from scratch, supervised pre-training."""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from cryjax.augment import Policy
from cryjax.models.heads import Classifier, CosineClassifier
from cryjax.objectives import losses
from cryjax.objectives.base import OnViews
from cryjax.types import Batch, Fixed, Mel, Metrics, RngKey, Scalar, Views

HEADS = ("linear", "cosine")


class Supervised(OnViews):
    """An encoder and a classifier.

    Attributes:
      head: Maps features to logits.
      margin: Of the cosine head, in radians.
      scale: Of the cosine head.
      mixup: Beta parameter of mixup on normalised mels, 0 without it.
    """

    views = 1

    def __init__(
        self,
        encoder: Any,
        policy: Policy,
        *,
        class_weights: Sequence[float],
        head: str = "linear",
        angle: tuple[float, float] = (0.2, 30.0),
        mixup: float = 0.0,
        rngs: nnx.Rngs,
    ):
        """Args are the parts and settings.

        Args:
          encoder: With an attribute `features`.
          policy: Of augmentations; one that only normalises is uclser's choice.
          class_weights: Weight of each class in the loss; their number is that of the classes.
          head: "linear", or "cosine" with additive angular margin (Ubenwa).
          angle: Margin in radians and scale of the cosine head.
          mixup: Beta parameter, 0 without it; it and the cosine head take no class weights.
          rngs: For the head.
        """
        if head not in HEADS:
            raise ValueError(f"head must be one of {', '.join(HEADS)}, got {head!r}")
        if (mixup or head == "cosine") and set(class_weights) != {1.0}:
            raise ValueError("class weights need a linear head without mixup; balance by sampling")
        self.encoder, self.policy, self.cosine = encoder, policy, head == "cosine"
        self.class_weights = Fixed(jnp.asarray(class_weights, jnp.float32))
        kind = CosineClassifier if self.cosine else Classifier
        self.head = kind(encoder.features, len(class_weights), rngs=rngs)
        (self.margin, self.scale), self.mixup = angle, mixup

    def logits(self, mel: Mel) -> Float[Array, "batch classes"]:
        """Scores log-mel patches as they come from the shards."""
        scores = self.head(self.encoder(self.policy.normalise(mel)))
        return self.scale * scores if self.cosine else scores

    def represent(self, mel: Mel, features: str) -> Float[Array, "batch features"]:
        """The representation h of log-mels as they come from the shards; there is no z."""
        if features != "h":
            raise ValueError(f"features must be 'h' of a supervised encoder, got {features!r}")
        return self.encoder(self.policy.normalise(mel))

    def _mixed(self, key: RngKey, views: Views, targets: Array) -> tuple[Views, Array]:
        """Mixup (Zhang et al. 2018) with the batch in reverse, one weight a clip."""
        lam = jax.random.beta(key, self.mixup, self.mixup, (len(views),))
        blend = lambda x, w: w * x + (1 - w) * x[::-1]  # noqa: E731
        return blend(views, lam[:, None, None, None]), blend(targets, lam[:, None])

    def loss(self, batch: Batch, key: RngKey) -> tuple[Scalar, Metrics]:
        """See `Objective.loss`; one view a clip, labels as classes or as "target" distributions."""
        k_policy, k_mix = jax.random.split(key)
        views, labels = self.augment(batch, k_policy), batch["label"]
        soft = "target" in batch or self.mixup > 0
        targets = batch.get("target", jax.nn.one_hot(labels, self.class_weights.shape[0]))
        if self.mixup:
            views, targets = self._mixed(k_mix, views, targets)
        scores = self.head(self.encoder(views[:, 0]))
        hit = (scores.argmax(axis=-1) == labels).mean()
        if self.cosine:
            scores = losses.additive_angular_margin(
                scores, targets, margin=self.margin, scale=self.scale
            )
        if soft:
            return losses.soft_cross_entropy(scores, targets), {"accuracy": hit}
        weighted = losses.cross_entropy(scores, labels, self.class_weights[...])
        return weighted, {"accuracy": hit}
