"""Random resized crop: cuts a box out of each patch and resizes it to the patch's size."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Int

from cryjax.errors import UserError
from cryjax.types import Mel, RngKey

TRIES = 10
RELEASE_FRAMES, RELEASE_MELS = 101, 96


def sample_boxes(
    key: RngKey,
    batch: int,
    *,
    frames: int,
    mels: int,
    scale: tuple[float, float],
    ratio: tuple[float, float],
) -> Int[Array, "batch 4"]:
    """Draws crop boxes as torchvision does: ten tries each, then the whole patch.

    Args:
      key: Key of all draws.
      batch: Number of boxes.
      frames: Length of the patch in frames.
      mels: Number of bands of the patch.
      scale: Range of the box's share of the patch's area.
      ratio: Range of bands over frames of the box, drawn log-uniformly.

    Returns:
      First frame, first band, frames and bands of each box, which lies within the patch.
    """
    k_area, k_ratio, k_time, k_mel = jax.random.split(key, 4)
    shape = (TRIES, batch)
    area = jax.random.uniform(k_area, shape, minval=scale[0], maxval=scale[1]) * frames * mels
    log_ratio = jnp.log(jnp.asarray(ratio))
    aspect = jnp.exp(jax.random.uniform(k_ratio, shape, minval=log_ratio[0], maxval=log_ratio[1]))
    wide = jnp.round(jnp.sqrt(area * aspect)).astype(jnp.int32)
    high = jnp.round(jnp.sqrt(area / aspect)).astype(jnp.int32)
    fits = (wide <= mels) & (high <= frames)
    first, found = jnp.argmax(fits, axis=0)[None], fits.any(axis=0)
    wide = jnp.where(found, jnp.take_along_axis(wide, first, axis=0)[0], mels)
    high = jnp.where(found, jnp.take_along_axis(high, first, axis=0)[0], frames)
    time = jax.random.uniform(k_time, (batch,)) * (frames - high + 1)
    band = jax.random.uniform(k_mel, (batch,)) * (mels - wide + 1)
    return jnp.stack([time.astype(jnp.int32), band.astype(jnp.int32), high, wide], axis=1)


def _stretched(
    mel: Mel, start: Int[Array, " batch"], length: Int[Array, " batch"], axis: int
) -> Mel:
    """Stretches positions start to start + length of every patch's axis over the whole axis.

    Half-pixel centres and edges clamped to the box, as PIL's bilinear resize does when it enlarges.
    On a CPU two neighbours are gathered; elsewhere a matrix of two taps a row is faster.
    """
    n, start, length = mel.shape[axis], start[:, None], length[:, None]
    centre = (jnp.arange(n)[None] + 0.5) * (length / n) - 0.5
    centre = start + jnp.clip(centre, 0, length - 1)
    if jax.default_backend() != "cpu":
        taps = jnp.maximum(0, 1 - jnp.abs(jnp.arange(n)[None, None] - centre[:, :, None]))
        product = "bij,bjm->bim" if axis == 1 else "bij,bmj->bmi"
        return jnp.einsum(product, taps, mel, precision=jax.lax.Precision.HIGHEST)
    low = jnp.floor(centre).astype(jnp.int32)
    at = jax.vmap(lambda patch, index: jnp.take(patch, index, axis=axis - 1, mode="clip"))
    below, above = at(mel, low), at(mel, low + 1)
    return below + jnp.expand_dims(centre - low, 3 - axis) * (above - below)


def resize_boxes(mel: Mel, boxes: Int[Array, "batch 4"]) -> Mel:
    """Crops every patch to its box and resizes it back, bilinear and exact."""
    wide = _stretched(mel, boxes[:, 1], boxes[:, 3], axis=2)
    return _stretched(wide, boxes[:, 0], boxes[:, 2], axis=1)


def _in_memory(key: RngKey, mel: Mel) -> Mel:
    """Returns the patches, written to memory on a CPU instead of computed again for every tap.

    XLA's CPU compiler (jax 0.10.2) drops barriers before it fuses what makes the patches into what
    reads them; it keeps a branch on a random draw, both sides of which give the same values.
    """
    if jax.default_backend() != "cpu":
        return mel
    rare = jax.random.key_data(key).reshape(-1)[0] == 0
    return jax.lax.cond(rare, jax.lax.optimization_barrier, lambda x: x, mel)


def random_resized_crop(
    key: RngKey,
    mel: Mel,
    *,
    scale: tuple[float, float] = (0.8, 1.0),
    ratio: tuple[float, float] = (3 / 4, 4 / 3),
) -> Mel:
    """Crops each patch at random and resizes it back (Fonseca et al. 2021).

    Args:
      key: Key of all draws.
      mel: Log-mel patches.
      scale: Range of the share of the area that is kept, within (0, 1].
      ratio: Range of bands over frames on a patch of 101 frames and 96 bands; it is scaled to the
        patch's own shape, on which boxes of almost square shape might never fit.
    """
    if not 0 < scale[0] <= scale[1] <= 1:
        raise UserError(f"scale must rise within (0, 1], got {scale}")
    batch, frames, mels = mel.shape
    own = (mels / frames) * (RELEASE_FRAMES / RELEASE_MELS)
    ratio = (ratio[0] * own, ratio[1] * own)
    boxes = sample_boxes(key, batch, frames=frames, mels=mels, scale=scale, ratio=ratio)
    return resize_boxes(_in_memory(key, mel), boxes)
