"""COLA: two crops of a clip attract, by a bilinear or a cosine similarity."""

import dataclasses
from typing import Any

from flax import nnx

from cryjax.augment import Policy
from cryjax.errors import UserError
from cryjax.models.heads import ProjectorSettings, Similarity
from cryjax.objectives import losses
from cryjax.objectives.base import MultiViewObjective, mean_by_source
from cryjax.types import Batch, Metrics, RngKey, Scalar

SIMILARITIES = ("bilinear", "cosine")


@dataclasses.dataclass(frozen=True)
class COLASettings:
    """Settings of COLA.

    Attributes:
      name: Name of the objective.
      similarity: "bilinear" or "cosine".
      temperature: Divisor of the cosine similarities.
      batch_norm: "separate" or "joint" batch statistics of the two views in the encoder; what
        stands behind it sees one view at a time.
      projector: Sizes of the projector.
    """

    name: str = "cola"
    similarity: str = "bilinear"
    temperature: float = 0.2
    batch_norm: str = "separate"
    projector: ProjectorSettings = ProjectorSettings(layers=1, dim=512)

    def __post_init__(self):
        if self.similarity not in SIMILARITIES:
            raise UserError(
                f"similarity must be one of {', '.join(SIMILARITIES)}, got {self.similarity!r}"
            )


class COLA(MultiViewObjective):
    """Saeed et al. 2021, https://arxiv.org/abs/2010.10915.

    Args:
      encoder: Module with an attribute `features`.
      policy: Augmentations; the source has none but the crops.
      settings: Settings.
      rngs: Generators of the weights of projector and similarity.

    Attributes:
      similarity: The bilinear one with its layer norm; None for the cosine.
    """

    def __init__(
        self,
        encoder: Any,
        policy: Policy,
        settings: COLASettings = COLASettings(),
        *,
        rngs: nnx.Rngs,
    ):
        super().__init__(
            encoder,
            policy,
            projector=settings.projector,
            batch_norm=settings.batch_norm,
            rngs=rngs,
        )
        self.temperature, self.similarity = settings.temperature, nnx.data(None)
        if settings.similarity == "bilinear":
            self.similarity = Similarity(settings.projector.dim, rngs=rngs)

    def loss(self, batch: Batch, key: RngKey) -> tuple[Scalar, Metrics]:
        """Computes the cross-entropy of each anchor's row; see `Objective.loss`."""
        views = self.augment(batch, key)
        h1, h2 = self.of_each(self.encoder, views)
        z1, z2 = self.projector(h1), self.projector(h2)
        if self.similarity is None:
            scores = losses.l2_normalise(z1) @ losses.l2_normalise(z2).T / self.temperature
        else:
            scores = self.similarity(z1, z2)
        rows = losses.info_nce(scores)
        return rows.mean(), mean_by_source(rows, batch) | losses.collapse_metrics(h1, z1, z2)
