"""AudioNTT2020, the encoder of BYOL-A, SLICER and DeLoRes (card, section 0.2)."""

from flax import nnx
from jaxtyping import Array, Float

from cryjax.models.layers import ConvNorm, Dropout, linear, max_pool, time_means
from cryjax.types import Mel

POOLS = ("max_mean", "mean")
Frames = Float[Array, "batch new_time features"]


class AudioNTT(nnx.Module):
    """Three convolutions with pooling, then two dense layers on every eighth of the time steps.

    Koizumi et al. 2020, https://arxiv.org/abs/2007.00225; 5,321,856 parameters at 2048 features,
    600,192 at 512.

    Attributes:
      features: The width.
      tap_features: Of `tapped`, block by block.
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
        """Args are sizes.

        Args:
          mels: Bands, at least 8.
          width: Features.
          dropout: Between the dense layers.
          pool: Of the time steps: "max_mean" (their sum; pre-training) or "mean" (as LAPE judges).
          rngs: For the weights.
        """
        if pool not in POOLS:
            raise ValueError(f"pool must be one of {', '.join(POOLS)}, got {pool!r}")
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
        """A representation of every 8 frames."""
        return self._dense(self._maps(mel)[-1])

    def __call__(self, mel: Mel) -> Float[Array, "batch features"]:
        """Encodes a batch; at least 8 frames."""
        return self._pooled(self.frames(mel))

    def tapped(self, mel: Mel) -> tuple[Float[Array, "batch features"], list]:
        """The representation, and what every block says of the patch (see `time_means`)."""
        maps = self._maps(mel)
        return self._pooled(self._dense(maps[-1])), [time_means(x) for x in maps]
