"""Virtual adversarial training: the worst small change of an input should change nothing."""

import dataclasses
from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from cryjax.errors import UserError
from cryjax.objectives.semi.base import Logits, SemiSettings, SemiSupervised, divergence
from cryjax.types import Metrics, RngKey, Scalar

Input = Float[Array, "batch *shape"]


def unit(d: Input) -> Input:
    """Scales each row to unit length; a row of zeros stays zero."""
    axes = tuple(range(1, d.ndim))
    d = d / (jnp.abs(d).max(axis=axes, keepdims=True) + 1e-12)
    return d * jax.lax.rsqrt(1e-12 + (d**2).sum(axis=axes, keepdims=True))


def adversarial_direction(
    score: Callable[[Input], Logits],
    x: Input,
    d: Input,
    *,
    iterations: int = 1,
    xi: float | None = None,
) -> Input:
    """Finds the direction in which predictions change most, by power iteration.

    Miyato et al. 2018, section 3.2.

    Args:
      score: Function of inputs to logits; must draw the same dropout masks at every call.
      x: Inputs.
      d: Random start of each row, of any length.
      iterations: Number of power iterations.
      xi: None multiplies by the exact Hessian of KL; else the gradient at this distance is taken,
        the reference's finite difference, which in float32 needs 1e-3 or more.

    Returns:
      A unit direction for each row.
    """
    log_p = jax.lax.stop_gradient(jax.nn.log_softmax(score(x)))

    def change(r):
        return divergence(log_p, score(x + r)).sum()

    for _ in range(iterations):
        d = unit(d)
        if xi:
            d = jax.grad(change)(xi * d)
        else:
            d = jax.jvp(jax.grad(change), (jnp.zeros_like(x),), (d,))[1]
    return jax.lax.stop_gradient(unit(d))


@dataclasses.dataclass(frozen=True, kw_only=True)
class VATSettings(SemiSettings):
    """Settings of virtual adversarial training.

    Attributes:
      epsilon: Length of the perturbation as a share of each input's own length, because absolute
        lengths do not carry over between patch sizes (3 % of a standardised 128 x 64 log-mel is
        about 2.7).
      iterations: Number of power iterations.
      xi: None takes the exact direction; else the distance of the reference's finite difference.
    """

    epsilon: float = 0.03
    iterations: int = 1
    xi: float | None = None

    def __post_init__(self):
        if self.epsilon <= 0 or self.iterations < 1 or (self.xi is not None and self.xi <= 0):
            raise UserError("vat needs epsilon and xi above 0 and at least 1 iteration")


class VAT(SemiSupervised):
    """L_u = KL(p(x) || p(x + r)) with the worst small r; gradients flow through p(x + r) alone."""

    def unsupervised(self, mel: Array, key: RngKey) -> tuple[Scalar, Logits, Metrics]:
        """Perturbs each view in its worst direction; see `SemiSupervised.unsupervised`."""
        k_view, k_direction = jax.random.split(key)
        x, settings = self.views_of(mel, k_view), self.settings

        def score(x):  # the same dropout masks at every call
            return self.detached().score(x)

        start = jax.random.normal(k_direction, x.shape)
        direction = adversarial_direction(
            score, x, start, iterations=settings.iterations, xi=settings.xi
        )
        length = jnp.sqrt((x**2).sum(axis=(1, 2), keepdims=True))
        moved = score(x + settings.epsilon * length * direction)
        logits = self.score(x)
        log_p = jax.lax.stop_gradient(jax.nn.log_softmax(logits))
        return divergence(log_p, moved).mean(), logits, {}
