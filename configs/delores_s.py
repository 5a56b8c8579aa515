"""DeLoRes-S pre-training: Barlow Twins on sound, at a laptop's length.

    python -m cryjax.main --config=configs/delores_s.py --workdir=runs/delores_s \
        --config.data.dirs=prepared/mine

Source: Ghosh et al. 2022, https://arxiv.org/abs/2203.13628, with Barlow Twins' own weights (1 on
the diagonal, 0.0051 off it) and our optimiser; the release's are in configs/paper/slicer.py.
Expected: on_diagonal falls from the projector's dimension.
"""

from typing import Any

from ml_collections import ConfigDict

from configs import common, simclr


def get_config(variant: str = "") -> ConfigDict:
    config: Any = simclr.on_one_crop(variant, "normalise,log_mixup,resize_crop")
    config.objective = ConfigDict(
        {
            "name": "delores_s",
            "on_weight": 1.0,
            "off_weight": 0.0051,
            "batch_norm": "separate",
            "projector": common.projector(hidden=2048, dim=2048, layers=3, use_bias=False),
        }
    )
    if variant == "smoke":
        small = {"projector": {"hidden": 32, "dim": 32}}
        config.update({"objective": small})
    return config
