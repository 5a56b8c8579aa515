"""A first-in-first-out queue of unit vectors: the negatives of momentum contrast."""

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from cryjax.errors import UserError
from cryjax.objectives.losses import l2_normalise
from cryjax.types import Buffer


class Queue(nnx.Module):
    """The latest embeddings of a teacher (He et al. 2020); random unit vectors at the start.

    Args:
      size: Number of embeddings, a multiple of the batch.
      dim: Length of an embedding.
      rngs: Generators of the first embeddings.
    """

    def __init__(self, size: int, dim: int, *, rngs: nnx.Rngs):
        if size < 1:
            raise UserError(f"queue must hold at least one embedding, got {size}")
        self.items = Buffer(l2_normalise(rngs.params.normal((size, dim))))
        self.at = Buffer(jnp.zeros((), jnp.int32))

    def push(self, z: Float[Array, "batch dim"]) -> None:
        """Replaces the oldest embeddings by a batch, scaled to unit length."""
        size = len(self.items[...])
        if size % len(z):
            raise UserError(
                f"objective.queue {size} must be a multiple of the batch of {len(z)}, so that a "
                "batch replaces a batch"
            )
        z = jax.lax.stop_gradient(l2_normalise(z))
        start = self.at[...], jnp.zeros_like(self.at[...])
        self.items[...] = jax.lax.dynamic_update_slice(self.items[...], z, start)
        self.at[...] = (self.at[...] + len(z)) % size
