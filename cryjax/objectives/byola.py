"""BYOL-A: a student predicts a teacher's projection of the other view; no negatives."""

from typing import Any

from flax import nnx

from cryjax.augment import Policy
from cryjax.models.heads import Projector
from cryjax.objectives import losses
from cryjax.objectives.base import WithTeacher, by_source
from cryjax.types import Batch, Metrics, RngKey, Scalar


class BYOLA(WithTeacher):
    """Niizumi et al. 2021, https://arxiv.org/abs/2103.06695, after Grill et al. 2020.

    Attributes:
      predictor: From the student's projection to the teacher's.
    """

    def __init__(
        self,
        encoder: Any,
        policy: Policy,
        *,
        projector: dict[str, Any] | None = None,
        decay: float = 0.99,
        batch_norm: str = "separate",
        rngs: nnx.Rngs,
    ):
        """Args are the parts and settings.

        Args:
          encoder: With an attribute `features`.
          policy: Of augmentations.
          projector: Of both projector and predictor; 4096 units and 256 outputs by default.
          decay: Of the teacher.
          batch_norm: See `OnViews`.
          rngs: For the heads.
        """
        projector = projector or {"hidden": 4096, "dim": 256}
        super().__init__(
            encoder, policy, decay=decay, projector=projector, batch_norm=batch_norm, rngs=rngs
        )
        self.predictor = Projector(self.projector.out.out_features, **projector, rngs=rngs)

    def loss(self, batch: Batch, key: RngKey) -> tuple[Scalar, Metrics]:
        """See `Objective.loss`."""
        views = self.augment(batch, key)
        h1, h2 = self.of_each(self.encoder, views)
        z1, z2 = self.projector(h1), self.projector(h2)
        t1, t2 = self.of_each(self.teach, views)
        rows = losses.cosine_distance(self.predictor(z1), t2)
        rows += losses.cosine_distance(self.predictor(z2), t1)
        return rows.mean(), by_source(rows, batch) | losses.health(h1, z1, z2)
