"""AudioNTT2020, the encoder of BYOL-A, SLICER and DeLoRes."""

from flax import nnx
from jaxtyping import Array, Float

from cryjax.errors import UserError
from cryjax.models.layers import ConvNorm, Dropout, linear, max_pool, time_means
from cryjax.types import Mel

POOLS = ("max_mean", "mean")
Frames = Float[Array, "batch new_time features"]


class AudioNTT(nnx.Module):
    """Three convolutions with pooling, then two dense layers on every eighth of the time steps.

    Koizumi et al. 2020, https://arxiv.org/abs/2007.00225; 5,321,856 parameters at 2048 features,
    600,192 at 512.

    Args:
      mels: Number of mel bands, at least 8.
      width: Number of features.
      dropout: Dropout rate between the dense layers.
      pool: Pooling over time: "max_mean" (maximum plus mean, for pre-training) or "mean" (as LAPE
        evaluates).
      rngs: Generators of the weights.

    Attributes:
      features: Length of the representation, the width.
      tap_features: Length of each block's output of `tapped`.
    """

    CHANNELS = 64

    def __init__(
        self,
        mels: int,
        *,
        width: int = 2048,
        dropout: float = 0.3,
        pool: str = "max_mean",
        rngs: nnx.Rngs,
    ):
        if pool not in POOLS:
            raise UserError(f"encoder.pool must be one of {', '.join(POOLS)}, got {pool!r}")
        n = self.CHANNELS
        blocks = [ConvNorm(n_in, n, use_bias=True, rngs=rngs) for n_in in (1, n, n)]
        self.blocks, self.pool = nnx.List(blocks), pool
        self.hidden = linear(n * (mels // 8), width, rngs=rngs)
        self.dropout = Dropout(dropout, rngs=rngs)
        self.out = linear(width, width, rngs=rngs)
        self.features = width
        self.tap_features = tuple(n * (mels // 2**block) for block in (1, 2, 3))

    def _maps(self, mel: Mel) -> list:
        x, maps = mel[..., None], []
        for block in self.blocks:
            x = max_pool(block(x))
            maps.append(x)
        return maps

    def _dense(self, x) -> Frames:
        x = x.reshape(*x.shape[:2], -1)  # band by band, channels within
        return nnx.relu(self.out(self.dropout(nnx.relu(self.hidden(x)))))

    def _pooled(self, x: Frames) -> Float[Array, "batch features"]:
        return x.mean(axis=1) + (x.max(axis=1) if self.pool == "max_mean" else 0)

    def frames(self, mel: Mel) -> Frames:
        """Encodes every 8 frames on their own, (batch, time / 8, features)."""
        return self._dense(self._maps(mel)[-1])

    def __call__(self, mel: Mel) -> Float[Array, "batch features"]:
        """Encodes (batch, time, mel) of at least 8 frames to (batch, features)."""
        return self._pooled(self.frames(mel))

    def tapped(self, mel: Mel) -> tuple[Float[Array, "batch features"], list]:
        """Returns the representation and every block's output averaged over time."""
        maps = self._maps(mel)
        return self._pooled(self._dense(maps[-1])), [time_means(x) for x in maps]
