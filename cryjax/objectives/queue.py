"""A first-in-first-out queue of unit vectors: the negatives of momentum contrast."""

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from cryjax.objectives.losses import l2_normalise
from cryjax.types import Moved


class Queue(nnx.Module):
    """Keeps the latest `size` embeddings of a teacher (He et al. 2020); random at the start."""

    def __init__(self, size: int, dim: int, *, rngs: nnx.Rngs):
        if size < 1:
            raise ValueError(f"queue must hold at least one embedding, got {size}")
        self.items = Moved(l2_normalise(rngs.params.normal((size, dim))))
        self.at = Moved(jnp.zeros((), jnp.int32))

    def push(self, z: Float[Array, "batch dim"]) -> None:
        """Puts a batch in, scaled to unit length; the oldest leave."""
        size = len(self.items[...])
        if size % len(z):
            raise ValueError(
                f"objective.queue {size} must be a multiple of the batch of {len(z)}, so that a "
                "batch replaces a batch"
            )
        z = jax.lax.stop_gradient(l2_normalise(z))
        self.items[...] = jax.lax.dynamic_update_slice(self.items[...], z, (self.at[...], 0))
        self.at[...] = (self.at[...] + len(z)) % size
