"""Export of the encoder alone, which every other task accepts as a checkpoint.

python -m cryjax.main --config=configs/export.py --workdir=exports/mine --config.checkpoint=DIR
"""

from typing import Any

from configs import common
from cryjax.settings import to_config
from cryjax.tasks.export import ExportSettings


def get_config(variant: str = "") -> Any:
    common.refuse(variant, ("smoke",))
    return to_config(ExportSettings())
