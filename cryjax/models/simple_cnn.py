"""The two networks of the respiratory practical (Han & Rizos 2024)."""

import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from cryjax.errors import UserError
from cryjax.models.layers import Conv, linear, max_pool
from cryjax.models.recurrent import GRU
from cryjax.types import Mel


class Trunk(nnx.Module):
    """Two 3x3 convolutions with bias, ReLU and pooling."""

    def __init__(self, width: int, *, rngs: nnx.Rngs):
        self.conv1 = Conv(1, width, use_bias=True, rngs=rngs)
        self.conv2 = Conv(width, 2 * width, use_bias=True, rngs=rngs)

    def __call__(self, mel: Mel) -> Float[Array, "batch new_time channel band"]:
        """Maps to (batch, time / 4, channel, mel / 4)."""
        x = max_pool(nnx.relu(self.conv1(mel[..., None])))
        return max_pool(nnx.relu(self.conv2(x))).transpose(0, 1, 3, 2)


class SimpleCNN(nnx.Module):
    """Two convolutions and a dense layer over the flattened map, so that patches have one length.

    With a head of two classes 2,102,338 parameters.

    Args:
      mels: Number of mel bands.
      width: Channels of the first convolution.
      frames: Length of the patches in frames.
      rngs: Generators of the weights.

    Attributes:
      features: Length of the representation, 128 at full size.
    """

    def __init__(self, mels: int, *, width: int = 16, frames: int = 64, rngs: nnx.Rngs):
        self.frames, self.features = frames, 8 * width
        self.trunk = Trunk(width, rngs=rngs)
        self.dense = linear(2 * width * (mels // 4) * (frames // 4), self.features, rngs=rngs)

    def __call__(self, mel: Mel) -> Float[Array, "batch features"]:
        """Encodes (batch, time, mel) of exactly `frames` frames to (batch, features)."""
        if mel.shape[1] != self.frames:
            raise UserError(
                f"simple_cnn reads {self.frames} frames, got {mel.shape[1]}; "
                "set encoder.frames to data.frames"
            )
        x = self.trunk(mel).transpose(0, 2, 3, 1)  # channel, mel, time: torch's order
        return nnx.relu(self.dense(x.reshape(x.shape[0], -1)))


class CNNGRU(nnx.Module):
    """The same convolutions read step by step by a GRU, for patches of any length.

    Args:
      mels: Number of mel bands.
      width: Channels of the first convolution; the GRU's state has four times as many.
      bidirectional: Whether a second GRU reads backwards.
      rngs: Generators of the weights.

    Attributes:
      features: Length of the representation, 64 for each direction at full size.
    """

    def __init__(self, mels: int, *, width: int = 16, bidirectional: bool = False, rngs: nnx.Rngs):
        n_in, state = 2 * width * (mels // 4), 4 * width
        self.trunk = Trunk(width, rngs=rngs)
        self.forward = GRU(n_in, state, rngs=rngs)
        self.backward = nnx.data(None)
        if bidirectional:
            self.backward = GRU(n_in, state, reverse=True, rngs=rngs)
        self.features = state * (1 + bidirectional)

    def __call__(self, mel: Mel) -> Float[Array, "batch features"]:
        """Encodes (batch, time, mel) to the last state of each direction, (batch, features)."""
        x = self.trunk(mel)
        x = x.reshape(*x.shape[:2], -1)  # channel by channel, bands within
        last = self.forward(x)[:, -1]
        if self.backward is None:
            return last
        return jnp.concatenate([last, self.backward(x)[:, 0]], axis=-1)
