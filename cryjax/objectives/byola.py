"""BYOL-A: a student predicts a teacher's projection of the other view; there are no negatives."""

import dataclasses
from typing import Any

from flax import nnx

from cryjax.augment import Policy
from cryjax.models.heads import Projector, ProjectorSettings
from cryjax.objectives import losses
from cryjax.objectives.base import EMATeacherObjective, mean_by_source
from cryjax.types import Batch, Metrics, RngKey, Scalar


@dataclasses.dataclass(frozen=True)
class BYOLASettings:
    """Settings of BYOL-A.

    Attributes:
      name: Name of the objective.
      decay: Share that a teacher's parameter keeps of itself at every update.
      batch_norm: "separate" or "joint" batch statistics of the two views in the encoder; what
        stands behind it sees one view at a time.
      projector: Sizes of the projector and of the predictor.
    """

    name: str = "byola"
    decay: float = 0.99
    batch_norm: str = "separate"
    projector: ProjectorSettings = ProjectorSettings(hidden=4096, dim=256)


class BYOLA(EMATeacherObjective):
    """Niizumi et al. 2021, https://arxiv.org/abs/2103.06695, after Grill et al. 2020.

    Args:
      encoder: Module with an attribute `features`.
      policy: Augmentations.
      settings: Settings.
      rngs: Generators of the heads' weights.

    Attributes:
      predictor: Maps the student's projection to the teacher's.
    """

    def __init__(
        self,
        encoder: Any,
        policy: Policy,
        settings: BYOLASettings = BYOLASettings(),
        *,
        rngs: nnx.Rngs,
    ):
        super().__init__(
            encoder,
            policy,
            decay=settings.decay,
            projector=settings.projector,
            batch_norm=settings.batch_norm,
            rngs=rngs,
        )
        self.predictor = Projector(settings.projector.dim, settings.projector, rngs=rngs)

    def loss(self, batch: Batch, key: RngKey) -> tuple[Scalar, Metrics]:
        """Sums both directions of 2 - 2 cos; see `Objective.loss`."""
        views = self.augment(batch, key)
        h1, h2 = self.of_each(self.encoder, views)
        z1, z2 = self.projector(h1), self.projector(h2)
        t1, t2 = self.of_each(self.teach, views)
        rows = losses.cosine_distance(self.predictor(z1), t2)
        rows += losses.cosine_distance(self.predictor(z2), t1)
        return rows.mean(), mean_by_source(rows, batch) | losses.collapse_metrics(h1, z1, z2)
