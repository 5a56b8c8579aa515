"""A decoder draws the clean mel from the representation of an augmented one."""

from typing import Any

import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from cryjax.models.layers import linear
from cryjax.objectives.semi.base import Logits, SemiSupervised
from cryjax.types import Mel, Metrics, RngKey, Scalar


class Decoder(nnx.Module):
    """A dense layer to a quarter of each axis, then two transposed convolutions of stride 2."""

    def __init__(self, features: int, frames: int, mels: int, *, width: int = 32, rngs: nnx.Rngs):
        if frames % 4 or mels % 4:
            raise ValueError(
                f"the autoencoder needs data.frames and bands divisible by 4, got {frames} x {mels}"
            )
        self.shape = (frames // 4, mels // 4, width)
        self.dense = linear(features, (frames // 4) * (mels // 4) * width, rngs=rngs)
        window: Any = {"kernel_size": (2, 2), "strides": (2, 2)}
        self.up1 = nnx.ConvTranspose(width, width // 2, **window, rngs=rngs)
        self.up2 = nnx.ConvTranspose(width // 2, 1, **window, rngs=rngs)

    def __call__(self, h: Float[Array, "batch features"]) -> Mel:
        """Draws (batch, frames, mels)."""
        x = nnx.relu(self.dense(h)).reshape(-1, *self.shape)
        return self.up2(nnx.relu(self.up1(x)))[..., 0]


class Autoencoder(SemiSupervised):
    """L_u = mean (decoder(encoder(augmented)) - normalised)^2: with masks, a denoising autoencoder.

    The decoder starts from h, whatever the encoder; the practical's card leaves it open.
    """

    def __init__(
        self, encoder: Any, policy: Any, *, frames: int, mels: int, rngs: nnx.Rngs, **settings: Any
    ):
        super().__init__(encoder, policy, rngs=rngs, **settings)
        self.decoder = Decoder(encoder.features, frames, mels, rngs=rngs)

    def unsupervised(self, mel: Array, key: RngKey) -> tuple[Scalar, Logits, Metrics]:
        """See `SemiSupervised.unsupervised`."""
        clean = self.policy.normalise(mel[:, 0].astype(jnp.float32))
        h = self.encoder(self.views_of(mel, key))
        return ((self.decoder(h) - clean) ** 2).mean(), self.head(h), {}
