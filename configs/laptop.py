"""SimCLR for people without a GPU: the features, encoder and rates that a laptop's hour is worth.

    python -m data_prep.main --corpus=csv --source=mine.csv --out=prepared/mine --spec=laptop
    python -m cryjax.main --config=configs/laptop.py --workdir=runs/mine \
        --config.data.dirs=prepared/mine

Temperature, batch, rate and encoder are those of the smallest of the recipes that fold 4 of ESC-50
does not tell apart; others of `configs/study.py:recipes` are still to be tried (docs/results.md).
Windows are 48 frames of 25 ms, 1.2 s. `:smoke` runs in seconds. Expected on ESC-50: a loss that
falls from log(255) = 5.5 to 1.7, in 25 minutes of two cores.
"""

from typing import Any

from configs import simclr
from cryjax.pretraining import PretrainSettings
from cryjax.settings import changed, to_config

SPEC = "laptop"
FRAMES = 48
PRETRAIN: dict[str, Any] = {
    "steps": 2400,
    "batch_size": 128,
    "data": {"frames": FRAMES, "hop_frames": FRAMES // 2},
    "encoder": {"name": "vgg", "width": 16},
    "objective": {"name": "simclr", "temperature": 0.1},
    "optim": {
        "name": "adamw",
        "learning_rate": 2e-3,
        "weight_decay": 1e-4,
        "decay": "kernels",
        "schedule": "cosine",
        "warmup": 0.05,
    },
}


def settings(variant: str = "") -> PretrainSettings:
    if variant == "smoke":
        return simclr.settings(variant)
    return changed(simclr.settings(variant), PRETRAIN)


def get_config(variant: str = "") -> Any:
    return to_config(settings(variant))
