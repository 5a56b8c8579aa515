"""Judging a checkpoint: kNN, linear, linear+BN, fine-tuning, beside majority and from scratch.

    python -m cryjax.main --config=configs/transfer.py --workdir=runs/judged \
        --config.checkpoint=runs/simclr

Modes: majority, knn, linear, linear_bn, finetune, and with fresh weights scratch, random_linear,
random_knn. Without a checkpoint only those with fresh weights and majority run. `data.val=""` takes
15 % of train by group. Selection is on validation only; linear+BN and linear use AdamW, the others
SGD with a slower encoder (Gorin et al. 2023 leave the rates open; these are ours).
"""

from ml_collections import ConfigDict

from configs import common


def get_config(variant: str = "") -> ConfigDict:
    common.refuse(variant, ("smoke",))
    config = ConfigDict()
    config.task = "transfer"
    config.checkpoint = ""
    config.seed = 0
    config.seeds = 3
    config.modes = "majority,knn,random_linear,linear,linear_bn,finetune,scratch"
    config.data = common.data(train="train", val="val", test="test")
    config.encoder = common.encoder()  # of fresh weights where there is no checkpoint
    config.augment = common.augment("normalise")
    config.knn = ConfigDict({"k": 20, "features": "h"})
    adam = {"name": "adamw", "weight_decay": 1e-4, "decay": "kernels", "schedule": "cosine"}
    config.probe = ConfigDict(
        {
            "settings": {
                "steps": 200, "batch_size": 32, "eval_every": 50,
                "balance": "sampling", "select": "balanced_accuracy",
            },
            # over `settings` where linear runs on embeddings made once: when nothing is augmented
            "linear_settings": {"steps": 1000, "batch_size": 64, "eval_every": 50},
            "linear": common.optim(**adam, learning_rate=1e-2),
            "linear_bn": common.optim(**adam, learning_rate=1e-2, encoder_rate=0.1),
            "finetune": common.optim(**adam, learning_rate=3e-3, encoder_rate=0.1),
            "scratch": common.optim(**adam, learning_rate=1e-3),
        }
    )  # fmt: skip
    if variant == "smoke":
        config.seeds, config.modes = 1, "majority,random_knn,random_linear,scratch"
        config.data.frames = 48
        config.probe.update({"settings": {"steps": 2, "eval_every": 2, "batch_size": 8}})
        config.probe.linear_settings = {"steps": 4, "batch_size": 8, "eval_every": 2}
    return config
