"""CNN14 (Kong et al. 2020); without its tail, as in Ubenwa's study, 75.5 M parameters."""

from collections.abc import Sequence

from flax import nnx
from jaxtyping import Array, Float

from cryjax.errors import UserError
from cryjax.models.initializers import XAVIER
from cryjax.models.layers import ConvNorm, Dropout, batch_norm, linear
from cryjax.types import Mel


class CNN14(nnx.Module):
    """Batch norm per band, six blocks of two convolutions, maximum plus mean over time.

    Args:
      mels: Number of mel bands, at least 32.
      width: Channels of the first block; every block doubles them.
      widths: Channels of each block instead, as many as there should be blocks.
      dropout: Dropout rate after every block, the last one included.
      tail: Adds dropout 0.5, a dense layer and ReLU, which give PANNs' published embedding.
      rngs: Generators of the weights.

    Attributes:
      features: Length of the representation, 2048 at full size.
    """

    def __init__(
        self,
        mels: int,
        *,
        width: int = 64,
        widths: Sequence[int] = (),
        dropout: float = 0.2,
        tail: bool = False,
        rngs: nnx.Rngs,
    ):
        widths = widths or [width * 2**block for block in range(6)]
        self.norm = batch_norm(mels, rngs=rngs)
        pairs, n_in = [], 1
        for n_out in widths:
            pairs.append(ConvNorm(n_in, n_out, init=XAVIER, rngs=rngs))
            pairs.append(ConvNorm(n_out, n_out, init=XAVIER, rngs=rngs))
            n_in = n_out
        self.convs = nnx.List(pairs)
        self.features = n_in
        self.dropout = Dropout(dropout, rngs=rngs)
        self.tail, self.tail_dropout = nnx.data(None), nnx.data(None)
        if tail:
            self.tail, self.tail_dropout = linear(n_in, n_in, rngs=rngs), Dropout(0.5, rngs=rngs)

    def __call__(self, mel: Mel) -> Float[Array, "batch features"]:
        """Encodes (batch, time, mel) of at least 32 frames to (batch, features)."""
        if min(mel.shape[1:]) < 32:
            raise UserError(f"CNN14 needs at least 32 frames and 32 bands, got {mel.shape[1:]}")
        x = self.norm(mel)[..., None]
        for i, conv in enumerate(self.convs):
            x = conv(x)
            if i % 2 and i < len(self.convs) - 1:  # no pooling after the last block
                x = nnx.avg_pool(x, window_shape=(2, 2), strides=(2, 2))
            x = self.dropout(x) if i % 2 else x
        x = x.mean(axis=2)
        h = x.max(axis=1) + x.mean(axis=1)
        if self.tail is None or self.tail_dropout is None:
            return h
        return nnx.relu(self.tail(self.tail_dropout(h)))
