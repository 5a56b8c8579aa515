"""Pre-train and judge over folds and seeds: the honest table in one command.

    python -m cryjax.main --config=configs/suite.py --workdir=runs/esc10 \
        --config.transfer.data.dirs=prepared/esc10 --config.folds=fold1,fold2

Every fold is tested on once, with an encoder that saw nothing of it: pre-training, training and
validation use the other folds; `pretrain.data.extra_dirs` adds folders to pre-training alone, to be
used whole. `folds=""` uses the corpus's train, val and test. `:demo` is what
`make demo` runs on the embedded synthetic cries. The method is SimCLR, or the variant's: slicer,
byola, cola, delores_s, delores_m, supervised.
"""

from ml_collections import ConfigDict

from configs import (
    byola,
    cola,
    common,
    delores_m,
    delores_s,
    simclr,
    slicer,
    supervised,
    transfer,
)

METHODS = {
    "slicer": slicer,
    "byola": byola,
    "cola": cola,
    "delores_s": delores_s,
    "delores_m": delores_m,
    "supervised": supervised,
}


def get_config(variant: str = "") -> ConfigDict:
    common.refuse(variant, ("smoke", "demo", *METHODS))
    smoke = "smoke" if variant == "smoke" else ""
    config = ConfigDict()
    config.task = "suite"
    config.seed = 0
    config.seeds = 3
    config.folds = ""
    config.pretrain = METHODS.get(variant, simclr).get_config(smoke)
    config.transfer = transfer.get_config(smoke)
    config.transfer.modes = (
        "majority,random_knn,knn,random_linear,linear,linear_bn,finetune,scratch"
    )
    if variant == "smoke":
        config.seeds, config.transfer.modes = 1, "majority,knn,linear"
    if variant == "demo":
        config.seeds = 1
        config.pretrain.steps, config.pretrain.batch_size = 60, 32
        config.pretrain.update({"data": {"frames": 64}})
        config.transfer.update({"data": {"frames": 64, "hop": 64}})
        config.transfer.modes = "majority,random_linear,knn,linear,linear_bn"
        config.transfer.update({"probe": {"settings": {"steps": 60, "eval_every": 20}}})
    return config
