"""The VGG-like encoder of Fonseca et al. 2021: 0.28 M parameters."""

import itertools

import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from cryjax.models.layers import ConvNorm, linear, max_pool, time_means
from cryjax.types import Mel


class VGGLike(nnx.Module):
    """Six 3x3 convolutions in three blocks, global maximum and average, one dense layer.

    Args:
      mels: Number of mel bands, at least 8.
      width: Channels of the first block.
      rngs: Generators of the weights.

    Attributes:
      features: Length of the representation, 512 at full size; values are not negative.
      tap_features: Length of each block's output of `tapped`.
    """

    MULTIPLES = (1, 1, 1, 2, 2, 4)
    POOL_AFTER = (2, 4, 5)

    def __init__(self, mels: int, *, width: int = 32, rngs: nnx.Rngs):
        self.features = 16 * width
        widths = [1, *(width * m for m in self.MULTIPLES)]
        self.convs = nnx.List([ConvNorm(a, b, rngs=rngs) for a, b in itertools.pairwise(widths)])
        self.dense = linear(2 * widths[-1], self.features, rngs=rngs)
        pooled = enumerate((widths[i + 1] for i in self.POOL_AFTER), 1)
        self.tap_features = tuple(n * (mels // 2**block) for block, n in pooled)

    def _maps(self, mel: Mel) -> list:
        x, maps = mel[..., None], []
        for i, conv in enumerate(self.convs):
            x = conv(x)
            if i in self.POOL_AFTER:
                x = max_pool(x)
                maps.append(x)
        return maps

    def _pooled(self, x) -> Float[Array, "batch features"]:
        pooled = jnp.concatenate([x.max(axis=(1, 2)), x.mean(axis=(1, 2))], axis=-1)
        return nnx.relu(self.dense(pooled))

    def __call__(self, mel: Mel) -> Float[Array, "batch features"]:
        """Encodes (batch, time, mel) of at least 8 frames to (batch, features)."""
        return self._pooled(self._maps(mel)[-1])

    def tapped(self, mel: Mel) -> tuple[Float[Array, "batch features"], list]:
        """Returns the representation and every block's output averaged over time."""
        maps = self._maps(mel)
        return self._pooled(maps[-1]), [time_means(x) for x in maps]
