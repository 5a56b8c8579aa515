"""Changes of level: compression of the log-mel, Gaussian noise on it, a fade over time."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from cryjax.augment.counter import cheap_normal
from cryjax.errors import UserError
from cryjax.types import Mel, RngKey


def scale_level(mel: Mel, factor: Float[Array, " batch"]) -> Mel:
    """Multiplies every log-mel patch by its own factor (batch,)."""
    return mel * factor[:, None, None]


def compress(key: RngKey, mel: Mel, *, low: float = 0.75) -> Mel:
    """Multiplies each log-mel patch by a factor ~ U(low, 1), which compresses its dynamics.

    Args:
      key: Key of the factors.
      mel: Log-mel patches.
      low: Lower end of the factor, in (0, 1].
    """
    if not 0 < low <= 1:
        raise UserError(f"low must lie in (0, 1], got {low}")
    return scale_level(mel, jax.random.uniform(key, (mel.shape[0],), minval=low, maxval=1.0))


def gaussian_noise(key: RngKey, mel: Mel, *, max_std: float = 0.01) -> Mel:
    """Adds white noise to each log-mel patch.

    Args:
      key: Key of the draws; the noise is that of `cheap_normal`.
      mel: Log-mel patches.
      max_std: Upper end of a patch's standard deviation ~ U(0, max_std), in units of the log-mel.
    """
    if max_std < 0:
        raise UserError(f"max_std must not be negative, got {max_std}")
    k_std, k_noise = jax.random.split(key)
    std = jax.random.uniform(k_std, (mel.shape[0], 1, 1)) * max_std
    return mel + std * cheap_normal(k_noise, mel.shape)


def linear_fader(key: RngKey, mel: Mel, *, gain: float = 1.0) -> Mel:
    """Adds a straight line over time to each patch (Niizumi et al. 2023).

    Args:
      key: Key of the line's ends, each ~ U(-gain, gain).
      mel: Log-mel patches.
      gain: Largest change of level, in units of the log-mel.
    """
    if gain < 0:
        raise UserError(f"gain must not be negative, got {gain}")
    start, end = gain * jax.random.uniform(key, (2, mel.shape[0], 1, 1), minval=-1, maxval=1)
    return mel + start + (end - start) * jnp.linspace(0, 1, mel.shape[1])[None, :, None]
