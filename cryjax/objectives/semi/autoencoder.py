"""Autoencoder: a decoder draws the clean log-mel from the representation of an augmented one."""

import dataclasses
from typing import Any

import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from cryjax.errors import UserError
from cryjax.models.layers import linear
from cryjax.objectives.semi.base import Logits, Ramp, SemiSettings, SemiSupervised
from cryjax.types import Mel, Metrics, RngKey, Scalar


class Decoder(nnx.Module):
    """A dense layer to a quarter of each axis, then two transposed convolutions of stride 2.

    Args:
      features: Length of the representation.
      frames: Length of the patch in frames, divisible by 4.
      mels: Number of bands of the patch, divisible by 4.
      width: Channels of the smallest map.
      rngs: Generators of the weights.
    """

    def __init__(self, features: int, frames: int, mels: int, *, width: int = 32, rngs: nnx.Rngs):
        if frames % 4 or mels % 4:
            raise UserError(
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


@dataclasses.dataclass(frozen=True, kw_only=True)
class AutoencoderSettings(SemiSettings):
    """Settings of the autoencoder; see `SemiSettings`."""

    ramp: Ramp = Ramp(1.0, "constant")


class Autoencoder(SemiSupervised):
    """L_u = mean (decoder(encoder(augmented)) - target)^2; with masks it is a denoising one.

    The target is the normalised patch after those augmentations that move content (crops, shifts,
    reversal), so that the decoder draws what the encoder saw, without masks, noise and the like.

    Args:
      encoder: Module with an attribute `features`.
      policy: Augmentations.
      settings: Settings.
      frames: Length of a patch in frames.
      mels: Number of bands of a patch.
      rngs: Generators of the weights of head and decoder.
      **supervised: Keyword arguments of `SemiSupervised`.
    """

    reconstructs = True

    def __init__(
        self,
        encoder: Any,
        policy: Any,
        settings: Any,
        *,
        frames: int,
        mels: int,
        rngs: nnx.Rngs,
        **supervised: Any,
    ):
        super().__init__(encoder, policy, settings, rngs=rngs, **supervised)
        self.decoder = Decoder(encoder.features, frames, mels, rngs=rngs)

    def unsupervised(self, mel: Array, key: RngKey) -> tuple[Scalar, Logits, Metrics]:
        """Compares drawing and target; see `SemiSupervised.unsupervised`."""
        target = self.policy.geometry(key, mel.astype(jnp.float32))[:, 0]
        h = self.encoder(self.views_of(mel, key))
        return ((self.decoder(h) - target) ** 2).mean(), self.head(h), {}
