"""Pre-train and evaluate over folds and seeds: the honest table in one command.

    python -m cryjax.main --config=configs/suite.py --workdir=runs/esc10 \
        --config.transfer.data.dirs=prepared/esc10 --config.folds=fold1,fold2

Every fold is tested on once, with an encoder that saw nothing of it: pre-training, training and
validation use the other folds; `pretrain.data.extra_dirs` adds folders to pre-training alone, to be
used whole, without the groups and recordings that validate or test. Without `folds` the corpus's
train, val and test are used. `seeds` counts pre-trainings, `transfer.seeds` evaluations of each.
`:demo` is what `make demo` runs on the embedded synthetic cries. The method is SimCLR, or the
variant's: slicer, byola, cola, delores_s, delores_m, supervised.
"""

from typing import Any

from configs import (
    byola,
    cola,
    common,
    delores_m,
    delores_s,
    laptop,
    simclr,
    slicer,
    supervised,
    transfer,
)
from cryjax.settings import changed, to_config
from cryjax.tasks.suite import SuiteSettings

METHODS = {
    "slicer": slicer,
    "byola": byola,
    "cola": cola,
    "delores_s": delores_s,
    "delores_m": delores_m,
    "supervised": supervised,
}
# what the suite decides itself: these are no settings of it
DECIDED = {
    "pretrain": ("task", "seed"),
    "pretrain.data": (
        "dirs",
        "splits",
        "hold_out_val_share",
        "protect_splits",
        "protect_dirs",
        "on_protected",
    ),
    "transfer": ("task", "seed", "checkpoint"),
    "transfer.data": ("folds",),
}
SMOKE = {"seeds": 1, "transfer": {"modes": "majority,mel_statistics,random_linear,knn,linear"}}
# two to four minutes; with the labels of a tenth of the babies the encoder beats a random one
# beyond the interval, with all of them both know everything (tests/tasks/test_demo.py)
DEMO = {
    "seeds": 1,
    "pretrain": laptop.PRETRAIN
    | {"steps": 240, "batch_size": 64, "save_every": 120, "knn": {"every": None}},
    "transfer": {
        "seeds": 3,
        "label": {"fraction": 0.1},
        "modes": "majority,mel_statistics,random_knn,knn,random_linear,linear,linear_bn",
        "probe": {"linear_bn": {"steps": 60, "eval_every": 20}},
    },
}


def settings(variant: str = "") -> SuiteSettings:
    common.refuse(variant, ("smoke", "demo", *METHODS))
    smoke = "smoke" if variant == "smoke" else ""
    base = SuiteSettings(
        pretrain=METHODS.get(variant, simclr).settings(smoke),
        transfer=changed(transfer.settings(smoke), {"seeds": 1}),
    )
    return changed(base, {"smoke": SMOKE, "demo": DEMO}.get(variant, {}))


def without_decided(config: Any) -> Any:
    """Removes the settings that the suite decides, so that nobody sets them in vain."""
    for path, names in DECIDED.items():
        part = config
        for key in path.split("."):
            part = part[key]
        for name in names:
            del part[name]
    return config


def get_config(variant: str = "") -> Any:
    return without_decided(to_config(settings(variant)))
