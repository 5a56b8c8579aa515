"""COLA: two crops of a clip attract, by a bilinear or a cosine similarity."""

from typing import Any

from flax import nnx

from cryjax.augment import Policy
from cryjax.models.heads import Similarity
from cryjax.objectives import losses
from cryjax.objectives.base import OnViews, by_source
from cryjax.types import Batch, Metrics, RngKey, Scalar

SIMILARITIES = ("bilinear", "cosine")


class COLA(OnViews):
    """Saeed et al. 2021, https://arxiv.org/abs/2010.10915.

    Attributes:
      similarity: The bilinear one with its layer norm, None for the cosine.
    """

    def __init__(
        self,
        encoder: Any,
        policy: Policy,
        *,
        projector: dict[str, Any] | None = None,
        similarity: str = "bilinear",
        temperature: float = 0.2,
        batch_norm: str = "separate",
        rngs: nnx.Rngs,
    ):
        """Args are the parts and settings.

        Args:
          encoder: With an attribute `features`.
          policy: Of augmentations; the source has none but the crops.
          projector: A single linear layer to 512 by default.
          similarity: "bilinear", or "cosine".
          temperature: Of the cosine.
          batch_norm: See `OnViews`.
          rngs: For projector and similarity.
        """
        if similarity not in SIMILARITIES:
            raise ValueError(f"similarity must be one of {SIMILARITIES}, got {similarity!r}")
        projector = projector or {"layers": 1, "dim": 512}
        super().__init__(encoder, policy, projector=projector, batch_norm=batch_norm, rngs=rngs)
        self.temperature, self.similarity = temperature, nnx.data(None)
        if similarity == "bilinear":
            self.similarity = Similarity(self.projector.out.out_features, rngs=rngs)

    def loss(self, batch: Batch, key: RngKey) -> tuple[Scalar, Metrics]:
        """See `Objective.loss`."""
        views = self.augment(batch, key)
        h1, h2 = self.of_each(self.encoder, views)
        z1, z2 = self.projector(h1), self.projector(h2)
        if self.similarity is None:
            scores = losses.l2_normalise(z1) @ losses.l2_normalise(z2).T / self.temperature
        else:
            scores = self.similarity(z1, z2)
        rows = losses.row_contrast(scores)
        return rows.mean(), by_source(rows, batch) | losses.health(h1, z1, z2)
