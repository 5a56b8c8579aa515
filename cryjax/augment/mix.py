"""Mix-back: adds another clip in the background, weakly enough not to drown the foreground."""

import math

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from cryjax.errors import UserError
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
    """Mixes log-mels in linear power with given weights (Fonseca et al. 2021, equation 1).

    With `adjust_energy` the background is scaled to the foreground's energy, so that the total
    energy stays: out = log((1 - lam) X + lam E(X)/E(B) B).

    Args:
      mel: Log-mel views.
      background: Views of other clips, of the same shape.
      lam: (batch,) weight of the background, the same for all views of a clip.
      adjust_energy: Whether the background is scaled first.
      log: Logarithm of the values; see `FeatureSpec.log`.

    Raises:
      UserError: The values are no logarithms.
    """
    if log not in NATS:
        raise UserError(
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
    """Mixes a background into every view with a random weight (Fonseca et al. 2021).

    Args:
      key: Key of the weights lambda ~ U(0, alpha), one for all views of a clip.
      mel: Log-mel views.
      background: Views of other clips, of the same shape.
      alpha: Upper end of lambda, in [0, 1].
      adjust_energy: Whether the background is scaled to the foreground's energy first.
      log: Logarithm of the values: "log10", "ln" or "db"; see `FeatureSpec.log`.
    """
    if not 0 <= alpha <= 1:
        raise UserError(f"alpha must lie in [0, 1], got {alpha}")
    lam = jax.random.uniform(key, (mel.shape[0],), maxval=alpha) if alpha else jnp.zeros(len(mel))
    return mix_with(mel, background, lam, adjust_energy=adjust_energy, log=log)
