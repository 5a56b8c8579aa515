"""Gorin et al. 2023 at full size: CNN14, SimCLR on generic audio, then on cries, then fine-tuned.

    python -m data_prep.main --corpus=csv --source=generic.csv --out=prepared/generic --spec=ubenwa
    python -m cryjax.main --config=configs/paper/ubenwa.py:simclr --workdir=runs/ubenwa_simclr
    python -m cryjax.main --config=configs/paper/ubenwa.py:adapt --workdir=runs/ubenwa_adapted \
        --config.init=runs/ubenwa_simclr
    python -m cryjax.main --config=configs/paper/ubenwa.py:finetune --workdir=runs/ubenwa_cries \
        --config.checkpoint=runs/ubenwa_adapted

Variants: simclr, supervised, adapt, finetune. Source: https://arxiv.org/abs/2305.01578. The paper
leaves much open; [proxy] is the public code and configs of the same authors. The features of
`ubenwa` take each clip's mean out before SpecAugment here, so a zero mask is the clip's mean and
not 0 dB. All of the generic folder is trained on, whatever its splits. Expected [stated], AUC of
neurological injury over 10 seeds, linear / linear+BN / end-to-end: supervised 75.5 / 75.9 / 80.0;
SimCLR 71.3 / 78.5 / 83.9; adapted on 21 h with replay 80.8 / 83.3 / 85.0. Their cries are not
public. configs/protocol.py has the three evaluations of the study, each as one command.
"""

import dataclasses
from typing import Any

from configs import adapt, common, simclr, supervised, transfer
from cryjax.pretraining import PretrainSettings
from cryjax.settings import changed, to_config
from cryjax.tasks.transfer import TransferSettings

VARIANTS = ("simclr", "supervised", "adapt", "finetune")
FRAMES = 401  # [proxy] 4.0 s
EPOCH = 1148  # [proxy] 80 % of VGGSound's 183,730 training clips in batches of 128
ENCODER = {"name": "cnn14", "dropout": 0.2}  # [stated], dropout [proxy]
SHARED: dict[str, Any] = {
    "data": {"dirs": "prepared/generic", "splits": "*", "frames": FRAMES, "distance": None},
    "encoder": ENCODER,
    "batch_size": 128,  # [proxy]
    "augment": {  # [proxy] light masks; the time warp too
        "order": "time_warp,spec_augment,normalise",
        "normalise": {"by": "patch_mean"},
        "spec_augment": {
            "max_bands": 10,
            "max_frames": 10,
            "band_masks": 2,
            "frame_masks": 2,
            "fill": "zero",
        },
    },
    "optim": {  # [proxy]
        "name": "sgd",
        "learning_rate": 0.015,
        "final": 5e-9,
        "momentum": 0.9,
        "weight_decay": 5e-4,
        "decay": "all",
        "schedule": "cosine",
        "warmup": 0.1,
        "clip": 5.0,
        "constant": "predictor",
    },
    "steps": 50 * EPOCH,  # [proxy] 50 epochs
    "save_every": EPOCH,
}
SIMCLR = {
    "objective": {
        "temperature": 0.5,  # [proxy]
        "projector": {"hidden": 2048, "dim": 2048, "last_norm": True},  # [proxy]
        "predictor": 512,  # [proxy]; None is the classic SimCLR
    }
}
ADAPT = {
    "data": {
        "dirs": "prepared/cries",
        "splits": "train",
        "replay_dirs": "prepared/generic",
        "replay_fraction": 0.5,  # [ours]
    },
    "init": "runs/ubenwa_simclr",  # encoder, normaliser and length of views are its own
    "optim": {"learning_rate": 0.0015, "warmup": 0.05},  # [ours]
    "steps": 5000,  # [ours] about 50 passes over 21 h
    "save_every": 500,
}
SUPERVISED = {
    "objective": {"head": "cosine"},  # [stated] 308 classes without bias; margin [proxy]
    "steps": 200 * EPOCH,  # [proxy]
    "optim": {"weight_decay": 0.0, "constant": None},  # [proxy]
}
ADAM = {"name": "adamw", "weight_decay": 2e-6, "schedule": "constant", "learning_rate": 1e-3}
TRAINING = {"steps": 2000, "batch_size": 32, "eval_every": 100, "select": "auc", "optim": ADAM}
FINETUNE: dict[str, Any] = {
    "modes": "majority,mel_statistics,random_linear,linear,linear_bn,finetune,scratch",  # [stated]
    "seeds": 10,  # [stated]
    "data": {"dirs": "prepared/cries"},
    "encoder": ENCODER,
    "probe": {  # [ours] optimiser, rates, selection
        "linear": TRAINING,
        "linear_bn": TRAINING | {"optim": ADAM | {"encoder_rate": 1.0}},
        "finetune": TRAINING | {"optim": ADAM | {"encoder_rate": 0.1}},  # [stated] slower
        "scratch": TRAINING,
    },
}


def settings(variant: str = "simclr") -> PretrainSettings:
    start = {"supervised": supervised, "adapt": adapt}.get(variant, simclr).settings()
    base = changed(start, SHARED)
    if variant == "supervised":
        return changed(base, SUPERVISED)
    base = changed(base, SIMCLR)
    if variant != "adapt":
        return base
    inherited = {"data": {"frames": None}, "augment": {"normalise": {"by": None}}}
    base = changed(changed(base, ADAPT), inherited)
    return dataclasses.replace(base, encoder=start.encoder)


def downstream() -> TransferSettings:
    """Settings of the evaluation; crops are those of the checkpoint, half overlapping [ours]."""
    return changed(transfer.settings(), FINETUNE)


def get_config(variant: str = "simclr") -> Any:
    common.refuse(variant, VARIANTS)
    return to_config(downstream() if variant == "finetune" else settings(variant))
