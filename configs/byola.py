"""BYOL-A pre-training at a laptop's length.

    python -m cryjax.main --config=configs/byola.py --workdir=runs/byola \
        --config.data.dirs=prepared/mine

Source: Niizumi et al. 2021, https://arxiv.org/abs/2103.06695: Adam 3e-4, batch 256, 100 epochs,
teacher 0.99; the features are cut to 512. One crop of a clip, shared by both views. Expected: a
loss that falls from about 4 (2 - 2 cos, both directions) without feature_std falling to 0.
"""

from typing import Any

from configs import simclr
from cryjax.pretraining import PretrainSettings
from cryjax.settings import changed, to_config


def settings(variant: str = "") -> PretrainSettings:
    base = simclr.on_one_crop(variant, "normalise,log_mixup,byola_resize_crop,post_normalise")
    base = changed(base, {"objective": {"name": "byola"}})
    small = {"objective": {"projector": {"hidden": 32}}}
    return changed(base, small) if variant == "smoke" else base


def get_config(variant: str = "") -> Any:
    return to_config(settings(variant))
