"""What the trainer asks of an objective, and what those on views of clips share."""

from typing import Any, Protocol

import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from cryjax.augment import Policy
from cryjax.models.heads import Projector
from cryjax.models.teacher import frozen_copy, move_towards
from cryjax.types import Batch, Count, Mel, Metrics, RngKey, Scalar, Views

FEATURES = ("h", "z")
BATCH_NORM = ("separate", "joint")
Embedding = Float[Array, "batch dim"]


class Objective(Protocol):
    """An `nnx.Module` that owns the encoder, its heads and every bit of its own state.

    Trainable values are `nnx.Param`; whatever a rule moves instead (statistics, a teacher, a
    queue) is a variable of another type, which no optimiser touches.
    """

    encoder: Any

    def loss(self, batch: Batch, key: RngKey) -> tuple[Scalar, Metrics]:
        """Augments, encodes and scores one global batch."""
        ...

    def after_update(self, step: Count) -> None:
        """Moves what gradients do not; most objectives do nothing."""
        ...


class OnViews(nnx.Module):
    """An encoder, a projector and a policy: what all methods on views of clips are made of.

    Attributes:
      views: Views of a clip in a batch.
      encoder: Maps (batch, time, mel) to (batch, features).
      policy: Of augmentations, normalisation included.
      projector: Head of the loss; thrown away after pre-training.
      joint: Whether the views share their batch statistics; else every view passes alone, as in
        the released codes.
    """

    views = 2

    def __init__(
        self,
        encoder: Any,
        policy: Policy,
        *,
        projector: dict[str, Any],
        batch_norm: str = "separate",
        rngs: nnx.Rngs,
    ):
        """Args are the parts.

        Args:
          encoder: With an attribute `features`.
          policy: Of augmentations.
          projector: Settings of `Projector`.
          batch_norm: "separate" or "joint".
          rngs: For the projector.
        """
        if batch_norm not in BATCH_NORM:
            raise ValueError(f"batch_norm must be one of {BATCH_NORM}, got {batch_norm!r}")
        self.encoder, self.policy, self.joint = encoder, policy, batch_norm == "joint"
        self.projector = Projector(encoder.features, **projector, rngs=rngs)

    def augment(self, batch: Batch, key: RngKey) -> Views:
        """The batch's views, augmented and normalised."""
        background = batch.get("background")
        if background is not None:
            background = background.astype(jnp.float32)
        return self.policy(key, batch["mel"].astype(jnp.float32), background)

    def of_each(self, function: Any, views: Views) -> tuple[Any, Any]:
        """Applies a function of one view's mels to both, jointly or one after the other."""
        if not self.joint:
            return function(views[:, 0]), function(views[:, 1])
        both = function(jnp.concatenate([views[:, 0], views[:, 1]]))
        return both[: len(views)], both[len(views) :]

    def project(self, mel: Mel) -> Embedding:
        """Encodes and projects one view, already augmented and normalised."""
        return self.projector(self.encoder(mel))

    def represent(self, mel: Mel, features: str) -> Embedding:
        """The representation h or the projection z of log-mels as they come from the shards."""
        if features not in FEATURES:
            raise ValueError(f"features must be one of {FEATURES}, got {features!r}")
        h = self.encoder(self.policy.normalise(mel))
        return h if features == "h" else self.projector(h)

    def follow(self) -> None:
        """Called when encoder and projector were replaced by a checkpoint's: copies are renewed."""

    def after_update(self, step: Count) -> None:
        """See `Objective.after_update`."""


class WithTeacher(OnViews):
    """And a teacher that follows encoder and projector; gradients never reach it.

    Attributes:
      teacher: The copies, as "encoder" and "projector"; their batch statistics are their own.
      decay: Of its parameters at every update.
    """

    def __init__(self, encoder: Any, policy: Policy, *, decay: float, **settings: Any):
        super().__init__(encoder, policy, **settings)
        self.decay = decay
        self.follow()

    def follow(self) -> None:
        """See `OnViews.follow`."""
        self.teacher = frozen_copy(self._student())

    def _student(self) -> Any:
        return nnx.Dict(encoder=self.encoder, projector=self.projector)

    def teach(self, mel: Mel) -> Embedding:
        """The teacher's projection of one view."""
        return self.teacher["projector"](self.teacher["encoder"](mel))

    def after_update(self, step: Count) -> None:
        """Moves the teacher."""
        move_towards(self.teacher, self._student(), decay=self.decay)


def by_source(rows: Float[Array, " batch"], batch: Batch) -> Metrics:
    """The mean of a per-clip loss over replayed clips and over the others, where there are any."""
    if "replayed" not in batch:
        return {}
    replayed = batch["replayed"].astype(rows.dtype)
    mean = lambda weight: (rows * weight).sum() / jnp.maximum(weight.sum(), 1)  # noqa: E731
    return {"loss_own": mean(1 - replayed), "loss_replay": mean(replayed)}
