"""SLICER: instances against a teacher's queue, clusters against clusters."""

import dataclasses
from typing import Any

from flax import nnx

from cryjax.augment import Policy
from cryjax.models.heads import Projector
from cryjax.objectives import losses
from cryjax.objectives.base import WithTeacher, by_source
from cryjax.objectives.queue import Queue
from cryjax.types import Batch, Metrics, RngKey, Scalar

QUEUE_UPDATES = ("after_both", "sequential")


@dataclasses.dataclass(frozen=True)
class Settings:
    """Of the losses.

    Attributes:
      clusters: Number of them.
      queue: Its size, a multiple of the batch.
      temperature: Of instances.
      cluster_temperature: Of clusters.
      cluster_weight: Of the cluster loss.
      entropy_weight: Within the cluster loss; the release has 0.
      queue_update: "after_both" directions are scored; "sequential": the first direction's keys go
        in before the second is scored and are false negatives there, as released.
    """

    clusters: int = 128
    queue: int = 65536
    temperature: float = 0.07
    cluster_temperature: float = 1.0
    cluster_weight: float = 1.0
    entropy_weight: float = 1.0
    queue_update: str = "after_both"

    def __post_init__(self):
        if self.queue_update not in QUEUE_UPDATES:
            raise ValueError(
                f"queue_update must be one of {QUEUE_UPDATES}, got {self.queue_update!r}"
            )


class SLICER(WithTeacher):
    """Seth et al. 2023, https://arxiv.org/abs/2211.01519; see the card for what each source says.

    Attributes:
      cluster_head: Maps representations to cluster logits, of the student alone.
      queue: Teacher embeddings of both views.
    """

    def __init__(
        self,
        encoder: Any,
        policy: Policy,
        *,
        projector: dict[str, Any] | None = None,
        decay: float = 0.999,
        batch_norm: str = "separate",
        rngs: nnx.Rngs,
        **settings: Any,
    ):
        """Args are the parts and settings.

        Args:
          encoder: With an attribute `features`.
          policy: Of augmentations.
          projector: Of instances; a single linear layer to 128 by default.
          decay: Of the teacher; the release moves it twice a step, which is 0.998001.
          batch_norm: See `OnViews`.
          rngs: For the heads and the queue.
          **settings: See `Settings`.
        """
        projector = projector or {"layers": 1, "dim": 128}
        super().__init__(
            encoder, policy, decay=decay, projector=projector, batch_norm=batch_norm, rngs=rngs
        )
        self.settings, n = Settings(**settings), encoder.features
        self.cluster_head = Projector(
            n, hidden=n, dim=self.settings.clusters, norm=False, rngs=rngs
        )
        self.queue = Queue(self.settings.queue, self.projector.out.out_features, rngs=rngs)

    def _instances(self, queries: tuple, keys: tuple) -> Any:
        """Symmetric cross contrast: view a of the student against view b of the teacher, and b, a.

        The losses of each clip, summed over the directions; the keys are in the queue afterwards.
        """
        (q_a, q_b), (k_a, k_b) = queries, keys
        temperature, negatives = self.settings.temperature, self.queue.items[...]
        rows = losses.queue_contrast(q_a, k_b, negatives, temperature=temperature)
        self.queue.push(k_b)
        if self.settings.queue_update == "sequential":
            negatives = self.queue.items[...]
        rows += losses.queue_contrast(q_b, k_a, negatives, temperature=temperature)
        self.queue.push(k_a)
        return rows

    def loss(self, batch: Batch, key: RngKey) -> tuple[Scalar, Metrics]:
        """See `Objective.loss`."""
        views, chosen = self.augment(batch, key), self.settings
        h_a, h_b = self.of_each(self.encoder, views)
        queries = self.projector(h_a), self.projector(h_b)
        rows = self._instances(queries, self.of_each(self.teach, views))
        cluster = losses.cluster_contrast(
            self.cluster_head(h_a),
            self.cluster_head(h_b),
            temperature=chosen.cluster_temperature,
            entropy_weight=chosen.entropy_weight,
        )
        metrics = {"instance_loss": rows.mean(), "cluster_loss": cluster}
        metrics |= by_source(rows, batch) | losses.health(h_a, *queries)
        return rows.mean() + chosen.cluster_weight * cluster, metrics
