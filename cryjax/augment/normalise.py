"""Normalisation of log-mels: by the training set, by the stream so far, by patch or by batch."""

import dataclasses
import math
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from cryjax.errors import UserError
from cryjax.types import Buffer, Constant, Views

NORMALISERS = ("dataset", "running", "running_released", "patch_mean")
TINY = 1.1920929e-7
Any_shape = Float[Array, "*shape"]


@dataclasses.dataclass(frozen=True)
class NormaliseSettings:
    """How log-mels are normalised.

    Attributes:
      by: "dataset" (mean and standard deviation of the training clips), "running" (of the patches
        so far, as BYOL-A), "running_released" (the same with the counter of LAPE's release) or
        "patch_mean" (each band's mean over time, as Gorin et al. 2023); None takes what the
        checkpoint used that a run starts from, "dataset" without one.
      freeze_after: Number of patches after which running statistics stay; None is never.
    """

    by: str | None = None
    freeze_after: int | None = None

    def __post_init__(self):
        if self.by is not None and self.by not in NORMALISERS:
            raise UserError(
                f"normalise.by must be one of {', '.join(NORMALISERS)}, got {self.by!r}"
            )


class Standardise(nnx.Module):
    """Shifts and scales by the mean and standard deviation of the training clips.

    They are variables and not constants of the program, so that one compiled step serves every
    fold.
    """

    def __init__(self, mean: float, std: float):
        if std <= 0:
            raise UserError(f"std must be positive, got {std}")
        self.mean, self.std = Constant(jnp.float32(mean)), Constant(jnp.float32(std))

    def __call__(self, mel: Any_shape) -> Any_shape:
        """Standardises log-mels of any shape."""
        return (mel - self.mean[...]) / self.std[...]

    def in_training(self, views: Views) -> Views:
        """Does the same in training."""
        return self(views)


class PatchMean(nnx.Module):
    """Subtracts every band's mean over time from every patch (Gorin et al. 2023)."""

    def __call__(self, mel: Any_shape) -> Any_shape:
        """Centres patches; time is the last axis but one."""
        return mel - mel.mean(axis=-2, keepdims=True)

    def in_training(self, views: Views) -> Views:
        """Does the same in training."""
        return self(views)


class RunningNorm(nnx.Module):
    """Normalises by mean and standard deviation of the patches so far (Niizumi et al. 2021).

    A patch counts as one sample: mu <- mu + (m - mu) / n with its mean m, then the variance in the
    same way with v = mean((x - mu)^2), and the patch is normalised by both.

    Args:
      released: Divides by the previous count, as LAPE's code does: the second sample replaces the
        first.
      freeze_after: Number of patches after which the statistics stay; None is never.
    """

    def __init__(self, *, released: bool = False, freeze_after: int | None = None):
        self.released, self.freeze_after = released, freeze_after or math.inf
        self.count = Buffer(jnp.zeros((), jnp.float32))
        self.mean, self.variance = Buffer(jnp.float32(0)), Buffer(jnp.float32(0))

    def __call__(self, mel: Any_shape) -> Any_shape:
        """Normalises by the present statistics."""
        return (mel - self.mean[...]) / jnp.maximum(jnp.sqrt(self.variance[...]), TINY)

    def in_training(self, views: Views) -> Views:
        """Takes the patches in order, clip by clip, and normalises each by those up to it."""
        means = views.mean(axis=(2, 3)).ravel()
        squares = (views**2).mean(axis=(2, 3)).ravel()

        def add(state, sample):
            count, mean, variance = state
            m, square = sample
            n = count + 1
            divisor = jnp.maximum(n - 1, 1) if self.released else n
            new = mean + (m - mean) / divisor
            v = square - 2 * new * m + new**2
            moved = (n, new, variance + (v - variance) / divisor)
            state = jax.tree.map(lambda a, b: jnp.where(n > self.freeze_after, b, a), moved, state)
            return state, state[1:]

        start = self.count[...], self.mean[...], self.variance[...]
        end, (mu, s2) = jax.lax.scan(add, start, (means, squares))
        self.count[...], self.mean[...], self.variance[...] = end
        mu, s2 = (a.reshape(*views.shape[:2], 1, 1) for a in (mu, s2))
        return (views - mu) / jnp.maximum(jnp.sqrt(s2), TINY)


def build_normaliser(
    settings: NormaliseSettings, statistics: tuple[float, float], evaluating: bool = False
) -> Any:
    """Builds the normaliser that the settings name.

    Args:
      settings: `by` None stands for "dataset".
      statistics: Mean and standard deviation of the training log-mels.
      evaluating: Takes the training set's statistics where training took the stream's.
    """
    by = settings.by or "dataset"
    if by == "patch_mean":
        return PatchMean()
    if by == "dataset" or evaluating:
        return Standardise(*statistics)
    released = by == "running_released"
    return RunningNorm(released=released, freeze_after=settings.freeze_after)


def post_normalise(views: Views) -> Views:
    """Brings all views of a batch to mean 0 and unbiased standard deviation 1 (BYOL-A)."""
    return (views - views.mean()) / jnp.maximum(views.std(ddof=1), TINY)
