"""Verification of babies by their cries: equal error rate of pairs (CryCeleb2023's task).

    python -m cryjax.main --config=configs/verify.py --workdir=runs/verify \
        --config.checkpoint=runs/adapted --config.data.dirs=prepared/cryceleb \
        --config.pairs=CryCeleb2023/dev_pairs.csv

`pairs` has columns baby_id_B, baby_id_D and label; a side is the mean embedding of all clips of a
baby at birth (B) or discharge (D), the score their cosine. Writes metrics.json: the rate, its 95 %
interval over babies, and the threshold of the dev pairs to apply elsewhere. Without a checkpoint a
random encoder is judged. The challenge's best entry has 25.8 % (card); not comparable unless on its
test pairs.
"""

from ml_collections import ConfigDict

from configs import common


def get_config(variant: str = "") -> ConfigDict:
    common.refuse(variant, ("smoke",))
    config = ConfigDict()
    config.task = "verify"
    config.checkpoint = ""
    config.pool = ""
    config.seed = 0
    config.pairs = ""
    config.period = "period"  # column of B and D
    config.data = common.data(dirs="prepared/cryceleb", splits="val,test")
    config.encoder = common.encoder()
    config.augment = common.augment("normalise")
    return config
