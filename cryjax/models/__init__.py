"""Encoders: (batch, time, mel) -> (batch, features); the table that configs choose from."""

import difflib
from collections.abc import Callable
from typing import Any

from flax import nnx

from cryjax.models.cnn14 import CNN14
from cryjax.models.resnet import ResNet18
from cryjax.models.vgg import VGGLike

ENCODERS: dict[str, Callable[..., nnx.Module]] = {
    "vgg": VGGLike,
    "resnet18": ResNet18,
    "cnn14": CNN14,
}


def build_encoder(name: str, mels: int, *, width: int = 0, rngs: nnx.Rngs) -> Any:
    """Builds an encoder by its name in `ENCODERS`.

    Args:
      name: Of the table.
      mels: Bands of the input.
      width: Channels of the first layers; 0 is the encoder's own full size.
      rngs: For the weights.

    Returns:
      A module from (batch, time, mel) to (batch, features), with an attribute `features`.
    """
    if name not in ENCODERS:
        near = difflib.get_close_matches(name, ENCODERS) or list(ENCODERS)
        raise ValueError(f"encoder.name must be one of {', '.join(ENCODERS)}, got {name!r}; {near}")
    sizes = {"width": width} if width else {}
    return ENCODERS[name](mels, **sizes, rngs=rngs)
