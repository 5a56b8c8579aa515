"""Settings that several experiment families share."""

from ml_collections import ConfigDict


def data(**changes) -> ConfigDict:
    """Where mels come from and how views are cut.

    `dirs`: prepared folders, comma-separated; `synthetic` and `synthetic_sounds` are made on
    first use in `embedded_dir`. `source`: "cache" or "shards". `frames`, `hop`: length of a view
    and step between evaluation windows. `distance`: -1 random, 0 the same patch, d frames apart.
    `max_damaged_share`: of records that may be damaged and left out; more are refused.
    """
    settings = ConfigDict(
        {
            "dirs": "synthetic",
            "embedded_dir": "prepared",
            "source": "cache",
            "cache_dir": "",
            "frames": 101,
            "hop": 50,
            "max_damaged_share": 0.01,
        }
    )
    settings.update(changes)
    return settings


def encoder(**changes) -> ConfigDict:
    """`python -m cryjax.models` lists the names; 0, -1, "" and False leave an encoder its own.

    `width`: channels of the first layers (audio_ntt: features); `frames`: of simple_cnn; `dropout`,
    `tail` (PANNs'), `pool` (audio_ntt: max_mean or mean), `bidirectional` (cnn_gru).
    """
    settings = ConfigDict(
        {
            "name": "vgg",
            "width": 0,
            "frames": 0,
            "dropout": -1.0,
            "pool": "",
            "tail": False,
            "bidirectional": False,
        }
    )
    settings.update(changes)
    return settings


def augment(order: str = "mix_back,crop,compress,noise,normalise", **changes) -> ConfigDict:
    """What runs, in which order; what `order` leaves out is off. By default uclser's policy.

    `normalise.by`: "dataset" (mean and standard deviation of the training mels), "running",
    "running_released" (of the stream so far; judged by the dataset's) or "patch_mean".
    """
    settings = ConfigDict(
        {
            "order": order,
            "normalise": {"by": "dataset", "freeze_after": 0},
            "mix_back": {"alpha": 0.05, "adjust_energy": True},
            "crop": {"scale": (0.8, 1.0), "ratio": (3 / 4, 4 / 3)},
            "compress": {"low": 0.75},
            "spec_augment": {
                "max_bands": 20,
                "max_frames": 20,
                "band_masks": 2,
                "frame_masks": 2,
                "fill": "min",
            },
            "noise": {"max_std": 0.01},
            "time_shift": {"most": 30},
            "frequency_shift": {"most": 10},
            "time_reversal": {"probability": 0.5},
            "time_warp": {"window": 8},
            "blur": {"widest": 5, "sigma": 1.0},
            "linear_fader": {"gain": 1.0},
            "resize_crop": {"canvas": 1.5, "scale": (0.6, 1.5)},
            "log_mixup": {"alpha": 0.4, "size": 2048},
            "k_mix": {
                "alpha": 0.4,
                "size": 2048,
                "clusters": 4,
                "top_k": 128,
                "space": "normalised",
            },
        }
    )
    settings.update(changes)
    return settings


def optim(**changes) -> ConfigDict:
    """See `cryjax.train.optim.OptimSettings`."""
    settings = ConfigDict(
        {
            "name": "sgd",
            "learning_rate": 0.03,
            "momentum": 0.9,
            "weight_decay": 1e-4,
            "decay": "all",
            "schedule": "step",
            "boundaries": (0.65, 0.85),
            "final": 0.0,
            "warmup": 0.0,
            "clip": 0.0,
            "constant": "",
            "encoder_rate": 1.0,
        }
    )
    settings.update(changes)
    return settings


def projector(**changes) -> ConfigDict:
    """See `cryjax.models.heads.Projector`; by default uclser's."""
    settings = ConfigDict(
        {
            "hidden": 512,
            "dim": 512,
            "layers": 2,
            "norm": True,
            "last_norm": False,
            "use_bias": True,
        }
    )
    settings.update(changes)
    return settings


def running() -> ConfigDict:
    """How a pre-training run goes, whatever it learns.

    `accumulate`: parts of a batch whose gradients are averaged; a contrastive loss then sees the
    negatives of its part alone. `compute`: see `cryjax.models.compute.set_compute`.
    `non_finite`: see `cryjax.train.faults.Tolerance`. `deterministic`: the same bits on a GPU too,
    at a cost. `profile`: writes a trace of a few steps to profile/ in the workdir.
    """
    return ConfigDict(
        {
            "accumulate": 1,
            "compute": {"dtype": "float32", "remat": False},
            "non_finite": {"patience": 10, "rollbacks": 2},
            "deterministic": False,
            "profile": False,
        }
    )


def refuse(variant: str, known: tuple[str, ...]) -> None:
    """Names the variants when another was asked for."""
    if variant not in ("", *known):
        raise ValueError(f"variants are {', '.join(known)}, got {variant!r}")
