"""Mix-back: another clip in the background, without drowning the foreground."""

import math

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from cryjax.types import RngKey, Views

NATS = {"log10": math.log(10), "db": math.log(10) / 10, "ln": 1.0}  # in one unit of a log-mel
LIMIT = math.log(1e18)  # powers that far from 1 are cut: neither they nor their ratio overflow


def mix_with(
    mel: Views,
    background: Views,
    lam: Float[Array, " batch"],
    *,
    adjust_energy: bool,
    log: str = "log10",
) -> Views:
    """Mixes log-mels in linear power with weight `lam`, one for all views of a clip.

    With `adjust_energy` the background is scaled to the foreground's energy, so that the total
    energy stays: out = log((1 - lam) X + lam E(X)/E(B) B). Fonseca et al. 2021, eq. 1.
    """
    if log not in NATS:
        raise ValueError(
            f"mix_back needs mels of log {', '.join(NATS)}, got {log!r}; take it out of "
            "augment.order, or prepare with another --spec"
        )
    weight, nats = lam[:, None, None, None], NATS[log]
    fore, back = (jnp.exp(jnp.clip(nats * x, -LIMIT, LIMIT)) for x in (mel, background))
    if adjust_energy:
        energies = (x.sum(axis=(2, 3), keepdims=True) for x in (fore, back))
        back = back * jax.lax.div(*energies)
    return jnp.log((1 - weight) * fore + weight * back) / nats


def mix_back(
    key: RngKey,
    mel: Views,
    background: Views,
    *,
    alpha: float = 0.05,
    adjust_energy: bool = True,
    log: str = "log10",
) -> Views:
    """Mixes a background into every view; lambda ~ U(0, alpha), shared by a clip's views.

    Args:
      key: Of lambda.
      mel: Log-mel views.
      background: As many views of other clips.
      alpha: Upper end of lambda, in [0, 1].
      adjust_energy: Whether the background is brought to the foreground's energy first.
      log: What the mels are: "log10", "ln" or "db"; see `FeatureSpec.log`.
    """
    if not 0 <= alpha <= 1:
        raise ValueError(f"alpha must lie in [0, 1], got {alpha}")
    lam = jax.random.uniform(key, (mel.shape[0],), maxval=alpha) if alpha else jnp.zeros(len(mel))
    return mix_with(mel, background, lam, adjust_energy=adjust_energy, log=log)
