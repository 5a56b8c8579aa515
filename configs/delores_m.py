"""DeLoRes-M pre-training: momentum contrast and a Barlow loss of each layer, at laptop length.

    python -m cryjax.main --config=configs/delores_m.py --workdir=runs/delores_m \
        --config.data.dirs=prepared/mine

Source: Ghosh et al. 2022, IEEE JSTSP 16(6), as LAPE released it, with a queue cut to 4,096. The
encoder must tap its layers: audio_ntt or vgg. Expected: instance_loss falls from log(1 + 4096) =
8.3.
"""

from typing import Any

from configs import simclr
from cryjax.pretraining import PretrainSettings
from cryjax.settings import changed, to_config


def settings(variant: str = "") -> PretrainSettings:
    base = simclr.on_one_crop(variant, "normalise,log_mixup,byola_resize_crop")
    base = changed(base, {"objective": {"name": "delores_m", "queue": 4096}})
    small = {"objective": {"queue": 16, "tap_projector": {"hidden": 32, "dim": 32}}}
    return changed(base, small) if variant == "smoke" else base


def get_config(variant: str = "") -> Any:
    return to_config(settings(variant))
