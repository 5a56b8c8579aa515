"""Log-sum-exps over similarities, in blocks of rows: memory grows with the batch, not its square.

Gradients are written by hand: the backward pass computes each block of similarities again, which
takes the products that a stored matrix would take, without storing it.
"""

import functools
import math
from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

BLOCK = 512  # rows of similarities that exist at a time, on each device

Rows = Float[Array, " rows"]
Unit = Float[Array, "rows dim"]


def by_blocks(function: Callable[..., Array], *rows: Array) -> Array:
    """Applies a function of a block of rows to all rows, one block at a time on each device.

    Args:
      function: Function of (block, ...) arrays that treats each row alone; what it closes over is
        whole on every device.
      *rows: Arrays of one length; they are cut by device first, because a loop over a sharded
        axis would gather it.
    """
    n = len(rows[0])
    shards = math.gcd(n, jax.device_count())
    size = min(BLOCK, n // shards)
    padding = -(n // shards) % size

    def cut(x: Array) -> Array:
        x = x.reshape(shards, -1, *x.shape[1:])
        x = jnp.pad(x, ((0, 0), (0, padding), *[(0, 0)] * (x.ndim - 2)))
        return x.reshape(shards, -1, size, *x.shape[2:])

    blocks = jax.vmap(lambda *given: jax.lax.map(lambda block: function(*block), given))
    found = blocks(*map(cut, rows))
    found = found.reshape(shards, -1, *found.shape[3:])[:, : n // shards]
    return found.reshape(n, *found.shape[2:])


def _others(z: Unit, rows: Array, at: Array, temperature: float) -> Array:
    """Computes (block, all) similarities of some rows to all, without each row's own."""
    itself = at[:, None] == jnp.arange(len(z))[None]
    return jnp.where(itself, -jnp.inf, rows @ z.T / temperature)


@functools.partial(jax.custom_vjp, nondiff_argnums=(1,))
def lse_of_others(z: Unit, temperature: float) -> Rows:
    """Computes log sum over j != i of exp(z_i . z_j / temperature) for every row i."""

    def block(rows, at):
        return jax.nn.logsumexp(_others(z, rows, at, temperature), axis=1)

    return by_blocks(block, z, jnp.arange(len(z)))


def _lse_forward(z, temperature):
    lse = lse_of_others(z, temperature)
    return lse, (z, lse)


def _lse_backward(temperature, saved, g):
    """Takes both gradients of a pair from one similarity: z_i is once a row and once a column."""
    z, lse = saved

    def block(rows, at, row_lse, row_g):
        s = _others(z, rows, at, temperature)
        as_row = row_g[:, None] * jnp.exp(s - row_lse[:, None])
        as_column = g[None] * jnp.exp(s - lse[None])
        return (as_row + as_column) @ z / temperature

    return (by_blocks(block, z, jnp.arange(len(z)), lse, g),)


lse_of_others.defvjp(_lse_forward, _lse_backward)


@functools.partial(jax.custom_vjp, nondiff_argnums=(2,))
def lse_of_queue(query: Unit, queue: Float[Array, "size dim"], temperature: float) -> Rows:
    """Computes log sum over j of exp(query_i . queue_j / temperature)."""
    return by_blocks(lambda q: jax.nn.logsumexp(q @ queue.T / temperature, axis=1), query)


def _queue_forward(query, queue, temperature):
    lse = lse_of_queue(query, queue, temperature)
    return lse, (query, queue, lse)


def _queue_backward(temperature, saved, g):
    query, queue, lse = saved

    def block(q, row_lse, row_g):
        share = jnp.exp(q @ queue.T / temperature - row_lse[:, None])
        return (row_g[:, None] * share) @ queue / temperature

    return by_blocks(block, query, lse, g), jnp.zeros_like(queue)


lse_of_queue.defvjp(_queue_forward, _queue_backward)


def mean_potential(u: Unit) -> Float[Array, ""]:
    """Averages exp(-2 |u_i - u_j|^2) over pairs of different rows; 1 where all are alike."""

    def block(rows, at):
        square = jnp.maximum(2 - 2 * rows @ u.T, 0)
        others = at[:, None] != jnp.arange(len(u))[None]
        return jnp.where(others, jnp.exp(-2 * square), 0).sum(axis=1)

    return by_blocks(block, u, jnp.arange(len(u))).sum() / max(len(u) * (len(u) - 1), 1)
