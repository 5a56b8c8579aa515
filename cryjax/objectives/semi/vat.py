"""Virtual adversarial training: the worst small change of the input should change nothing."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from cryjax.objectives.semi.base import Logits, SemiSupervised, divergence
from cryjax.types import Metrics, RngKey, Scalar

Input = Float[Array, "batch *shape"]


def unit(d: Input) -> Input:
    """Each row at length one; a row of zeros stays one."""
    axes = tuple(range(1, d.ndim))
    d = d / (jnp.abs(d).max(axis=axes, keepdims=True) + 1e-12)
    return d * jax.lax.rsqrt(1e-12 + (d**2).sum(axis=axes, keepdims=True))


def adversarial_direction(
    score: Callable[[Input], Logits], x: Input, d: Input, *, iterations: int = 1, xi: float = 0.0
) -> Input:
    """The direction in which the predictions change most, by power iteration (Miyato et al. 2018).

    Args:
      score: Input to logits; must draw the same dropout masks at every call.
      x: Inputs.
      d: Random start of each row, any length.
      iterations: Of the power method.
      xi: 0: the Hessian of KL times d, exactly; else the gradient at distance xi, the reference's
        finite difference, which in float32 needs 1e-3 or more.

    Returns:
      Unit directions, one a row.
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


class VAT(SemiSupervised):
    """L_u = KL(p(x) || p(x + r)), gradient through the second alone (card, section 5.3).

    Attributes:
      epsilon: Length of r as a share of each input's own length: absolute lengths do not carry
        over between patch sizes (3 % of a standardised 128 x 64 mel is about 2.7).
      iterations: See `adversarial_direction`.
      xi: See `adversarial_direction`.
    """

    def __init__(
        self,
        encoder: Any,
        policy: Any,
        *,
        epsilon: float = 0.03,
        iterations: int = 1,
        xi: float = 0.0,
        **settings: Any,
    ):
        super().__init__(encoder, policy, **settings)
        if epsilon <= 0 or iterations < 1 or xi < 0:
            raise ValueError(
                "vat needs epsilon above 0, iterations of 1 or more and xi of 0 or more"
            )
        self.epsilon, self.iterations, self.xi = epsilon, iterations, xi

    def unsupervised(self, mel: Array, key: RngKey) -> tuple[Scalar, Logits, Metrics]:
        """See `SemiSupervised.unsupervised`."""
        k_view, k_direction = jax.random.split(key)
        x = self.views_of(mel, k_view)

        def score(x):  # the same dropout masks at every call
            return self.detached().score(x)

        start = jax.random.normal(k_direction, x.shape)
        d = adversarial_direction(score, x, start, iterations=self.iterations, xi=self.xi)
        length = jnp.sqrt((x**2).sum(axis=(1, 2), keepdims=True))
        moved = score(x + self.epsilon * length * d)
        logits = self.score(x)
        log_p = jax.lax.stop_gradient(jax.nn.log_softmax(logits))
        return divergence(log_p, moved).mean(), logits, {}
