"""Losses as pure functions of embeddings or logits."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from cryjax.types import Scalar


def l2_normalise(x: Float[Array, "*batch dim"]) -> Float[Array, "*batch dim"]:
    """Scales every vector to unit length; a zero vector stays zero."""
    square = jnp.sum(x**2, axis=-1, keepdims=True)
    return x * jax.lax.rsqrt(jnp.maximum(square, 1e-24))


def nt_xent(
    z1: Float[Array, "batch dim"], z2: Float[Array, "batch dim"], *, temperature: float
) -> Scalar:
    """Normalized-temperature cross-entropy over both views of a batch.

    Each embedding has one positive, its other view, and `2 * batch - 2` negatives. Under `jit`
    the batch is the global one, whatever its sharding. Reference: Chen et al. 2020,
    https://arxiv.org/abs/2002.05709, eq. 1.

    Args:
      z1: Embeddings of the first views, any length.
      z2: Embeddings of the second views, in the same order.
      temperature: Divisor of the cosine similarities, positive.

    Returns:
      The mean loss in nats; `log(2 * batch - 1)` for embeddings that are all alike.
    """
    if temperature <= 0:
        raise ValueError(f"temperature must be positive, got {temperature}")
    n = z1.shape[0]
    z = l2_normalise(jnp.concatenate([z1, z2]))
    itself = jnp.eye(2 * n, dtype=bool)
    logits = jnp.where(itself, -jnp.inf, z @ z.T / temperature)
    positive = jnp.roll(jnp.arange(2 * n), n)
    log_prob = jax.nn.log_softmax(logits, axis=-1)
    return -jnp.take_along_axis(log_prob, positive[:, None], axis=-1).mean()


def cross_entropy(
    logits: Float[Array, "batch classes"],
    labels: Int[Array, " batch"],
    weights: Float[Array, " classes"],
) -> Scalar:
    """Weighted softmax cross-entropy: sum of w[y] * nll over sum of w[y], as in torch."""
    log_prob = jax.nn.log_softmax(logits)
    nll = -jnp.take_along_axis(log_prob, labels[:, None], axis=-1)[:, 0]
    return (weights[labels] * nll).sum() / weights[labels].sum()
