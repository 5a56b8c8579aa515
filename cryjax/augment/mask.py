"""SpecAugment: masks over frequency bands and over time (Park et al. 2019)."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from cryjax.errors import UserError
from cryjax.types import Mel, RngKey

FILLS = ("min", "mean", "zero")


def _fill_value(mel: Mel, fill: str) -> Float[Array, "batch 1 1"]:
    if fill == "min":
        return mel.min(axis=(1, 2), keepdims=True)
    if fill == "mean":
        return mel.mean(axis=(1, 2), keepdims=True)
    return jnp.zeros((mel.shape[0], 1, 1), mel.dtype)


def mask_stretch(
    mel: Mel, start: Int[Array, " batch"], width: Int[Array, " batch"], *, axis: int, fill: str
) -> Mel:
    """Masks positions start to start + width of one axis of every patch.

    Args:
      mel: Log-mel patches.
      start: (batch,) first masked position of each patch.
      width: (batch,) number of masked positions; 0 leaves the patch.
      axis: 1 for time, 2 for mel.
      fill: Masked value: "min" or "mean" of the patch as it is now, or "zero".
    """
    if fill not in FILLS:
        raise UserError(f"fill must be one of {', '.join(FILLS)}, got {fill!r}")
    at = jnp.arange(mel.shape[axis])[None]
    hidden = (at >= start[:, None]) & (at < (start + width)[:, None])
    hidden = hidden[:, :, None] if axis == 1 else hidden[:, None, :]
    return jnp.where(hidden, _fill_value(mel, fill), mel)


def spec_augment(
    key: RngKey,
    mel: Mel,
    *,
    max_bands: int = 20,
    max_frames: int = 20,
    band_masks: int = 2,
    frame_masks: int = 2,
    fill: str = "min",
) -> Mel:
    """Masks bands and then frames of every patch.

    Args:
      key: Key of all draws.
      mel: Log-mel patches.
      max_bands: Widths of frequency masks are drawn from 0 to max_bands - 1.
      max_frames: Widths of time masks are drawn from 0 to max_frames - 1.
      band_masks: Number of frequency masks.
      frame_masks: Number of time masks.
      fill: Masked value, see `mask_stretch`; computed anew before each mask.
    """
    batch = mel.shape[0]
    masks = [(2, max_bands)] * band_masks + [(1, max_frames)] * frame_masks
    for (axis, widest), k in zip(masks, jax.random.split(key, max(len(masks), 1)), strict=False):
        if not 1 <= widest <= mel.shape[axis]:
            raise UserError(f"mask widths must lie in 1..{mel.shape[axis]}, got {widest}")
        k_width, k_start = jax.random.split(k)
        width = jax.random.randint(k_width, (batch,), 0, widest)
        room = mel.shape[axis] - width + 1
        start = (jax.random.uniform(k_start, (batch,)) * room).astype(jnp.int32)
        mel = mask_stretch(mel, start, width, axis=axis, fill=fill)
    return mel
