"""DeLoRes-S pre-training: Barlow Twins on sound, at a laptop's length.

    python -m cryjax.main --config=configs/delores_s.py --workdir=runs/delores_s \
        --config.data.dirs=prepared/mine

Source: Ghosh et al. 2022, https://arxiv.org/abs/2203.13628, with Barlow Twins' own weights (1 on
the diagonal, 0.0051 off it) and our optimiser; the release's are in configs/paper/slicer.py.
Expected: on_diagonal falls from the projector's dimension.
"""

from typing import Any

from configs import simclr
from cryjax.pretraining import PretrainSettings
from cryjax.settings import changed, to_config


def settings(variant: str = "") -> PretrainSettings:
    base = simclr.on_one_crop(variant, "normalise,log_mixup,byola_resize_crop")
    base = changed(base, {"objective": {"name": "delores_s"}})
    small = {"objective": {"projector": {"hidden": 32, "dim": 32}}}
    return changed(base, small) if variant == "smoke" else base


def get_config(variant: str = "") -> Any:
    return to_config(settings(variant))
