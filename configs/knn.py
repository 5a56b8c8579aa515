"""kNN alone: seconds, no training, on h or z.

python -m cryjax.main --config=configs/knn.py --workdir=runs/knn --config.checkpoint=runs/simclr
"""

from typing import Any

from configs import transfer
from cryjax.settings import changed, to_config
from cryjax.tasks.transfer import TransferSettings


def settings(variant: str = "") -> TransferSettings:
    modes = "majority,mel_statistics,random_knn" + ("" if variant == "smoke" else ",knn")
    return changed(transfer.settings(variant), {"modes": modes})


def get_config(variant: str = "") -> Any:
    return to_config(settings(variant))
