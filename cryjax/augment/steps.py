"""Steps of a policy: one calling convention, `step(key, views, context) -> views`, for all."""

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple

from flax import nnx

from cryjax.errors import UserError
from cryjax.types import RngKey, Views


class Context(NamedTuple):
    """What a step may use besides the views.

    Attributes:
      backgrounds: (batch, views, time, mel) log-mels of other clips, or None.
    """

    backgrounds: Views | None


@dataclasses.dataclass(frozen=True)
class PatchInfo:
    """What must be known of patches to build a step.

    Attributes:
      frames: Length of a patch in frames.
      mels: Number of mel bands.
      log: Logarithm of the values: "log10", "ln", "db" or "none"; see `FeatureSpec.log`.
      statistics: Mean and standard deviation of the training log-mels.
    """

    frames: int
    mels: int
    log: str = "log10"
    statistics: tuple[float, float] = (0.0, 1.0)


class PerPatch(nnx.Module):
    """Lifts a pure function `f(key, mel, **settings)` of (batch, time, mel) to views."""

    def __init__(self, function: Callable[..., Any], **settings: Any):
        self.function, self.settings = function, tuple(settings.items())  # hashable

    def __call__(self, key: RngKey, views: Views, context: Context) -> Views:
        """Applies the function to every view on its own."""
        del context
        flat = views.reshape(-1, *views.shape[2:])
        return self.function(key, flat, **dict(self.settings)).reshape(views.shape)


class MixBack(nnx.Module):
    """Mixes the context's backgrounds into the views; see `cryjax.augment.mix.mix_back`."""

    def __init__(self, function: Callable[..., Any], **settings: Any):
        self.function, self.settings = function, tuple(settings.items())  # hashable

    def __call__(self, key: RngKey, views: Views, context: Context) -> Views:
        """Mixes; a clip's views share the weight, each has its own background."""
        if context.backgrounds is None:
            raise UserError(
                "mix_back needs views of other clips: Sampling(backgrounds='own'); take it out of "
                "augment.order where there are none"
            )
        return self.function(key, views, context.backgrounds, **dict(self.settings))


class Normalise(nnx.Module):
    """Brings views to one scale; see `cryjax.augment.normalise`.

    Attributes:
      normaliser: Also what an encoder's input is normalised with when nothing is augmented.
    """

    def __init__(self, normaliser: Any):
        self.normaliser = normaliser

    def __call__(self, key: RngKey, views: Views, context: Context) -> Views:
        """Normalises, and updates running statistics where there are any."""
        del key, context
        return self.normaliser.in_training(views)


class PostNormalise(nnx.Module):
    """Brings all views of a batch together to one scale."""

    def __init__(self, function: Callable[[Views], Views]):
        self.function = function

    def __call__(self, key: RngKey, views: Views, context: Context) -> Views:
        """Normalises by the batch."""
        del key, context
        return self.function(views)
