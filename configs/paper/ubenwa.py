"""Gorin et al. 2023 at full size: CNN14, SimCLR on generic audio, then on cries, then fine-tuned.

    python -m data_prep.main --corpus=csv --source=generic.csv --out=prepared/generic --spec=ubenwa
    python -m cryjax.main --config=configs/paper/ubenwa.py:simclr --workdir=runs/ubenwa_simclr
    python -m cryjax.main --config=configs/paper/ubenwa.py:adapt --workdir=runs/ubenwa_adapted \
        --config.init=runs/ubenwa_simclr
    python -m cryjax.main --config=configs/paper/ubenwa.py:finetune --workdir=runs/ubenwa_judged \
        --config.checkpoint=runs/ubenwa_adapted

Variants: simclr, supervised, adapt, finetune. Source: https://arxiv.org/abs/2305.01578. The paper
leaves much open; [proxy] is the public code and configs of the same authors (the card's C and H).
The features of `ubenwa` take each clip's mean out before SpecAugment here, so a zero mask is the
clip's mean and not 0 dB. Expected [stated], AUC of neurological injury over 10 seeds, linear /
linear+BN / end-to-end: supervised 75.5 / 75.9 / 80.0; SimCLR 71.3 / 78.5 / 83.9; adapted on 21 h
with replay 80.8 / 83.3 / 85.0. Their cries are not public.
"""

from typing import Any

from ml_collections import ConfigDict

from configs import adapt, common, simclr, supervised, transfer

VARIANTS = ("simclr", "supervised", "adapt", "finetune")
FRAMES = 401  # [proxy] 4.0 s
EPOCH = 1148  # [proxy] 80 % of VGGSound's 183,730 training clips in batches of 128


def get_config(variant: str = "simclr") -> ConfigDict:
    common.refuse(variant, VARIANTS)
    if variant == "finetune":
        return _finetune()
    config: Any = {"supervised": supervised, "adapt": adapt}.get(variant, simclr).get_config()
    config.data.dirs = "prepared/generic"
    config.data.frames = FRAMES
    config.data.distance = -1  # [proxy] two independent crops
    config.encoder = common.encoder(name="cnn14", dropout=0.2)  # [stated], dropout [proxy]
    config.batch_size = 128  # [proxy]
    config.augment = common.augment(  # [proxy] light masks; the time warp too
        "time_warp,spec_augment,normalise", normalise={"by": "patch_mean", "freeze_after": 0}
    )
    config.augment.spec_augment = ConfigDict(
        {"max_bands": 10, "max_frames": 10, "band_masks": 2, "frame_masks": 2, "fill": "zero"}
    )
    config.optim = common.optim(  # [proxy]
        name="sgd",
        learning_rate=0.015,
        final=5e-9,
        momentum=0.9,
        weight_decay=5e-4,
        decay="all",
        schedule="cosine",
        warmup=0.1,
        clip=5.0,
        constant="predictor",
    )
    config.steps, config.save_every = 50 * EPOCH, EPOCH  # [proxy] 50 epochs
    if variant == "supervised":
        config.objective.head = "cosine"  # [stated] 308 classes without bias; margin [proxy]
        config.steps = 200 * EPOCH  # [proxy]
        config.optim.weight_decay, config.optim.constant = 0.0, ""  # [proxy]
        return config
    config.objective.temperature = 0.5  # [proxy]
    config.objective.projector = common.projector(hidden=2048, dim=2048, last_norm=True)  # [proxy]
    config.objective.predictor = 512  # [proxy]; 0 is the classic SimCLR
    if variant == "adapt":
        config.data.dirs, config.data.replay_dirs = "prepared/cries", "prepared/generic"
        config.data.replay_fraction = 0.5  # [ours]
        config.optim.learning_rate, config.optim.warmup = 0.0015, 0.05  # [ours]
        config.steps, config.save_every = 5000, 500  # [ours] about 50 passes over 21 h
    return config


def _finetune() -> ConfigDict:
    config: Any = transfer.get_config()
    config.modes = "majority,linear,linear_bn,finetune,scratch"  # [stated]
    config.seeds = 10  # [stated]
    config.data.dirs = "prepared/cries"
    config.data.frames, config.data.hop = FRAMES, FRAMES // 2  # [ours] half overlap
    config.augment = common.augment("normalise")
    adam = {"name": "adamw", "weight_decay": 2e-6, "schedule": "constant", "learning_rate": 1e-3}
    for mode in ("linear", "linear_bn", "scratch"):  # [ours] optimiser, rates, selection
        config.probe[mode] = common.optim(**adam)
    config.probe.finetune = common.optim(**adam, encoder_rate=0.1)  # [stated] slower; ratio [ours]
    config.probe.settings.update(
        {"steps": 2000, "eval_every": 100, "select": "auc", "balance": "sampling"}
    )
    return config
