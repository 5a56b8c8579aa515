"""SLICER pre-training: a teacher's queue, clusters and k-mix, at a laptop's length.

    python -m cryjax.main --config=configs/slicer.py --workdir=runs/slicer \
        --config.data.dirs=prepared/mine

Source: Seth et al. 2023, https://arxiv.org/abs/2211.01519, with batch, queue and features cut down.
configs/paper/slicer.py has the full size and the quirks of the release. One crop of a clip, shared
by both views (data.distance=0). Expected: instance_loss falls from 2 log(1 + 4096) = 16.6.
"""

from typing import Any

from configs import simclr
from cryjax.pretraining import PretrainSettings
from cryjax.settings import changed, to_config


def settings(variant: str = "") -> PretrainSettings:
    base = simclr.on_one_crop(variant, "normalise,k_mix,byola_resize_crop")
    base = changed(base, {"objective": {"name": "slicer", "queue": 4096}})
    small = {"objective": {"queue": 16, "clusters": 4}}
    return changed(base, small) if variant == "smoke" else base


def get_config(variant: str = "") -> Any:
    return to_config(settings(variant))
