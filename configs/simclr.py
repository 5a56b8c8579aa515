"""SimCLR pre-training, the recipe of Fonseca et al. 2021 at a laptop's length.

    python -m cryjax.main --config=configs/simclr.py --workdir=runs/simclr
    python -m cryjax.main --config=configs/simclr.py --workdir=runs/mine \
        --config.data.dirs=prepared/mine --config.encoder.name=resnet18

Source: https://arxiv.org/abs/2011.07616 (temperature, projector, policy, SGD 0.03 with two drops).
Batch and length are ours; the paper runs 500 epochs at batch 128. Expected: a loss that falls from
log(2 * 64 - 1) = 4.84, and a checkpoint that configs/transfer.py evaluates.
"""

from typing import Any

from configs import common
from cryjax.pretraining import PretrainSettings
from cryjax.settings import changed, to_config

ADAM = {"name": "adamw", "learning_rate": 3e-4, "weight_decay": 0.0, "schedule": "constant"}
SMOKE = {
    "steps": 4,
    "batch_size": 8,
    "save_every": 2,
    "data": {"frames": 48},
    "knn": {"every": 4},
    "log": {"every": 2},
}
SMALL_BANKS = {
    "augment": {"log_mixup": {"size": 16}, "k_mix": {"size": 16, "top_k": 4, "clusters": 2}}
}


def settings(variant: str = "") -> PretrainSettings:
    common.refuse(variant, ("smoke",))
    return changed(PretrainSettings(), SMOKE if variant == "smoke" else {})


def on_one_crop(variant: str, order: str) -> PretrainSettings:
    """Returns what BYOL-A, SLICER and DeLoRes share: views of one crop, AudioNTT, AdamW 3e-4."""
    smoke = variant == "smoke"
    base = changed(
        settings(variant),
        {
            "data": {"distance": 0},
            "encoder": {"name": "audio_ntt", "width": 16 if smoke else 512},
            "augment": {"order": order},
            "optim": ADAM,
        },
    )
    return changed(base, SMALL_BANKS) if smoke else base


def get_config(variant: str = "") -> Any:
    return to_config(settings(variant))
