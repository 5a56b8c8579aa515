"""SimCLR: two augmented views of a clip attract, the rest of the batch repels."""

from typing import Any

import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from cryjax.augment import Policy
from cryjax.models.frontend import Standardise
from cryjax.models.heads import Projector
from cryjax.objectives import losses
from cryjax.types import Batch, Count, Mel, Metrics, RngKey, Scalar

BATCH_NORM = ("separate", "joint")
FEATURES = ("h", "z")


class SimCLR(nnx.Module):
    """Chen et al. 2020, https://arxiv.org/abs/2002.05709; for sound Fonseca et al. 2021.

    Attributes:
      encoder: Maps (batch, time, mel) to (batch, features).
      projector: Two-layer head of the loss; thrown away after pre-training.
    """

    def __init__(
        self,
        encoder: Any,
        policy: Policy,
        *,
        statistics: tuple[float, float],
        temperature: float = 0.2,
        projector: dict[str, Any] | None = None,
        batch_norm: str = "separate",
        rngs: nnx.Rngs,
    ):
        """Args are the parts and settings.

        Args:
          encoder: With an attribute `features`.
          policy: Of augmentations.
          statistics: Mean and standard deviation of the training mels, applied last.
          temperature: Of NT-Xent.
          projector: Settings of `Projector`.
          batch_norm: "separate": every view passes alone and has its own batch statistics, as
            released by uclser and Ubenwa; "joint": both views share them.
          rngs: For the projector.
        """
        if batch_norm not in BATCH_NORM:
            raise ValueError(f"batch_norm must be one of {BATCH_NORM}, got {batch_norm!r}")
        self.encoder, self.policy = encoder, policy
        self.standardise = Standardise(*statistics)
        self.temperature, self.joint = temperature, batch_norm == "joint"
        self.projector = Projector(encoder.features, **(projector or {}), rngs=rngs)

    def project(self, mel: Mel) -> Float[Array, "batch dim"]:
        """Encodes and projects one view, already augmented and standardised."""
        return self.projector(self.encoder(mel))

    def represent(self, mel: Mel, features: str) -> Float[Array, "batch dim"]:
        """The representation h or the projection z of log-mels as they come from the shards."""
        if features not in FEATURES:
            raise ValueError(f"features must be one of {FEATURES}, got {features!r}")
        h = self.encoder(self.standardise(mel))
        return h if features == "h" else self.projector(h)

    def loss(self, batch: Batch, key: RngKey) -> tuple[Scalar, Metrics]:
        """See `Objective.loss`."""
        mel = batch["mel"].astype(jnp.float32)
        background = batch.get("background")
        if background is not None:
            background = background.astype(jnp.float32)
        views = self.standardise(self.policy(key, mel, background))
        if self.joint:
            z1, z2 = jnp.split(self.project(jnp.concatenate([views[:, 0], views[:, 1]])), 2)
        else:
            z1, z2 = self.project(views[:, 0]), self.project(views[:, 1])
        alignment = (losses.l2_normalise(z1) * losses.l2_normalise(z2)).sum(axis=-1).mean()
        return losses.nt_xent(z1, z2, temperature=self.temperature), {"positive_cosine": alignment}

    def after_update(self, step: Count) -> None:
        """SimCLR has no state of its own."""
