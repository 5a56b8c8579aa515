"""SimCLR: two augmented views of a clip attract, all other views of the batch repel."""

import dataclasses
from typing import Any

from flax import nnx

from cryjax.augment import Policy
from cryjax.models.heads import Projector, ProjectorSettings
from cryjax.objectives import losses
from cryjax.objectives.base import MultiViewObjective, mean_by_source
from cryjax.types import Batch, Metrics, RngKey, Scalar


@dataclasses.dataclass(frozen=True)
class SimCLRSettings:
    """Settings of SimCLR.

    Attributes:
      name: Name of the objective.
      temperature: Divisor of the cosine similarities.
      batch_norm: "separate" or "joint" batch statistics of the two views in the encoder; what
        stands behind it sees one view at a time.
      predictor: Units of the hidden layer of a predictor behind the projector of both views, as
        in the code that Gorin et al. 2023 used; None is the classic SimCLR without one.
      projector: Sizes of the projector.
    """

    name: str = "simclr"
    temperature: float = 0.2
    batch_norm: str = "separate"
    predictor: int | None = None
    projector: ProjectorSettings = ProjectorSettings()


class SimCLR(MultiViewObjective):
    """Chen et al. 2020, https://arxiv.org/abs/2002.05709; on sound Fonseca et al. 2021.

    Args:
      encoder: Module with an attribute `features`.
      policy: Augmentations.
      settings: Settings.
      rngs: Generators of the heads' weights.

    Attributes:
      predictor: None, or the predictor.
    """

    def __init__(
        self,
        encoder: Any,
        policy: Policy,
        settings: SimCLRSettings = SimCLRSettings(),
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
        self.temperature, self.predictor = settings.temperature, nnx.data(None)
        if settings.predictor:
            dim = settings.projector.dim
            sizes = ProjectorSettings(settings.predictor, dim, use_bias=False, last_bias=True)
            self.predictor = Projector(dim, sizes, rngs=rngs)

    def loss(self, batch: Batch, key: RngKey) -> tuple[Scalar, Metrics]:
        """Computes NT-Xent over the batch; see `Objective.loss`."""
        views = self.augment(batch, key)
        h1, h2 = self.of_each(self.encoder, views)
        predict = self.predictor or (lambda z: z)
        z1, z2 = predict(self.projector(h1)), predict(self.projector(h2))
        rows = losses.nt_xent_rows(z1, z2, temperature=self.temperature)
        return rows.mean(), mean_by_source(rows, batch) | losses.collapse_metrics(h1, z1, z2)
