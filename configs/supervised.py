"""Supervised pre-training: the baseline that learning without labels is compared with.

    python -m cryjax.main --config=configs/supervised.py --workdir=runs/supervised \
        --config.data.dirs=prepared/mine --config.objective.head=cosine

Cross-entropy on the labels of data.dirs (of several folders: their classes side by side), or a
cosine head with additive angular margin (Gorin et al. 2023's public recipes: 0.2 and 30), with
mixup where objective.mixup is positive. Expected: accuracy rises towards 1.
"""

from typing import Any

from ml_collections import ConfigDict

from configs import common, simclr


def get_config(variant: str = "") -> ConfigDict:
    config: Any = simclr.get_config(variant)
    config.augment = common.augment("normalise")
    config.objective = ConfigDict(
        {"name": "supervised", "head": "linear", "angle": (0.2, 30.0), "mixup": 0.0}
    )
    return config
