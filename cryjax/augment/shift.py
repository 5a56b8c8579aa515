"""Moves along an axis: circular shifts, reversal, blur (uclser card, section 4)."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Int

from cryjax.types import Mel, RngKey


def roll(mel: Mel, by: Int[Array, " batch"], *, axis: int) -> Mel:
    """Circular shift of every patch by its own number of frames (axis 1) or bands (2), upwards."""
    n = mel.shape[axis]
    source = (jnp.arange(n)[None] - by[:, None]) % n
    source = source[:, :, None] if axis == 1 else source[:, None, :]
    return jnp.take_along_axis(mel, source, axis=axis)


def _random_roll(key: RngKey, mel: Mel, most: int, axis: int) -> Mel:
    if not 2 <= most <= mel.shape[axis]:
        raise ValueError(f"most must lie in 2..{mel.shape[axis]}, got {most}")
    return roll(mel, jax.random.randint(key, (mel.shape[0],), 1, most), axis=axis)


def time_shift(key: RngKey, mel: Mel, *, most: int = 30) -> Mel:
    """Delays each patch by 1..most-1 frames; what leaves at the end enters at the start."""
    return _random_roll(key, mel, most, 1)


def frequency_shift(key: RngKey, mel: Mel, *, most: int = 10) -> Mel:
    """Moves each patch up by 1..most-1 bands; what leaves at the top enters at the bottom."""
    return _random_roll(key, mel, most, 2)


def time_reversal(key: RngKey, mel: Mel, *, probability: float = 0.5) -> Mel:
    """Plays each patch backwards with that probability."""
    if not 0 <= probability <= 1:
        raise ValueError(f"probability must lie in [0, 1], got {probability}")
    turned = jax.random.bernoulli(key, probability, (mel.shape[0], 1, 1))
    return jnp.where(turned, mel[:, ::-1], mel)


def _gaussian(size: Int[Array, " batch"], sigma: float, widest: int) -> Array:
    """(batch, widest) kernels of odd sizes, centred, of sum one."""
    offset = jnp.arange(widest) - widest // 2
    inside = jnp.abs(offset)[None] <= (size // 2)[:, None]
    weight = jnp.where(inside, jnp.exp(-0.5 * (offset / sigma) ** 2)[None], 0.0)
    return weight / weight.sum(axis=1, keepdims=True)


def smooth(
    mel: Mel,
    bands: Int[Array, " batch"],
    frames: Int[Array, " batch"],
    *,
    sigma: float,
    widest: int,
) -> Mel:
    """Gaussian blur with odd kernel sizes of its own for each patch; edges reflect as in OpenCV."""
    half = widest // 2
    for axis, size in ((1, frames), (2, bands)):
        kernel = _gaussian(size, sigma, widest)
        padding = [(half, half) if i == axis else (0, 0) for i in range(3)]
        padded = jnp.pad(mel, padding, mode="reflect")
        shifted = [
            jax.lax.slice_in_dim(padded, i, i + mel.shape[axis], axis=axis) for i in range(widest)
        ]
        mel = jnp.einsum("bi,ibtm->btm", kernel, jnp.stack(shifted))
    return mel


def blur(key: RngKey, mel: Mel, *, widest: int = 5, sigma: float = 1.0) -> Mel:
    """Blurs each patch with kernel sizes drawn among the odd ones up to `widest`."""
    if widest % 2 == 0 or widest < 1 or sigma <= 0:
        raise ValueError(f"widest must be odd and sigma positive, got {widest} and {sigma}")
    sizes = 2 * jax.random.randint(key, (2, mel.shape[0]), 0, widest // 2 + 1) + 1
    return smooth(mel, sizes[0], sizes[1], sigma=sigma, widest=widest)
