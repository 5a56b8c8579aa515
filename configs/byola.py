"""BYOL-A pre-training at a laptop's length.

    python -m cryjax.main --config=configs/byola.py --workdir=runs/byola \
        --config.data.dirs=prepared/mine

Source: Niizumi et al. 2021, https://arxiv.org/abs/2103.06695: Adam 3e-4, batch 256, 100 epochs,
teacher 0.99; the features are cut to 512. One crop a clip, shared by both views. Expected: a loss
that falls from about 4 (2 - 2 cos, both directions) without feature_std falling to 0.
"""

from typing import Any

from ml_collections import ConfigDict

from configs import common, simclr


def get_config(variant: str = "") -> ConfigDict:
    config: Any = simclr.on_one_crop(variant, "normalise,log_mixup,resize_crop,post_normalise")
    config.objective = ConfigDict(
        {
            "name": "byola",
            "decay": 0.99,
            "batch_norm": "separate",
            "projector": common.projector(hidden=4096, dim=256),
        }
    )
    if variant == "smoke":
        config.update({"objective": {"projector": {"hidden": 32}}})
    return config
