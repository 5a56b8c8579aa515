"""SLICER and its rivals at full size on 10 % of AudioSet and FSD50K.

    python -m data_prep.main --corpus=csv --source=audioset_fsd50k.csv --out=prepared/slicer \
        --spec=slicer
    python -m cryjax.main --config=configs/paper/slicer.py:slicer --workdir=runs/slicer_full

Variants: slicer (the recommended reading), slicer_lape (every quirk of the release), delores_s,
delores_s_lape, delores_m, byola, cola. Sources: https://arxiv.org/abs/2211.01519 and the card; the
paper's experiments could not be read, so what is not [poster] is [release] (LAPE), [scripts] (the
authors' own of that time) or [ours]. Expected [stated], linear accuracy, mean of 11 tasks: COLA
66.9, BYOL 74.4, DeLoRes-S 72.1, DeLoRes-M 80.4, SLICER 81.6.
"""

from typing import Any

from ml_collections import ConfigDict

from configs import byola, cola, common, delores_m, delores_s, slicer

BASES = {
    "slicer": slicer,
    "slicer_lape": slicer,
    "delores_s": delores_s,
    "delores_s_lape": delores_s,
    "delores_m": delores_m,
    "byola": byola,
    "cola": cola,
}
CLIPS = 240_000  # [ours] from a log of 235 steps an epoch at batch 1,024
LAPE = {"name": "sgd", "momentum": 0.9, "weight_decay": 1e-4, "schedule": "constant"}  # [release]


def get_config(variant: str = "slicer") -> ConfigDict:
    common.refuse(variant, tuple(BASES))
    variant = variant or "slicer"
    config: Any = BASES[variant].get_config()
    config.data.dirs = "prepared/slicer"
    config.data.frames = 96  # [release] 0.95 s
    if variant != "cola":
        config.encoder = common.encoder(name="audio_ntt", width=2048)  # [release]
    batch, epochs = SIZES.get(variant, (512, 50))
    config.batch_size, config.steps = batch, epochs * (CLIPS // batch)
    config.save_every = CLIPS // batch
    if variant in CHANGES:
        CHANGES[variant](config)
    return config


# batch and epochs: slicer's batch [scripts], epochs [ours]; lape 128 on each of 4 [release]; byola
# 256 and 100 [stated]; cola 64 and 100,000 steps [release]
SIZES = {
    "slicer": (1024, 100),
    "byola": (256, 100),
    "delores_s": (1024, 100),
    "cola": (64, 27),
    "delores_s_lape": (128, 50),
}


def _slicer(config: Any) -> None:
    config.objective.queue = 65536  # [release]
    config.optim = common.optim(  # [scripts]
        name="adamw", learning_rate=3e-4, weight_decay=0.0, schedule="constant"
    )


def _slicer_lape(config: Any) -> None:
    config.augment.order = "normalise,log_mixup,resize_crop,k_mix"  # [release] k-mix last, besides
    config.augment.normalise.by = "running_released"
    config.augment.k_mix.space = "raw"
    config.objective.queue = 65536
    config.objective.queue_update = "sequential"  # keys of view b are negatives of view b
    config.objective.entropy_weight = 0.0  # computed, then left out
    config.objective.decay = 0.999**2  # moved twice a step
    config.optim = common.optim(**LAPE, learning_rate=3e-4)


def _delores_s_lape(config: Any) -> None:
    config.augment.normalise.by = "running_released"
    config.objective.on_weight = config.objective.off_weight = 5e-5 / 32
    config.optim = common.optim(**LAPE, learning_rate=0.03)


def _delores_m(config: Any) -> None:
    config.objective.queue = 65536
    config.augment.normalise.by = "running_released"
    config.optim = common.optim(**LAPE, learning_rate=3e-4)


def _byola(config: Any) -> None:
    config.augment.normalise.by = "running"


CHANGES = {
    "slicer": _slicer,
    "slicer_lape": _slicer_lape,
    "delores_s_lape": _delores_s_lape,
    "delores_m": _delores_m,
    "byola": _byola,
}
