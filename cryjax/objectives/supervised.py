"""Cross-entropy on labels: probes, fine-tuning, training from scratch, supervised pre-training."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from cryjax.augment import Policy
from cryjax.errors import UserError
from cryjax.models.heads import Classifier, CosineClassifier
from cryjax.objectives import losses
from cryjax.objectives.base import MultiViewObjective
from cryjax.types import Batch, Constant, Mel, Metrics, RngKey, Scalar, Views

HEADS = ("linear", "cosine")


@dataclasses.dataclass(frozen=True)
class SupervisedSettings:
    """Settings of supervised training.

    Attributes:
      name: Name of the objective.
      head: "linear", or "cosine" with an additive angular margin (Gorin et al. 2023).
      angle: Margin in radians and scale of the cosine head.
      mixup: Parameter of the beta distribution of mixup on normalised log-mels; 0 is without.
    """

    name: str = "supervised"
    head: str = "linear"
    angle: tuple[float, float] = (0.2, 30.0)
    mixup: float = 0.0

    def __post_init__(self):
        if self.head not in HEADS:
            raise UserError(f"head must be one of {', '.join(HEADS)}, got {self.head!r}")


class Supervised(MultiViewObjective):
    """An encoder and a classifier.

    Args:
      encoder: Module with an attribute `features`.
      policy: Augmentations; Fonseca et al. 2021 only normalise.
      settings: Settings.
      class_weights: Weight of each class in the loss; their number is that of the classes. The
        cosine head and mixup take none.
      rngs: Generators of the head's weights.

    Attributes:
      head: Maps representations to logits.
    """

    views = 1

    def __init__(
        self,
        encoder: Any,
        policy: Policy,
        settings: SupervisedSettings = SupervisedSettings(),
        *,
        class_weights: Sequence[float],
        rngs: nnx.Rngs,
    ):
        self.cosine = settings.head == "cosine"
        if (settings.mixup or self.cosine) and set(class_weights) != {1.0}:
            raise UserError("class weights need a linear head without mixup; balance by sampling")
        self.encoder, self.policy = encoder, policy
        self.class_weights = Constant(jnp.asarray(class_weights, jnp.float32))
        kind = CosineClassifier if self.cosine else Classifier
        self.head = kind(encoder.features, len(class_weights), rngs=rngs)
        (self.margin, self.scale), self.mixup = settings.angle, settings.mixup

    @property
    def classifier(self) -> Any:
        """Encoder and head that classify after training, by these names."""
        return {"encoder": self.encoder, "head": self.head}

    def logits(self, mel: Mel) -> Float[Array, "batch classes"]:
        """Scores log-mel patches as stored, (batch, classes)."""
        scores = self.head(self.encoder(self.policy.normalise(mel)))
        return self.scale * scores if self.cosine else scores

    def _mixed(self, key: RngKey, views: Views, targets: Array) -> tuple[Views, Array]:
        """Applies mixup (Zhang et al. 2018) with the batch in reverse, one weight for each clip."""
        lam = jax.random.beta(key, self.mixup, self.mixup, (len(views),))
        blend = lambda x, w: w * x + (1 - w) * x[::-1]  # noqa: E731
        return blend(views, lam[:, None, None, None]), blend(targets, lam[:, None])

    def loss(self, batch: Batch, key: RngKey) -> tuple[Scalar, Metrics]:
        """Computes the cross-entropy of one view of each clip; see `Objective.loss`.

        Labels are classes in "label", or distributions over the classes in "target".
        """
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
