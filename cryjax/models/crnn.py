"""The CRNN encoder of Fonseca et al. 2021: 0.95 M parameters."""

from flax import nnx
from jaxtyping import Array, Float

from cryjax.errors import UserError
from cryjax.models.layers import ConvNorm, max_pool
from cryjax.models.recurrent import GRU
from cryjax.types import Mel


class CRNN(nnx.Module):
    """Three 5x5 convolutions with pooling and a bidirectional GRU over time.

    The representation is the product of both directions at the last step, as released; there the
    backward direction has seen only the last step.

    Args:
      mels: Number of mel bands, at least 40.
      width: Channels of the convolutions.
      rngs: Generators of the weights.

    Attributes:
      features: Length of the representation, 64 at full size; values lie in (-1, 1).
    """

    POOLS = ((2, 5), (2, 4), (2, 2))

    def __init__(self, mels: int, *, width: int = 128, rngs: nnx.Rngs):
        bands = mels // 5 // 4 // 2
        if not bands:
            raise UserError(f"crnn pools 40 bands into one, got {mels}")
        self.features = width // 2
        self.convs = nnx.List(
            [ConvNorm(n_in, width, kernel=5, rngs=rngs) for n_in in (1, width, width)]
        )
        self.forward = GRU(bands * width, self.features, rngs=rngs)
        self.backward = GRU(bands * width, self.features, reverse=True, rngs=rngs)

    def __call__(self, mel: Mel) -> Float[Array, "batch features"]:
        """Encodes (batch, time, mel) of at least 8 frames to (batch, features)."""
        x = mel[..., None]
        for conv, window in zip(self.convs, self.POOLS, strict=True):
            x = max_pool(conv(x), window)
        x = x.reshape(*x.shape[:2], -1)  # band by band, channels within
        return self.forward(x)[:, -1] * self.backward(x)[:, -1]
