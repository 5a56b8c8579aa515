"""Supervised pre-training: the baseline that learning without labels is compared with.

    python -m cryjax.main --config=configs/supervised.py --workdir=runs/supervised \
        --config.data.dirs=prepared/mine --config.objective.head=cosine

Cross-entropy on the labels of data.dirs (of several folders: their classes side by side), or a
cosine head with additive angular margin (Gorin et al. 2023's public recipes: 0.2 and 30), with
mixup where objective.mixup is positive. Expected: accuracy rises towards 1.
"""

from typing import Any

from configs import simclr
from cryjax.pretraining import PretrainSettings
from cryjax.settings import changed, to_config


def settings(variant: str = "") -> PretrainSettings:
    changes = {"augment": {"order": "normalise"}, "objective": {"name": "supervised"}}
    return changed(simclr.settings(variant), changes)


def get_config(variant: str = "") -> Any:
    return to_config(settings(variant))
