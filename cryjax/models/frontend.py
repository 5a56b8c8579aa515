"""What stands between shards and encoder on the device."""

import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float


class Fixed(nnx.Variable):
    """A value that is set once, before training, and that no optimiser touches."""


class Standardise(nnx.Module):
    """Shifts and scales by the training set's mean and standard deviation.

    They are variables, not constants, so that one compiled step serves every fold.
    """

    def __init__(self, mean: float, std: float):
        if std <= 0:
            raise ValueError(f"std must be positive, got {std}")
        self.mean, self.std = Fixed(jnp.float32(mean)), Fixed(jnp.float32(std))

    def __call__(self, mel: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
        """Standardises log-mels of any shape."""
        return (mel - self.mean[...]) / self.std[...]
