"""SimCLR pre-training, uclser's recipe at a laptop's length.

    python -m cryjax.main --config=configs/simclr.py --workdir=runs/simclr
    python -m cryjax.main --config=configs/simclr.py --workdir=runs/mine \
        --config.data.dirs=prepared/mine --config.encoder.name=resnet18

Source: Fonseca et al. 2021, https://arxiv.org/abs/2011.07616 (temperature, projector, policy, SGD
0.03 with two drops). Batch and length are ours; the paper runs 500 epochs at batch 128. Expected:
a loss that falls from log(2 * 64 - 1) = 4.84, and a checkpoint that configs/transfer.py judges.
"""

from typing import Any

from ml_collections import ConfigDict

from configs import common


def get_config(variant: str = "") -> ConfigDict:
    common.refuse(variant, ("smoke",))
    config = ConfigDict()
    config.task = "pretrain"
    config.seed = 0
    config.steps = 1000
    config.batch_size = 64
    config.save_every = 100
    # splits: those pre-trained on, "*" for all; extra_dirs: more folders, used whole;
    # val: queries of the kNN during training
    # hold_out_val: leaves out the 15 % of groups that transfer validates on where data.val is "";
    # replay_dirs: generic audio, `replay_fraction` of every batch; protect_splits: groups of these
    # splits in dirs and protect_dirs may not be trained on (on_protected: refuse or drop)
    config.init = ""  # workdir of the checkpoint to start from
    config.data = common.data(
        splits="train",
        extra_dirs="",
        replay_dirs="",
        replay_fraction=0.0,
        protect_dirs="",
        protect_splits="",
        on_protected="refuse",
        val="val",
        hold_out_val=False,
        distance=-1,
        prefetch=8,
    )
    config.encoder = common.encoder()
    config.augment = common.augment()
    config.objective = ConfigDict(
        {
            "name": "simclr",
            "temperature": 0.2,
            "batch_norm": "separate",
            "predictor": 0,
            "projector": common.projector(),
        }
    )
    config.optim = common.optim()
    config.update(common.running())
    # every: steps between kNN scores of data.val against data.splits, which then pick the best
    # checkpoint; 0 is off. features: h or z.
    config.knn = ConfigDict({"every": 0, "k": 20, "features": "h"})
    config.log = ConfigDict({"every": 10, "tensorboard": False})
    if variant == "smoke":
        config.steps, config.batch_size, config.save_every = 4, 8, 2
        config.data.frames = 48
        config.knn.every, config.log.every = 4, 2
    return config


def on_one_crop(variant: str, order: str) -> ConfigDict:
    """The base of BYOL-A, SLICER and DeLoRes: both views of one crop, AudioNTT, AdamW 3e-4."""
    config: Any = get_config(variant)
    config.data.distance = 0
    config.encoder = common.encoder(name="audio_ntt", width=16 if variant == "smoke" else 512)
    config.augment = common.augment(order)
    config.optim = common.optim(
        name="adamw", learning_rate=3e-4, weight_decay=0.0, schedule="constant"
    )
    if variant == "smoke":
        config.augment.update({"log_mixup": {"size": 16}})
        config.augment.update({"k_mix": {"size": 16, "top_k": 4, "clusters": 2}})
    return config
