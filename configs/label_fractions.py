"""How far few labels go: protocols and encoders by share of labels, in one figure.

    python -m cryjax.main --config=configs/label_fractions.py --workdir=runs/curve \
        --config.data.dirs=prepared/mine --config.checkpoint=runs/simclr

Labels are drawn by group, nested and stratified; of very small fractions at least one group of each
class is taken, and those that thereby are the same draw stand once, as the largest. Logistic
regressions of all seeds, fractions and strengths are fitted on embeddings that are made once;
`modes` adds protocols that train, such as linear_bn, finetune and scratch.
`checkpoints=generic=runs/a,adapted=runs/b` draws a curve for each encoder; {fold} and {seed} are
filled in, such as runs/esc10/{fold}-seed{seed}/pretrain of a suite. `data.folds` tests on each
named split in turn. Writes the usual table and curve.png.
"""

from typing import Any

from configs import common, transfer
from cryjax.settings import changed, to_config
from cryjax.tasks.label_fractions import LabelFractionSettings

SMOKE = {
    "seeds": 2,
    "fractions": (0.5, 1.0),
    "logistic": {"strengths": (0.1, 1.0)},
    "data": {"frames": 48},
    "probe": transfer.SMOKE["probe"],
}


def get_config(variant: str = "") -> Any:
    common.refuse(variant, ("smoke",))
    return to_config(changed(LabelFractionSettings(), SMOKE if variant == "smoke" else {}))
