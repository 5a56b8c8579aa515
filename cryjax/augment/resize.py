"""Bicubic resampling with aligned corners: BYOL-A's random resize crop and time warping."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from cryjax.errors import UserError
from cryjax.types import Mel, RngKey

SHARPNESS = -0.75  # of the cubic kernel, as torch and OpenCV have it
PRECISION = jax.lax.Precision.HIGHEST


def _cubic(distance: Float[Array, "..."]) -> Float[Array, "..."]:
    """Keys' cubic convolution kernel."""
    a, d = SHARPNESS, jnp.abs(distance)
    near = (a + 2) * d**3 - (a + 3) * d**2 + 1
    far = a * (d**3 - 5 * d**2 + 8 * d - 4)
    return jnp.where(d <= 1, near, jnp.where(d < 2, far, 0.0))


def bicubic_rows(
    source: Float[Array, "batch n_out"],
    first: Int[Array, "batch n_out"],
    last: Int[Array, "batch n_out"],
    n_in: int,
) -> Float[Array, "batch n_out n_in"]:
    """Builds the matrix that reads a signal at fractional positions; taps stay in [first, last]."""
    at = jnp.floor(source).astype(jnp.int32)
    matrix = jnp.zeros((*source.shape, n_in))
    for tap in (-1, 0, 1, 2):
        weight = _cubic(source - (at + tap))
        column = jnp.clip(at + tap, first, last)
        matrix = matrix + weight[..., None] * jax.nn.one_hot(column, n_in)
    return matrix


def stretch(
    start: Int[Array, " batch"], length: Int[Array, " batch"], n_out: int, n_in: int
) -> Float[Array, "batch n_out n_in"]:
    """Builds the matrix that stretches start to start + length over n_out, corners aligned."""
    share = jnp.arange(n_out)[None] * ((length[:, None] - 1) / (n_out - 1))
    first, last = (jnp.broadcast_to(e[:, None], share.shape) for e in (start, start + length - 1))
    return bicubic_rows(start[:, None] + share, first, last, n_in)


def resize_box(mel: Mel, box: Int[Array, "batch 4"], *, canvas: int) -> Mel:
    """Crops a patch within a longer canvas of zeros and resizes it back.

    Args:
      mel: Log-mel patches.
      box: (batch, 4) first frame, first band, frames and bands of each crop; frames count from the
        canvas's edge.
      canvas: Length of the canvas in frames; the patch stands in its middle.
    """
    frames, mels = mel.shape[1:]
    margin = (canvas - frames) // 2
    rows = stretch(box[:, 0], box[:, 2], frames, canvas)[:, :, margin : margin + frames]
    columns = stretch(box[:, 1], box[:, 3], mels, mels)
    tall = jnp.einsum("bij,bjm->bim", rows, mel, precision=PRECISION)
    return jnp.einsum("bim,bkm->bik", tall, columns, precision=PRECISION)


def byola_resize_crop(
    key: RngKey, mel: Mel, *, canvas: float = 1.5, scale: tuple[float, float] = (0.6, 1.5)
) -> Mel:
    """Crops each patch on a canvas that is longer than it and resizes it back (BYOL-A).

    Niizumi et al. 2021, section III-C: boxes may reach beyond the patch in time, not in frequency.

    Args:
      key: Key of all draws.
      mel: Normalised patches; the canvas is filled with their mean, 0.
      canvas: Length of the canvas over that of the patch, at least 1.
      scale: Range of the box's frames and bands over the patch's; bands at most all of them.
    """
    if canvas < 1 or not 0 < scale[0] <= scale[1]:
        raise UserError(f"canvas must be at least 1 and scale rise, got {canvas} and {scale}")
    batch, frames, mels = mel.shape
    wide = int(canvas * frames)
    keys = jax.random.split(key, 4)
    drawn = jax.random.uniform(keys[0], (2, batch), minval=scale[0], maxval=scale[1])
    high = jnp.clip((drawn[0] * mels).astype(jnp.int32), 1, mels)
    long = jnp.clip((drawn[1] * frames).astype(jnp.int32), 1, wide)
    at = jax.random.uniform(keys[1], (batch,)) * (wide - long + 1)
    band = jax.random.uniform(keys[2], (batch,)) * (mels - high + 1)
    box = jnp.stack([at.astype(jnp.int32), band.astype(jnp.int32), long, high], axis=1)
    return resize_box(mel, box, canvas=wide)


def warp(mel: Mel, centre: Int[Array, ""], target: Int[Array, ""]) -> Mel:
    """Moves frame `centre` of every patch to `target`, both parts resized bicubically."""
    n = mel.shape[1]
    at = jnp.arange(n)
    left = at * ((centre - 1) / jnp.maximum(target - 1, 1))
    right = centre + (at - target) * ((n - centre - 1) / jnp.maximum(n - target - 1, 1))
    before = at < target
    first, last = jnp.where(before, 0, centre), jnp.where(before, centre - 1, n - 1)
    rows = bicubic_rows(jnp.where(before, left, right)[None], first[None], last[None], n)[0]
    return jnp.einsum("ij,bjm->bim", rows, mel, precision=PRECISION)


def time_warp(key: RngKey, mel: Mel, *, window: int = 8) -> Mel:
    """Warps time as SpecAugment does in SpeechBrain, by one draw for the whole batch.

    Args:
      key: Key of the draw.
      mel: Log-mel patches.
      window: The warped centre is at least this many frames from the edges, and its target at most
        this many frames from it.
    """
    n = mel.shape[1]
    if not 0 < window < n // 2:
        raise UserError(f"window must lie in 1..{n // 2 - 1} for {n} frames, got {window}")
    k_centre, k_target = jax.random.split(key)
    centre = jax.random.randint(k_centre, (), window, n - window)
    target = jax.random.randint(k_target, (), centre - window, centre + window) + 1
    return warp(mel, centre, target)
