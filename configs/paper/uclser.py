"""Fonseca et al. 2021 at full size: contrastive learning of sound events on FSDnoisy18k.

    python -m data_prep.main --corpus=fsdnoisy18k --source=FSDnoisy18k --out=prepared/fsdnoisy18k
    python -m cryjax.main --config=configs/paper/uclser.py:resnet18 --workdir=runs/uclser

Variants: resnet18, vgg, crnn. The downstream tasks are configs/protocol.py:uclser. Source:
https://arxiv.org/abs/2011.07616 and its MIT code. Expected [stated]: kNN on the clean training set
70.1 (ResNet-18). The released kNN looks labels up at shifted places, so that this number is not
directly comparable.
"""

from typing import Any

from configs import common, simclr
from cryjax.pretraining import PretrainSettings
from cryjax.settings import changed, to_config

ENCODERS = ("resnet18", "vgg", "crnn")
EPOCH = 124  # [release] 15,813 clips in batches of 128


def settings(encoder: str = "resnet18") -> PretrainSettings:
    common.refuse(encoder, ENCODERS)
    return changed(
        simclr.settings(),
        {
            "data": {
                "dirs": "prepared/fsdnoisy18k",
                "frames": 101,  # [release] 1 s
                "distance": None,  # [stated] at random
            },
            "encoder": {"name": encoder or "resnet18"},  # [stated]
            "batch_size": 128,  # [stated]
            "steps": 500 * EPOCH,  # [stated] 500 epochs
            "save_every": EPOCH,
            "optim": {  # [stated] but decay of biases and norms too [release]
                "name": "sgd",
                "learning_rate": 0.03,
                "momentum": 0.9,
                "weight_decay": 1e-4,
                "decay": "all",
                "schedule": "step",
                "boundaries": (325 / 500, 425 / 500),
            },
            # [stated] crop, compression, noise; values [release]
            "augment": {"order": "mix_back,random_resized_crop,compress,gaussian_noise,normalise"},
            "objective": {
                "temperature": 0.2,  # [stated]
                "projector": {"hidden": 512, "dim": 512},  # [release]
                "batch_norm": "separate",  # [release]
            },
            # [stated] every epoch, the clean set against itself
            "knn": {"every": EPOCH, "k": 200, "features": "z", "bank": "within"},
        },
    )


def get_config(variant: str = "resnet18") -> Any:
    return to_config(settings(variant))
