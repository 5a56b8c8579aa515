"""Bringing mels to one scale: by the training set, by the stream so far, by patch or by batch."""

import math
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from cryjax.types import Fixed, Moved, RngKey, Views

NORMALISERS = ("dataset", "running", "running_released", "patch_mean")
TINY = 1.1920929e-7
Any_shape = Float[Array, "*shape"]


class Standardise(nnx.Module):
    """Shifts and scales by the training set's mean and standard deviation.

    They are variables, not constants, so that one compiled step serves every fold.
    """

    def __init__(self, mean: float, std: float):
        if std <= 0:
            raise ValueError(f"std must be positive, got {std}")
        self.mean, self.std = Fixed(jnp.float32(mean)), Fixed(jnp.float32(std))

    def __call__(self, mel: Any_shape) -> Any_shape:
        """Standardises log-mels of any shape."""
        return (mel - self.mean[...]) / self.std[...]

    def in_training(self, views: Views) -> Views:
        """The same."""
        return self(views)


class PatchMean(nnx.Module):
    """Takes every band's mean over time out of every patch: Ubenwa's sentence normalisation."""

    def __call__(self, mel: Any_shape) -> Any_shape:
        """Centres patches; time is the last axis but one."""
        return mel - mel.mean(axis=-2, keepdims=True)

    def in_training(self, views: Views) -> Views:
        """The same."""
        return self(views)


class RunningNorm(nnx.Module):
    """BYOL-A's pre-normalisation: mean and standard deviation of the patches seen so far.

    A patch counts as one sample: mu <- mu + (m - mu) / n with its mean m, then the variance alike
    with v = mean((x - mu)^2), and the patch is normalised by both (card, section 0.3).
    """

    def __init__(self, *, released: bool = False, freeze_after: int = 0):
        """Args change how it counts.

        Args:
          released: Divides by the previous count, as LAPE: the second sample replaces the first.
          freeze_after: Samples after which the statistics stay; 0 is never.
        """
        self.released, self.freeze_after = released, freeze_after or math.inf
        self.count = Moved(jnp.zeros((), jnp.float32))
        self.mean, self.variance = Moved(jnp.float32(0)), Moved(jnp.float32(0))

    def __call__(self, mel: Any_shape) -> Any_shape:
        """Normalises by the statistics as they are."""
        return (mel - self.mean[...]) / jnp.maximum(jnp.sqrt(self.variance[...]), TINY)

    def in_training(self, views: Views) -> Views:
        """Passes through the patches in order, clip by clip, and normalises each by what it saw."""
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
    by: str, statistics: tuple[float, float], *, freeze_after: int = 0, judging: bool = False
) -> Any:
    """The normaliser of that name in `NORMALISERS`.

    Args:
      by: "dataset", "running" (and LAPE's way of counting, "running_released"), "patch_mean".
      statistics: Mean and standard deviation of the training mels.
      freeze_after: Of the running ones.
      judging: What an encoder is judged with: the training set's instead of the stream's.
    """
    if by not in NORMALISERS:
        raise ValueError(f"normalise.by must be one of {', '.join(NORMALISERS)}, got {by!r}")
    if by == "patch_mean":
        return PatchMean()
    if by == "dataset" or judging:
        return Standardise(*statistics)
    return RunningNorm(released=by == "running_released", freeze_after=freeze_after)


def post_normalise(key: RngKey, views: Views) -> Views:
    """BYOL-A's: all views of the batch together to mean 0 and (unbiased) standard deviation 1."""
    del key
    return (views - views.mean()) / jnp.maximum(views.std(ddof=1), TINY)
