"""Self-supervised audio representation learning in JAX and Flax.

The names below are imported from their modules when they are first used, so that importing cryjax
imports no jax.
"""

import importlib
from typing import Any

__version__ = "0.1.0"

_MODULES = {
    # encoders put to use
    "load": "cryjax.deploy.classifier",
    "Classifier": "cryjax.deploy.classifier",
    "Encoder": "cryjax.encoder",
    "FeatureSpec": "cryjax.spec",
    "preset": "cryjax.spec",
    # encoders
    "EncoderSettings": "cryjax.models",
    "build_encoder": "cryjax.models",
    "AudioNTT": "cryjax.models.audio_ntt",
    "CNN14": "cryjax.models.cnn14",
    "CNNGRU": "cryjax.models.simple_cnn",
    "CRNN": "cryjax.models.crnn",
    "EfficientNetB0": "cryjax.models.efficientnet",
    "ResNet18": "cryjax.models.resnet",
    "SimpleCNN": "cryjax.models.simple_cnn",
    "VGGLike": "cryjax.models.vgg",
    # augmentations
    "AugmentSettings": "cryjax.augment",
    "build_policy": "cryjax.augment",
    "blur": "cryjax.augment.shift",
    "byola_resize_crop": "cryjax.augment.resize",
    "compress": "cryjax.augment.noise",
    "frequency_shift": "cryjax.augment.shift",
    "gaussian_noise": "cryjax.augment.noise",
    "linear_fader": "cryjax.augment.noise",
    "log_mixup_exp": "cryjax.augment.bank",
    "mix_back": "cryjax.augment.mix",
    "random_resized_crop": "cryjax.augment.crop",
    "spec_augment": "cryjax.augment.mask",
    "time_reversal": "cryjax.augment.shift",
    "time_shift": "cryjax.augment.shift",
    "time_warp": "cryjax.augment.resize",
    # objectives
    "BYOLA": "cryjax.objectives.byola",
    "COLA": "cryjax.objectives.cola",
    "DeLoResM": "cryjax.objectives.delores",
    "DeLoResS": "cryjax.objectives.delores",
    "SLICER": "cryjax.objectives.slicer",
    "SimCLR": "cryjax.objectives.simclr",
    "Supervised": "cryjax.objectives.supervised",
    # losses
    "barlow": "cryjax.objectives.losses",
    "cluster_contrast": "cryjax.objectives.losses",
    "cosine_distance": "cryjax.objectives.losses",
    "info_nce": "cryjax.objectives.losses",
    "info_nce_with_queue": "cryjax.objectives.losses",
    "nt_xent": "cryjax.objectives.losses",
    # metrics
    "group_bootstrap": "cryjax.evaluate.statistics",
    "paired_bootstrap": "cryjax.evaluate.statistics",
    "score": "cryjax.evaluate.metrics",
}
__all__ = sorted([*_MODULES, "__version__"])  # noqa: PLE0605 # pyright: ignore


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module 'cryjax' has no attribute {name!r}")
    return getattr(importlib.import_module(_MODULES[name]), name)


def __dir__() -> list[str]:
    return __all__
