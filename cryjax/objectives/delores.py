"""DeLoRes: decorrelated low-dimensional representations, by one encoder (S) or two (M)."""

import dataclasses
from typing import Any

from flax import nnx

from cryjax.augment import Policy
from cryjax.errors import UserError
from cryjax.models.heads import Projector, ProjectorSettings
from cryjax.objectives import losses
from cryjax.objectives.base import EMATeacherObjective, MultiViewObjective, mean_by_source
from cryjax.objectives.queue import Queue
from cryjax.types import Batch, Metrics, RngKey, Scalar

BARLOW = ProjectorSettings(hidden=2048, dim=2048, layers=3, use_bias=False)


@dataclasses.dataclass(frozen=True)
class DeLoResSSettings:
    """Settings of DeLoRes-S.

    Attributes:
      name: Name of the objective.
      on_weight: Weight of the diagonal of the cross-correlation; 5e-5 / 32 in LAPE's release.
      off_weight: Weight of its other entries; 5e-5 / 32 in LAPE's release.
      batch_norm: "separate" or "joint" batch statistics of the two views in the encoder; what
        stands behind it sees one view at a time.
      projector: Sizes of the projector.
    """

    name: str = "delores_s"
    on_weight: float = 1.0
    off_weight: float = 0.0051
    batch_norm: str = "separate"
    projector: ProjectorSettings = BARLOW


class DeLoResS(MultiViewObjective):
    """Ghosh et al. 2022, https://arxiv.org/abs/2203.13628: Barlow Twins on sound.

    Args:
      encoder: Module with an attribute `features`.
      policy: Augmentations.
      settings: Settings.
      rngs: Generators of the projector's weights.
    """

    def __init__(
        self,
        encoder: Any,
        policy: Policy,
        settings: DeLoResSSettings = DeLoResSSettings(),
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
        self.weights = {"on_weight": settings.on_weight, "off_weight": settings.off_weight}

    def loss(self, batch: Batch, key: RngKey) -> tuple[Scalar, Metrics]:
        """Computes the Barlow Twins loss of both views; see `Objective.loss`."""
        views = self.augment(batch, key)
        h1, h2 = self.of_each(self.encoder, views)
        z1, z2 = self.projector(h1), self.projector(h2)
        loss, parts = losses.barlow(z1, z2, **self.weights)
        return loss, parts | losses.collapse_metrics(h1, z1, z2)


@dataclasses.dataclass(frozen=True)
class DeLoResMSettings:
    """Settings of DeLoRes-M.

    Attributes:
      name: Name of the objective.
      temperature: Divisor of the cosine similarities of instances.
      queue: Number of embeddings in the queue, a multiple of the batch.
      decay: Share that a teacher's parameter keeps of itself at every update.
      on_weight: Weight of the diagonals of the layers' cross-correlations.
      off_weight: Weight of their other entries.
      projector: Sizes of the projector of instances.
      tap_projector: Sizes of the projectors of layers.
    """

    name: str = "delores_m"
    temperature: float = 0.07
    queue: int = 65536
    decay: float = 0.999
    on_weight: float = 5e-5 / 32
    off_weight: float = 5e-5 / 32
    projector: ProjectorSettings = ProjectorSettings(layers=1, dim=128)
    tap_projector: ProjectorSettings = BARLOW


class DeLoResM(EMATeacherObjective):
    """Ghosh et al. 2022 (IEEE JSTSP 16:6): momentum contrast, and Barlow Twins layer by layer.

    Args:
      encoder: Module with `tapped` and `tap_features`, such as audio_ntt and vgg.
      policy: Augmentations.
      settings: Settings.
      rngs: Generators of the heads' weights and of the queue.

    Attributes:
      tap_heads: A projector for each layer, shared by student and teacher.
      queue: Embeddings of the teacher.
    """

    def __init__(
        self,
        encoder: Any,
        policy: Policy,
        settings: DeLoResMSettings = DeLoResMSettings(),
        *,
        rngs: nnx.Rngs,
    ):
        if not hasattr(encoder, "tapped"):
            raise UserError("delores_m compares layers: encoder.name must be audio_ntt or vgg")
        super().__init__(
            encoder, policy, decay=settings.decay, projector=settings.projector, rngs=rngs
        )
        self.settings, taps = settings, settings.tap_projector
        self.tap_heads = nnx.List([Projector(n, taps, rngs=rngs) for n in encoder.tap_features])
        self.queue = Queue(settings.queue, settings.projector.dim, rngs=rngs)

    def loss(self, batch: Batch, key: RngKey) -> tuple[Scalar, Metrics]:
        """Contrasts the student's first view with the teacher's second; see `Objective.loss`."""
        views = self.augment(batch, key)
        h, taps = self.encoder.tapped(views[:, 0])
        k, teacher_taps = self.teacher["encoder"].tapped(views[:, 1])
        q, k = self.projector(h), self.teacher["projector"](k)
        settings, negatives = self.settings, self.queue.items[...]
        rows = losses.info_nce_with_queue(q, k, negatives, temperature=settings.temperature)
        self.queue.push(k)
        weights = {"on_weight": settings.on_weight, "off_weight": settings.off_weight}
        parts = [
            losses.barlow(head(a), head(b), **weights)[0]
            for head, a, b in zip(self.tap_heads, taps, teacher_taps, strict=True)
        ]
        metrics = {f"layer{i}_loss": part for i, part in enumerate(parts, 1)}
        metrics |= {"instance_loss": rows.mean()} | mean_by_source(rows, batch)
        return rows.mean() + sum(parts), metrics | losses.collapse_metrics(h, q, k)
