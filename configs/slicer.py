"""SLICER pre-training: a teacher's queue, clusters and k-mix, at a laptop's length.

    python -m cryjax.main --config=configs/slicer.py --workdir=runs/slicer \
        --config.data.dirs=prepared/mine

Source: Seth et al. 2023, https://arxiv.org/abs/2211.01519; the card's recommended reading with
batch, queue and features cut down. configs/paper/slicer.py has the full size and the release's
quirks. One crop a clip, shared by both views (data.distance=0). Expected: instance_loss falls from
2 log(1 + 4096) = 16.6.
"""

from typing import Any

from ml_collections import ConfigDict

from configs import common, simclr


def get_config(variant: str = "") -> ConfigDict:
    config: Any = simclr.on_one_crop(variant, "normalise,k_mix,resize_crop")
    config.objective = ConfigDict(
        {
            "name": "slicer",
            "temperature": 0.07,
            "queue": 4096,
            "queue_update": "after_both",
            "clusters": 128,
            "cluster_temperature": 1.0,
            "cluster_weight": 1.0,
            "entropy_weight": 1.0,
            "decay": 0.999,
            "batch_norm": "separate",
            "projector": common.projector(layers=1, dim=128),
        }
    )
    if variant == "smoke":
        config.update({"objective": {"queue": 16, "clusters": 4}})
    return config
