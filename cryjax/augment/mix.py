"""Mix-back: another clip in the background, without drowning the foreground."""

import math

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from cryjax.types import RngKey, Views

LN10 = math.log(10)


def mix_with(
    mel: Views, background: Views, lam: Float[Array, " batch"], *, adjust_energy: bool
) -> Views:
    """Mixes log10-mels in linear power with weight `lam`, one for all views of a clip.

    With `adjust_energy` the background is scaled to the foreground's energy, so that the total
    energy stays: out = log10((1 - lam) X + lam E(X)/E(B) B). Fonseca et al. 2021, eq. 1.
    """
    weight = lam[:, None, None, None]
    # in natural logs relative to the loudest bin, so that no power of ten overflows
    peak = jnp.max(mel, axis=(2, 3), keepdims=True)
    peak_b = jnp.max(background, axis=(2, 3), keepdims=True)
    fore, back = jnp.exp(LN10 * (mel - peak)), jnp.exp(LN10 * (background - peak_b))
    if adjust_energy:
        scale = fore.sum(axis=(2, 3), keepdims=True) / back.sum(axis=(2, 3), keepdims=True)
    else:
        scale = 10 ** (peak_b - peak)
    return jnp.log((1 - weight) * fore + weight * scale * back) / LN10 + peak


def mix_back(
    key: RngKey, mel: Views, background: Views, *, alpha: float = 0.05, adjust_energy: bool = True
) -> Views:
    """Mixes a background into every view; lambda ~ U(0, alpha), shared by a clip's views.

    Args:
      key: Of lambda.
      mel: Log10-mel views.
      background: As many views of other clips.
      alpha: Upper end of lambda, in [0, 1].
      adjust_energy: Whether the background is brought to the foreground's energy first.
    """
    if not 0 <= alpha <= 1:
        raise ValueError(f"alpha must lie in [0, 1], got {alpha}")
    lam = jax.random.uniform(key, (mel.shape[0],), maxval=alpha) if alpha else jnp.zeros(len(mel))
    return mix_with(mel, background, lam, adjust_energy=adjust_energy)
