"""What the trainer asks of an objective."""

from typing import Any, Protocol

from cryjax.types import Batch, Count, Metrics, RngKey, Scalar


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
