"""Encoders: (batch, time, mel) -> (batch, features); the table that configs choose from."""

import difflib
import inspect
from typing import Any

from flax import nnx

from cryjax.models.audio_ntt import AudioNTT
from cryjax.models.cnn14 import CNN14
from cryjax.models.crnn import CRNN
from cryjax.models.efficientnet import EfficientNetB0
from cryjax.models.resnet import ResNet18
from cryjax.models.simple_cnn import CNNGRU, SimpleCNN
from cryjax.models.vgg import VGGLike

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
# values of `config.encoder` that leave an encoder its own default
OWN = {"width": 0, "frames": 0, "dropout": -1.0, "pool": "", "tail": False, "bidirectional": False}


def settings_of(name: str) -> list[str]:
    """What the constructor of an encoder takes besides bands and generators."""
    known = inspect.signature(ENCODERS[name].__init__).parameters
    return sorted(known.keys() - {"self", "mels", "rngs"})


def build_encoder(name: str, mels: int, *, rngs: nnx.Rngs, **settings: Any) -> Any:
    """Builds an encoder by its name in `ENCODERS`.

    Args:
      name: Of the table.
      mels: Bands of the input.
      rngs: For the weights.
      **settings: Of the encoder's constructor; those of `OWN` leave it its own.

    Returns:
      A module from (batch, time, mel) to (batch, features), with an attribute `features`.

    Raises:
      ValueError: The name is unknown, or the encoder has no such setting.
    """
    if name not in ENCODERS:
        near = difflib.get_close_matches(name, ENCODERS) or list(ENCODERS)
        raise ValueError(f"encoder.name must be one of {', '.join(ENCODERS)}, got {name!r}; {near}")
    chosen = {key: value for key, value in settings.items() if value != OWN.get(key)}
    known = settings_of(name)
    if unknown := [key for key in chosen if key not in known]:
        raise ValueError(f"encoder {name} has no setting {unknown}; it has {known}")
    return ENCODERS[name](mels, **chosen, rngs=rngs)
