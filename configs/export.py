"""Export of the encoder alone, which every other task accepts as a checkpoint.

python -m cryjax.main --config=configs/export.py --workdir=exports/mine --config.checkpoint=DIR
"""

from ml_collections import ConfigDict

from configs import common


def get_config(variant: str = "") -> ConfigDict:
    common.refuse(variant, ("smoke",))
    config = ConfigDict()
    config.task = "export"
    config.checkpoint = ""
    config.step = 0  # 0: the best by the run's own selection, else the latest
    return config
