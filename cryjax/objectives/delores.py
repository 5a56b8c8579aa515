"""DeLoRes: decorrelated low-dimensional representations, by one encoder (S) or two (M)."""

import dataclasses
from typing import Any

from flax import nnx

from cryjax.augment import Policy
from cryjax.models.heads import Projector
from cryjax.objectives import losses
from cryjax.objectives.base import OnViews, WithTeacher, by_source
from cryjax.objectives.queue import Queue
from cryjax.types import Batch, Metrics, RngKey, Scalar

BARLOW = {"hidden": 2048, "dim": 2048, "layers": 3, "use_bias": False}


class DeLoResS(OnViews):
    """Ghosh et al. 2022, https://arxiv.org/abs/2203.13628: Barlow Twins on sound."""

    def __init__(
        self,
        encoder: Any,
        policy: Policy,
        *,
        projector: dict[str, Any] | None = None,
        on_weight: float = 1.0,
        off_weight: float = 0.0051,
        batch_norm: str = "separate",
        rngs: nnx.Rngs,
    ):
        """Args are the parts and settings.

        Args:
          encoder: With an attribute `features`.
          policy: Of augmentations.
          projector: Three layers of 2048 without biases by default, as LAPE.
          on_weight: Of the diagonal; LAPE has 5e-5 / 32.
          off_weight: Of the rest; LAPE has 5e-5 / 32 here too.
          batch_norm: See `OnViews`.
          rngs: For the projector.
        """
        projector = projector or BARLOW
        super().__init__(encoder, policy, projector=projector, batch_norm=batch_norm, rngs=rngs)
        self.weights = {"on_weight": on_weight, "off_weight": off_weight}

    def loss(self, batch: Batch, key: RngKey) -> tuple[Scalar, Metrics]:
        """See `Objective.loss`."""
        views = self.augment(batch, key)
        h1, h2 = self.of_each(self.encoder, views)
        z1, z2 = self.projector(h1), self.projector(h2)
        loss, parts = losses.barlow(z1, z2, **self.weights)
        return loss, parts | losses.health(h1, z1, z2)


@dataclasses.dataclass(frozen=True)
class MomentumSettings:
    """Of the losses of DeLoRes-M.

    Attributes:
      tap_projector: Of the taps; empty is as DeLoRes-S.
      queue: Its size, a multiple of the batch.
      temperature: Of instances.
      on_weight: Of the taps' diagonals.
      off_weight: Of the rest.
    """

    tap_projector: dict[str, Any] = dataclasses.field(default_factory=dict)
    queue: int = 65536
    temperature: float = 0.07
    on_weight: float = 5e-5 / 32
    off_weight: float = 5e-5 / 32


class DeLoResM(WithTeacher):
    """Ghosh et al. 2022 (IEEE JSTSP 16:6): momentum contrast, and Barlow Twins layer by layer.

    Attributes:
      tap_heads: A Barlow projector a tapped layer, for student and teacher alike.
      queue: Teacher embeddings.
    """

    def __init__(
        self,
        encoder: Any,
        policy: Policy,
        *,
        projector: dict[str, Any] | None = None,
        decay: float = 0.999,
        rngs: nnx.Rngs,
        **settings: Any,
    ):
        """Args are the parts and settings.

        Args:
          encoder: With `tapped` and `tap_features`, such as audio_ntt and vgg.
          policy: Of augmentations.
          projector: Of instances; a single linear layer to 128 by default.
          decay: Of the teacher.
          rngs: For the heads and the queue.
          **settings: See `MomentumSettings`.
        """
        if not hasattr(encoder, "tapped"):
            raise ValueError("delores_m compares layers: encoder.name must be audio_ntt or vgg")
        projector = projector or {"layers": 1, "dim": 128}
        super().__init__(encoder, policy, decay=decay, projector=projector, rngs=rngs)
        self.settings = chosen = MomentumSettings(**settings)
        taps = chosen.tap_projector or BARLOW
        self.tap_heads = nnx.List([Projector(n, **taps, rngs=rngs) for n in encoder.tap_features])
        self.queue = Queue(chosen.queue, self.projector.out.out_features, rngs=rngs)

    def loss(self, batch: Batch, key: RngKey) -> tuple[Scalar, Metrics]:
        """See `Objective.loss`; one direction: the student's first view, the teacher's second."""
        views = self.augment(batch, key)
        h, taps = self.encoder.tapped(views[:, 0])
        k, teacher_taps = self.teacher["encoder"].tapped(views[:, 1])
        q, k = self.projector(h), self.teacher["projector"](k)
        chosen, negatives = self.settings, self.queue.items[...]
        rows = losses.queue_contrast(q, k, negatives, temperature=chosen.temperature)
        self.queue.push(k)
        parts = [
            losses.barlow(
                head(a), head(b), on_weight=chosen.on_weight, off_weight=chosen.off_weight
            )[0]
            for head, a, b in zip(self.tap_heads, taps, teacher_taps, strict=True)
        ]
        metrics = {f"layer{i}_loss": part for i, part in enumerate(parts, 1)}
        metrics |= {"instance_loss": rows.mean()} | by_source(rows, batch)
        return rows.mean() + sum(parts), metrics | losses.health(h, q, k)
