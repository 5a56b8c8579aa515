"""Moves along an axis: circular shifts, reversal and blur, as released by Fonseca et al. 2021."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Int

from cryjax.errors import UserError
from cryjax.types import Mel, RngKey


def roll(mel: Mel, by: Int[Array, " batch"], *, axis: int) -> Mel:
    """Shifts every patch circularly upwards by its own number of frames (axis 1) or bands (2)."""
    n = mel.shape[axis]
    source = (jnp.arange(n)[None] - by[:, None]) % n
    source = source[:, :, None] if axis == 1 else source[:, None, :]
    return jnp.take_along_axis(mel, source, axis=axis)


def _random_roll(key: RngKey, mel: Mel, most: int, axis: int) -> Mel:
    if not 2 <= most <= mel.shape[axis]:
        raise UserError(f"most must lie in 2..{mel.shape[axis]}, got {most}")
    return roll(mel, jax.random.randint(key, (mel.shape[0],), 1, most), axis=axis)


def time_shift(key: RngKey, mel: Mel, *, most: int = 30) -> Mel:
    """Delays each patch circularly by 1 to most - 1 frames."""
    return _random_roll(key, mel, most, 1)


def frequency_shift(key: RngKey, mel: Mel, *, most: int = 10) -> Mel:
    """Shifts each patch circularly upwards by 1 to most - 1 bands."""
    return _random_roll(key, mel, most, 2)


def time_reversal(key: RngKey, mel: Mel, *, probability: float = 0.5) -> Mel:
    """Reverses the time axis of each patch with the given probability."""
    if not 0 <= probability <= 1:
        raise UserError(f"probability must lie in [0, 1], got {probability}")
    turned = jax.random.bernoulli(key, probability, (mel.shape[0], 1, 1))
    return jnp.where(turned, mel[:, ::-1], mel)


def _gaussian(size: Int[Array, " batch"], sigma: float, widest: int) -> Array:
    """Makes (batch, widest) centred Gaussian kernels of the given odd sizes, each of sum one."""
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
    """Blurs each patch with kernels of its own odd sizes; edges reflect as in OpenCV.

    Args:
      mel: Log-mel patches.
      bands: (batch,) odd kernel size along the bands.
      frames: (batch,) odd kernel size along time.
      sigma: Standard deviation of the kernel in frames and bands.
      widest: Largest kernel size.
    """
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
    """Blurs each patch with kernel sizes drawn among the odd numbers up to `widest`.

    Args:
      key: Key of the sizes.
      mel: Log-mel patches.
      widest: Largest kernel size, odd.
      sigma: Standard deviation of the kernel in frames and bands.
    """
    if widest % 2 == 0 or widest < 1 or sigma <= 0:
        raise UserError(f"widest must be odd and sigma positive, got {widest} and {sigma}")
    sizes = 2 * jax.random.randint(key, (2, mel.shape[0]), 0, widest // 2 + 1) + 1
    return smooth(mel, sizes[0], sizes[1], sigma=sigma, widest=widest)
