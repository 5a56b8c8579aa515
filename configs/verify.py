"""Verification of babies by their cries: equal error rate of pairs (CryCeleb2023's task).

    python -m cryjax.main --config=configs/verify.py --workdir=runs/verify \
        --config.checkpoint=runs/adapted --config.data.dirs=prepared/cryceleb \
        --config.pairs=CryCeleb2023/dev_pairs.csv

`pairs` has columns baby_id_B, baby_id_D and label; a side is the mean embedding of all clips of a
baby at birth (B) or discharge (D), the score their cosine. Writes metrics.json: the rate, its 95 %
interval over babies, and the threshold of the dev pairs to apply elsewhere. Without a checkpoint a
random encoder is evaluated. The challenge's best entry has 25.8 %; not comparable unless on its
test pairs.
"""

from typing import Any

from configs import common
from cryjax.settings import changed, to_config
from cryjax.tasks.verify import VerifySettings


def get_config(variant: str = "") -> Any:
    common.refuse(variant, ("smoke",))
    return to_config(changed(VerifySettings(), {"data": {"dirs": "prepared/cryceleb"}}))
