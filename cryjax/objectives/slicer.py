"""SLICER: instances against a teacher's queue, clusters against clusters."""

import dataclasses
from typing import Any

from flax import nnx

from cryjax.augment import Policy
from cryjax.errors import UserError
from cryjax.models.heads import Projector, ProjectorSettings
from cryjax.objectives import losses
from cryjax.objectives.base import EMATeacherObjective, mean_by_source
from cryjax.objectives.queue import Queue
from cryjax.types import Batch, Metrics, RngKey, Scalar

QUEUE_UPDATES = ("after_both", "sequential")


@dataclasses.dataclass(frozen=True)
class SLICERSettings:
    """Settings of SLICER.

    Attributes:
      name: Name of the objective.
      temperature: Divisor of the cosine similarities of instances.
      queue: Number of embeddings in the queue, a multiple of the batch.
      queue_update: "after_both" directions are scored; or "sequential", as LAPE's release: the
        keys of the first direction enter before the second is scored and are false negatives.
      clusters: Number of clusters.
      cluster_temperature: Divisor of the cosine similarities of clusters.
      cluster_weight: Weight of the cluster loss.
      entropy_weight: Weight of the entropy within the cluster loss; 0 in LAPE's release.
      decay: Share that a teacher's parameter keeps of itself at every update; LAPE's release
        moves it twice a step, which is 0.998001.
      batch_norm: "separate" or "joint" batch statistics of the two views in the encoder; what
        stands behind it sees one view at a time.
      projector: Sizes of the projector of instances.
    """

    name: str = "slicer"
    temperature: float = 0.07
    queue: int = 65536
    queue_update: str = "after_both"
    clusters: int = 128
    cluster_temperature: float = 1.0
    cluster_weight: float = 1.0
    entropy_weight: float = 1.0
    decay: float = 0.999
    batch_norm: str = "separate"
    projector: ProjectorSettings = ProjectorSettings(layers=1, dim=128)

    def __post_init__(self):
        if self.queue_update not in QUEUE_UPDATES:
            raise UserError(
                f"queue_update must be one of {', '.join(QUEUE_UPDATES)}, got {self.queue_update!r}"
            )


class SLICER(EMATeacherObjective):
    """Seth et al. 2023, https://arxiv.org/abs/2211.01519.

    Args:
      encoder: Module with an attribute `features`.
      policy: Augmentations.
      settings: Settings.
      rngs: Generators of the heads' weights and of the queue.

    Attributes:
      cluster_head: Maps representations to cluster logits, of the student alone.
      queue: Embeddings of both views by the teacher.
    """

    def __init__(
        self,
        encoder: Any,
        policy: Policy,
        settings: SLICERSettings = SLICERSettings(),
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
        self.settings, n = settings, encoder.features
        head = ProjectorSettings(hidden=n, dim=settings.clusters, norm=False)
        self.cluster_head = Projector(n, head, rngs=rngs)
        self.queue = Queue(settings.queue, settings.projector.dim, rngs=rngs)

    def _instance_rows(self, queries: tuple, keys: tuple) -> Any:
        """Sums the losses of each clip over both directions and puts the keys into the queue.

        View a of the student is contrasted with view b of the teacher, and b with a.
        """
        (q_a, q_b), (k_a, k_b) = queries, keys
        temperature, negatives = self.settings.temperature, self.queue.items[...]
        rows = losses.info_nce_with_queue(q_a, k_b, negatives, temperature=temperature)
        self.queue.push(k_b)
        if self.settings.queue_update == "sequential":
            negatives = self.queue.items[...]
        rows += losses.info_nce_with_queue(q_b, k_a, negatives, temperature=temperature)
        self.queue.push(k_a)
        return rows

    def loss(self, batch: Batch, key: RngKey) -> tuple[Scalar, Metrics]:
        """Adds instance loss and weighted cluster loss; see `Objective.loss`."""
        views, settings = self.augment(batch, key), self.settings
        h_a, h_b = self.of_each(self.encoder, views)
        queries = self.projector(h_a), self.projector(h_b)
        rows = self._instance_rows(queries, self.of_each(self.teach, views))
        cluster = losses.cluster_contrast(
            self.cluster_head(h_a),
            self.cluster_head(h_b),
            temperature=settings.cluster_temperature,
            entropy_weight=settings.entropy_weight,
        )
        metrics = {"instance_loss": rows.mean(), "cluster_loss": cluster}
        metrics |= mean_by_source(rows, batch) | losses.collapse_metrics(h_a, *queries)
        return rows.mean() + settings.cluster_weight * cluster, metrics
