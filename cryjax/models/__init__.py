"""Encoders: modules from (batch, time, mel) to (batch, features), and the table of their names."""

import dataclasses
import difflib
import inspect
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

from cryjax.errors import UserError
from cryjax.models.audio_ntt import AudioNTT
from cryjax.models.cnn14 import CNN14
from cryjax.models.crnn import CRNN
from cryjax.models.efficientnet import EfficientNetB0
from cryjax.models.resnet import ResNet18
from cryjax.models.simple_cnn import CNNGRU, SimpleCNN
from cryjax.models.vgg import VGGLike
from cryjax.settings import choose

ENCODERS: dict[str, type[Any]] = {
    "vgg": VGGLike,
    "resnet18": ResNet18,
    "crnn": CRNN,
    "cnn14": CNN14,
    "audio_ntt": AudioNTT,
    "efficientnet_b0": EfficientNetB0,
    "simple_cnn": SimpleCNN,
    "cnn_gru": CNNGRU,
}
AMPLE = 64  # frames and bands with which every encoder has something left


@dataclasses.dataclass(frozen=True)
class EncoderSettings:
    """Which encoder, and how large; None leaves a field at the encoder's own default.

    Attributes:
      name: Name in `ENCODERS`; `python -m cryjax.models` lists them with their cost.
      width: Channels of the first layers; features of audio_ntt.
      frames: Length in frames of the only patches that simple_cnn reads; by default that of the
        data.
      dropout: Dropout rate of cnn14 and audio_ntt.
      pool: How audio_ntt pools over time: "max_mean" or "mean".
      tail: Whether cnn14 has the dense layer of its published embedding (Kong et al. 2020).
      bidirectional: Whether cnn_gru reads in both directions.
    """

    name: str = "vgg"
    width: int | None = None
    frames: int | None = None
    dropout: float | None = None
    pool: str | None = None
    tail: bool | None = None
    bidirectional: bool | None = None

    def for_patches(self, frames: int) -> "EncoderSettings":
        """Fills in the length of the patches where an encoder must know it."""
        if self.frames is None and "frames" in keywords_of(self.name):
            return dataclasses.replace(self, frames=frames)
        return self


def keywords_of(name: str) -> list[str]:
    """Lists what the constructor of an encoder takes besides bands and random generators."""
    known = inspect.signature(choose(name, ENCODERS, "encoder.name").__init__).parameters
    return sorted(known.keys() - {"self", "mels", "rngs"})


def require_fits(encoder: Any, settings: EncoderSettings, frames: int, mels: int) -> None:
    """Refuses windows that are too short for an encoder's pooling, before any work.

    Raises:
      UserError: Nothing would be left of a window.
    """
    if min(frames, mels) >= AMPLE:
        return
    mel = jax.ShapeDtypeStruct((2, frames, mels), jnp.float32)
    try:
        graphdef, state = nnx.split(encoder)
        jax.eval_shape(lambda s, x: nnx.merge(graphdef, s)(x), state, mel)
    except Exception as error:  # whatever a convolution or a maximum makes of nothing
        raise UserError(
            f"data.frames={frames} with {mels} mel bands leave nothing to {settings.name} "
            f"({str(error).splitlines()[0][:120]}); set more frames, or prepare with more bands"
        ) from error


def build_encoder(settings: EncoderSettings, mels: int, *, rngs: nnx.Rngs) -> Any:
    """Builds an encoder with fresh weights.

    Args:
      settings: Name and sizes.
      mels: Number of mel bands of the input.
      rngs: Generators of the weights.

    Returns:
      A module from (batch, time, mel) to (batch, features), with an attribute `features`.

    Raises:
      UserError: The name is unknown, or the encoder has no such setting.
    """
    known = keywords_of(settings.name)
    values = dataclasses.asdict(settings)
    chosen = {key: v for key, v in values.items() if v is not None and key != "name"}
    if unknown := [key for key in chosen if key not in known]:
        near = difflib.get_close_matches(unknown[0], known) or known
        raise UserError(
            f"encoder {settings.name} has no setting {', '.join(unknown)}; set encoder."
            f"{unknown[0]}=None, or use one of its own: {', '.join(near)}"
        )
    return ENCODERS[settings.name](mels, **chosen, rngs=rngs)
