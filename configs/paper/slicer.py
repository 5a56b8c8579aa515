"""SLICER and its rivals at full size on 10 % of AudioSet and FSD50K.

    python -m data_prep.main --corpus=csv --source=audioset_fsd50k.csv --out=prepared/slicer \
        --spec=slicer
    python -m cryjax.main --config=configs/paper/slicer.py:slicer --workdir=runs/slicer_full

Variants: slicer (the recommended reading), slicer_lape (every quirk of the release), delores_s,
delores_s_lape, delores_m, byola, cola. Source: https://arxiv.org/abs/2211.01519; the paper's
experiments could not be read, so what is not [poster] is [release] (LAPE), [scripts] (the authors'
own of that time) or [ours]. All of the prepared folder is trained on, whatever its splits. Expected
[stated], linear accuracy, mean of 11 tasks: COLA 66.9, BYOL 74.4, DeLoRes-S 72.1, DeLoRes-M 80.4,
SLICER 81.6.
"""

from typing import Any

from configs import byola, cola, common, delores_m, delores_s, slicer
from cryjax.pretraining import PretrainSettings
from cryjax.settings import changed, to_config

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
# batch and epochs: slicer's batch [scripts], epochs [ours]; lape 128 on each of 4 [release]; byola
# 256 and 100 [stated]; cola 64 and 100,000 steps [release]
SIZES = {
    "slicer": (1024, 100),
    "byola": (256, 100),
    "delores_s": (1024, 100),
    "cola": (64, 27),
    "delores_s_lape": (128, 50),
}
LAPE = {
    "optim": {  # [release]
        "name": "sgd",
        "momentum": 0.9,
        "weight_decay": 1e-4,
        "schedule": "constant",
        "learning_rate": 3e-4,
    },
    "augment": {"normalise": {"by": "running_released"}},  # [release]
}
QUEUE = {"objective": {"queue": 65536}}  # [release]
CHANGES: dict[str, tuple[dict[str, Any], ...]] = {
    "slicer": (
        QUEUE,
        {"optim": {"name": "adamw", "learning_rate": 3e-4, "weight_decay": 0.0}},  # [scripts]
    ),
    "slicer_lape": (
        LAPE,
        QUEUE,
        {
            # [release] k-mix last, besides
            "augment": {
                "order": "normalise,log_mixup,byola_resize_crop,k_mix",
                "k_mix": {"space": "raw"},
            },
            "objective": {
                "queue_update": "sequential",  # keys of view b are negatives of view b
                "entropy_weight": 0.0,  # computed, then left out
                "decay": 0.999**2,  # moved twice a step
            },
        },
    ),
    "delores_s_lape": (
        LAPE,
        {
            "objective": {"on_weight": 5e-5 / 32, "off_weight": 5e-5 / 32},
            "optim": {"learning_rate": 0.03},
        },
    ),
    "delores_m": (LAPE, QUEUE),
    "byola": ({"augment": {"normalise": {"by": "running"}}},),
}


def settings(variant: str = "slicer") -> PretrainSettings:
    common.refuse(variant, tuple(BASES))
    variant = variant or "slicer"
    batch, epochs = SIZES.get(variant, (512, 50))
    base = changed(
        BASES[variant].settings(),
        {
            "data": {"dirs": "prepared/slicer", "splits": "*", "frames": 96},  # [release] 0.95 s
            "batch_size": batch,
            "steps": epochs * (CLIPS // batch),
            "save_every": CLIPS // batch,
        },
    )
    if variant != "cola":
        base = changed(base, {"encoder": {"name": "audio_ntt", "width": 2048}})  # [release]
    for changes in CHANGES.get(variant, ()):
        base = changed(base, changes)
    return base


def get_config(variant: str = "slicer") -> Any:
    return to_config(settings(variant))
