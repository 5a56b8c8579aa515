"""What training asks of an objective, and what objectives on views of clips share."""

from typing import Any, Protocol

import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from cryjax.augment import Policy
from cryjax.errors import UserError
from cryjax.models.heads import Projector, ProjectorSettings
from cryjax.models.teacher import ema_update, frozen_copy
from cryjax.types import Batch, Count, Mel, Metrics, RngKey, Scalar, Views

BATCH_NORM = ("separate", "joint")
Embedding = Float[Array, "batch dim"]


class Objective(Protocol):
    """An `nnx.Module` that owns the encoder, its heads and all of its own state.

    What is trained is an `nnx.Param`; what a rule updates instead (statistics, a teacher, a queue)
    is a variable of another type, which no optimiser touches.

    Attributes:
      encoder: Module from (batch, time, mel) to (batch, features).
    """

    encoder: Any

    def loss(self, batch: Batch, key: RngKey) -> tuple[Scalar, Metrics]:
        """Augments, encodes and scores one global batch.

        Args:
          batch: "mel" (batch, views, time, mel) as stored, "label" and "index" (batch,), and where
            the sampling provides them "background" and "replayed".
          key: Key of all draws.

        Returns:
          The loss, and further scalars for the log.
        """
        ...

    def after_update(self, step: Count) -> None:
        """Updates what gradients do not; most objectives do nothing."""
        ...


def check_batch_norm(batch_norm: str) -> None:
    """Refuses an unknown way of batch normalisation."""
    if batch_norm not in BATCH_NORM:
        raise UserError(f"batch_norm must be one of {', '.join(BATCH_NORM)}, got {batch_norm!r}")


class MultiViewObjective(nnx.Module):
    """An encoder, a projector and a policy, which all methods on views of clips have.

    Args:
      encoder: Module with an attribute `features`.
      policy: Augmentations, normalisation included.
      projector: Sizes of the projector.
      batch_norm: "separate" passes each view alone with its own batch statistics, as the released
        codes do; "joint" lets the views share them.
      rngs: Generators of the projector's weights.

    Attributes:
      views: Number of views of a clip in a batch.
      encoder: Maps (batch, time, mel) to (batch, features).
      policy: Augmentations.
      projector: Head of the loss, thrown away after pre-training.
      joint: Whether the views share their batch statistics.
    """

    views = 2

    def __init__(
        self,
        encoder: Any,
        policy: Policy,
        *,
        projector: ProjectorSettings,
        batch_norm: str = "separate",
        rngs: nnx.Rngs,
    ):
        check_batch_norm(batch_norm)
        self.encoder, self.policy, self.joint = encoder, policy, batch_norm == "joint"
        self.projector = Projector(encoder.features, projector, rngs=rngs)

    def augment(self, batch: Batch, key: RngKey) -> Views:
        """Augments and normalises the views of a batch."""
        background = batch.get("background")
        if background is not None:
            background = background.astype(jnp.float32)
        return self.policy(key, batch["mel"].astype(jnp.float32), background)

    def of_each(self, function: Any, views: Views) -> tuple[Any, Any]:
        """Applies a function of (batch, time, mel) to both views, jointly or one by one."""
        if not self.joint:
            return function(views[:, 0]), function(views[:, 1])
        both = function(jnp.concatenate([views[:, 0], views[:, 1]]))
        return both[: len(views)], both[len(views) :]

    def sync_teacher(self) -> None:
        """Renews copies of encoder and projector after a checkpoint replaced these."""

    def after_update(self, step: Count) -> None:
        """Does nothing after an update; see `Objective.after_update`."""


class EMATeacherObjective(MultiViewObjective):
    """A multi-view objective with a teacher that follows encoder and projector.

    Args:
      encoder: Module with an attribute `features`.
      policy: Augmentations.
      decay: Share that a teacher's parameter keeps of itself at every update.
      **settings: Keyword arguments of `MultiViewObjective`.

    Attributes:
      teacher: Copies as "encoder" and "projector"; their batch statistics are their own.
      decay: See above.
    """

    def __init__(self, encoder: Any, policy: Policy, *, decay: float, **settings: Any):
        super().__init__(encoder, policy, **settings)
        self.decay = decay
        self.sync_teacher()

    def sync_teacher(self) -> None:
        """Copies encoder and projector into the teacher."""
        self.teacher = frozen_copy(self._student())

    def _student(self) -> Any:
        return nnx.Dict(encoder=self.encoder, projector=self.projector)

    def teach(self, mel: Mel) -> Embedding:
        """Projects one view by the teacher, (batch, dim)."""
        return self.teacher["projector"](self.teacher["encoder"](mel))

    def after_update(self, step: Count) -> None:
        """Moves the teacher towards the student."""
        ema_update(self.teacher, self._student(), decay=self.decay)


def mean_by_source(rows: Float[Array, " batch"], batch: Batch) -> Metrics:
    """Averages a loss of each clip over replayed and over other clips, where any are replayed."""
    if "replayed" not in batch:
        return {}
    replayed = batch["replayed"].astype(rows.dtype)
    mean = lambda weight: (rows * weight).sum() / jnp.maximum(weight.sum(), 1)  # noqa: E731
    return {"loss_own": mean(1 - replayed), "loss_replay": mean(replayed)}
