"""kNN alone: seconds, no training, h or z.

python -m cryjax.main --config=configs/knn.py --workdir=runs/knn --config.checkpoint=runs/simclr
"""

from ml_collections import ConfigDict

from configs import transfer


def get_config(variant: str = "") -> ConfigDict:
    config = transfer.get_config(variant)
    config.modes = "majority,random_knn" + ("" if variant == "smoke" else ",knn")
    return config
