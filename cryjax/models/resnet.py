"""ResNet-18 for one-channel spectrograms: 11.17 M parameters (He et al. 2016)."""

from flax import nnx
from jaxtyping import Array, Float

from cryjax.models.compute import rematerialised
from cryjax.models.initializers import KAIMING
from cryjax.models.layers import ConvNorm, Map, NewMap, max_pool
from cryjax.types import Mel


class BasicBlock(nnx.Module):
    """Two 3x3 convolutions with a shortcut, projected where the shape changes."""

    def __init__(self, n_in: int, n_out: int, *, stride: int, rngs: nnx.Rngs):
        self.conv1 = ConvNorm(n_in, n_out, stride=stride, init=KAIMING, rngs=rngs)
        self.conv2 = ConvNorm(n_out, n_out, relu=False, init=KAIMING, rngs=rngs)
        self.shortcut, self.remat = nnx.data(None), False
        if stride != 1 or n_in != n_out:
            self.shortcut = ConvNorm(
                n_in, n_out, kernel=1, stride=stride, relu=False, init=KAIMING, rngs=rngs
            )

    @rematerialised
    def __call__(self, x: Map) -> NewMap:
        """Maps (batch, time, mel, in) to (batch, time', mel', out)."""
        skip = x if self.shortcut is None else self.shortcut(x)
        return nnx.relu(self.conv2(self.conv1(x)) + skip)


class ResNet18(nnx.Module):
    """Stem, four stages of two basic blocks, global average.

    Args:
      mels: Number of mel bands, any.
      width: Channels of the first stage; every stage doubles them.
      rngs: Generators of the weights.

    Attributes:
      features: Length of the representation, 512 at full size; values are not negative.
    """

    def __init__(self, mels: int, *, width: int = 64, rngs: nnx.Rngs):
        del mels  # global pooling: any number of bands
        self.stem = ConvNorm(1, width, kernel=7, stride=2, init=KAIMING, rngs=rngs)
        blocks, n_in = [], width
        for stage in range(4):
            n_out = width * 2**stage
            for i in range(2):
                stride = 2 if stage and not i else 1
                blocks.append(BasicBlock(n_in, n_out, stride=stride, rngs=rngs))
                n_in = n_out
        self.blocks = nnx.List(blocks)
        self.features = n_in

    def __call__(self, mel: Mel) -> Float[Array, "batch features"]:
        """Encodes (batch, time, mel) to (batch, features)."""
        x = self.stem(mel[..., None])
        x = max_pool(x, (3, 3), stride=(2, 2), pad=1)
        for block in self.blocks:
            x = block(x)
        return x.mean(axis=(1, 2))
