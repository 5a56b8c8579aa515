"""Settings that several experiment families share."""

from ml_collections import ConfigDict


def data(**changes) -> ConfigDict:
    """Where mels come from and how views are cut.

    `dirs`: prepared folders, comma-separated; `synthetic` and `synthetic_sounds` are made on
    first use in `embedded_dir`. `source`: "cache" or "shards". `frames`, `hop`: length of a view
    and step between evaluation windows. `distance`: -1 random, 0 the same patch, d frames apart.
    """
    settings = ConfigDict(
        {
            "dirs": "synthetic", "embedded_dir": "prepared", "source": "cache", "cache_dir": "",
            "frames": 101, "hop": 50,
        }
    )  # fmt: skip
    settings.update(changes)
    return settings


def encoder(name: str = "vgg", width: int = 0) -> ConfigDict:
    """`name`: vgg, resnet18 or cnn14; `width`: channels of its first layers, 0 for full size."""
    return ConfigDict({"name": name, "width": width})


def augment(**on: bool) -> ConfigDict:
    """Uclser's policy (card, section 4): mix-back, crop, compression, noise; masks are off."""
    settings = ConfigDict(
        {
            "mix_back": {"enabled": True, "alpha": 0.05, "adjust_energy": True},
            "crop": {"enabled": True, "scale": (0.8, 1.0), "ratio": (3 / 4, 4 / 3)},
            "compress": {"enabled": True, "low": 0.75},
            "spec_augment": {
                "enabled": False, "max_bands": 20, "max_frames": 20, "band_masks": 2,
                "frame_masks": 2, "fill": "min",
            },
            "noise": {"enabled": True, "max_std": 0.01},
        }
    )  # fmt: skip
    for name, enabled in on.items():
        settings.update({name: {"enabled": enabled}})
    return settings


def optim(**changes) -> ConfigDict:
    """See `cryjax.train.optim.OptimSettings`."""
    settings = ConfigDict(
        {
            "name": "sgd", "learning_rate": 0.03, "momentum": 0.9, "weight_decay": 1e-4,
            "decay": "all", "schedule": "step", "boundaries": (0.65, 0.85), "warmup": 0.0,
            "encoder_rate": 1.0,
        }
    )  # fmt: skip
    settings.update(changes)
    return settings


def refuse(variant: str, known: tuple[str, ...]) -> None:
    """Names the variants when another was asked for."""
    if variant not in ("", *known):
        raise ValueError(f"variants are {', '.join(known)}, got {variant!r}")
