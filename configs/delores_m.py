"""DeLoRes-M pre-training: momentum contrast and a Barlow loss a layer, at a laptop's length.

    python -m cryjax.main --config=configs/delores_m.py --workdir=runs/delores_m \
        --config.data.dirs=prepared/mine

Source: Ghosh et al. 2022, IEEE JSTSP 16(6), as LAPE released it, with queue, features and tap
projectors cut down. The encoder must tap its layers: audio_ntt or vgg. Expected: instance_loss
falls from log(1 + 4096) = 8.3.
"""

from typing import Any

from ml_collections import ConfigDict

from configs import common, simclr


def get_config(variant: str = "") -> ConfigDict:
    config: Any = simclr.on_one_crop(variant, "normalise,log_mixup,resize_crop")
    config.objective = ConfigDict(
        {
            "name": "delores_m",
            "temperature": 0.07,
            "queue": 4096,
            "decay": 0.999,
            "on_weight": 5e-5 / 32,
            "off_weight": 5e-5 / 32,
            "projector": common.projector(layers=1, dim=128),
            "tap_projector": common.projector(hidden=2048, dim=2048, layers=3, use_bias=False),
        }
    )
    if variant == "smoke":
        small = {"queue": 16, "tap_projector": {"hidden": 32, "dim": 32}}
        config.update({"objective": small})
    return config
