"""SimCLR: two augmented views of a clip attract, the rest of the batch repels."""

from typing import Any

from flax import nnx

from cryjax.augment import Policy
from cryjax.models.heads import Projector
from cryjax.objectives import losses
from cryjax.objectives.base import OnViews, by_source
from cryjax.types import Batch, Metrics, RngKey, Scalar


class SimCLR(OnViews):
    """Chen et al. 2020, https://arxiv.org/abs/2002.05709; for sound Fonseca et al. 2021.

    Attributes:
      predictor: None, or a bottleneck after the projector of both views (Ubenwa's released code).
    """

    def __init__(
        self,
        encoder: Any,
        policy: Policy,
        *,
        temperature: float = 0.2,
        projector: dict[str, Any] | None = None,
        batch_norm: str = "separate",
        predictor: int = 0,
        rngs: nnx.Rngs,
    ):
        """Args are the parts and settings.

        Args:
          encoder: With an attribute `features`.
          policy: Of augmentations.
          temperature: Of NT-Xent.
          projector: Settings of `Projector`.
          batch_norm: "separate": every view passes alone and has its own batch statistics, as
            released by uclser and Ubenwa; "joint": both views share them.
          predictor: Units of the predictor's hidden layer; 0 is the classic SimCLR without one.
          rngs: For projector and predictor.
        """
        projector = projector or {}
        super().__init__(encoder, policy, projector=projector, batch_norm=batch_norm, rngs=rngs)
        self.temperature, self.predictor = temperature, nnx.data(None)
        if predictor:
            dim = self.projector.out.out_features
            self.predictor = Projector(dim, hidden=predictor, dim=dim, use_bias=False, rngs=rngs)

    def loss(self, batch: Batch, key: RngKey) -> tuple[Scalar, Metrics]:
        """See `Objective.loss`."""
        views = self.augment(batch, key)
        h1, h2 = self.of_each(self.encoder, views)
        predict = self.predictor or (lambda z: z)
        z1, z2 = predict(self.projector(h1)), predict(self.projector(h2))
        rows = losses.nt_xent_rows(z1, z2, temperature=self.temperature)
        return rows.mean(), by_source(rows, batch) | losses.health(h1, z1, z2)
