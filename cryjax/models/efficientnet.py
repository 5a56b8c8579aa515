"""EfficientNet-B0 for one-channel spectrograms, the encoder of COLA (Tan & Le 2019)."""

from flax import nnx
from jaxtyping import Array, Float

from cryjax.models.compute import rematerialised
from cryjax.models.initializers import KAIMING
from cryjax.models.layers import BatchNorm, Map, NewMap
from cryjax.types import Mel

# expansion, kernel, stride, channels, repeats
STAGES = (
    (1, 3, 1, 16, 1),
    (6, 3, 2, 24, 2),
    (6, 5, 2, 40, 2),
    (6, 3, 2, 80, 3),
    (6, 5, 1, 112, 3),
    (6, 5, 2, 192, 4),
    (6, 3, 1, 320, 1),
)


def _conv(
    n_in: int,
    n_out: int,
    kernel: int,
    *,
    stride: int = 1,
    groups: int = 1,
    use_bias: bool = False,
    rngs: nnx.Rngs,
) -> nnx.Conv:
    return nnx.Conv(
        n_in,
        n_out,
        (kernel, kernel),
        strides=stride,
        feature_group_count=groups,
        use_bias=use_bias,
        kernel_init=KAIMING,
        rngs=rngs,
    )


def _norm(n: int, rngs: nnx.Rngs) -> BatchNorm:
    return BatchNorm(n, momentum=0.99, epsilon=1e-3, rngs=rngs)  # Keras's constants


class Block(nnx.Module):
    """An inverted bottleneck with squeeze and excitation."""

    def __init__(
        self, n_in: int, n_out: int, *, expansion: int, kernel: int, stride: int, rngs: nnx.Rngs
    ):
        n = n_in * expansion
        self.expand, self.expand_norm = nnx.data(None), nnx.data(None)
        if expansion > 1:
            self.expand, self.expand_norm = _conv(n_in, n, 1, rngs=rngs), _norm(n, rngs)
        self.depthwise = _conv(n, n, kernel, stride=stride, groups=n, rngs=rngs)
        self.depthwise_norm = _norm(n, rngs)
        squeezed = max(1, n_in // 4)
        self.squeeze = _conv(n, squeezed, 1, use_bias=True, rngs=rngs)
        self.excite = _conv(squeezed, n, 1, use_bias=True, rngs=rngs)
        self.project, self.project_norm = _conv(n, n_out, 1, rngs=rngs), _norm(n_out, rngs)
        self.skip, self.remat = stride == 1 and n_in == n_out, False

    @rematerialised
    def __call__(self, x: Map) -> NewMap:
        """Maps (batch, time, mel, in) to (batch, time', mel', out)."""
        y = x
        if self.expand is not None and self.expand_norm is not None:
            y = nnx.silu(self.expand_norm(self.expand(y)))
        y = nnx.silu(self.depthwise_norm(self.depthwise(y)))
        whole = nnx.silu(self.squeeze(y.mean(axis=(1, 2), keepdims=True)))
        y = y * nnx.sigmoid(self.excite(whole))
        y = self.project_norm(self.project(y))
        return x + y if self.skip else y


class EfficientNetB0(nnx.Module):
    """The B0 network with a global maximum at its end, as in COLA; without stochastic depth.

    4,006,972 parameters: the published 4,007,548 less two colour channels of the stem.

    Args:
      mels: Number of mel bands, any.
      width: Channels of the stem; all others grow with it.
      rngs: Generators of the weights.

    Attributes:
      features: Length of the representation, 1280 at full size.
    """

    def __init__(self, mels: int, *, width: int = 32, rngs: nnx.Rngs):
        del mels  # global pooling: any number of bands
        scale = lambda n: max(8, n * width // 32)  # noqa: E731
        self.stem, self.stem_norm = _conv(1, width, 3, stride=2, rngs=rngs), _norm(width, rngs)
        blocks, n_in = [], width
        for expansion, kernel, stride, channels, repeats in STAGES:
            for i in range(repeats):
                blocks.append(
                    Block(
                        n_in,
                        scale(channels),
                        expansion=expansion,
                        kernel=kernel,
                        stride=1 if i else stride,
                        rngs=rngs,
                    )
                )
                n_in = scale(channels)
        self.blocks, self.features = nnx.List(blocks), 40 * width
        self.top, self.top_norm = (
            _conv(n_in, self.features, 1, rngs=rngs),
            _norm(self.features, rngs),
        )

    def __call__(self, mel: Mel) -> Float[Array, "batch features"]:
        """Encodes (batch, time, mel) to (batch, features)."""
        x = nnx.silu(self.stem_norm(self.stem(mel[..., None])))
        for block in self.blocks:
            x = block(x)
        return nnx.silu(self.top_norm(self.top(x))).max(axis=(1, 2))
