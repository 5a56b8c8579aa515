"""COLA pre-training at a laptop's length: two crops of a clip, nothing else.

    python -m cryjax.main --config=configs/cola.py --workdir=runs/cola \
        --config.data.dirs=prepared/mine --config.objective.similarity=cosine

Source: Saeed et al. 2021, https://arxiv.org/abs/2010.10915: EfficientNet-B0, Adam 1e-3. Its code
adds noise of 0.001 to one waveform, which log-mels cannot follow, and scales waveforms to unit
length before other features than our presets'; both are left out. Expected: a loss that falls
from log(batch).
"""

from typing import Any

from configs import simclr
from cryjax.pretraining import PretrainSettings
from cryjax.settings import changed, to_config


def settings(variant: str = "") -> PretrainSettings:
    base = changed(
        simclr.settings(variant),
        {
            "encoder": {"name": "efficientnet_b0"},
            "augment": {"order": "normalise"},
            "objective": {"name": "cola"},
            "optim": simclr.ADAM | {"learning_rate": 1e-3},
        },
    )
    small = {"encoder": {"width": 8}, "objective": {"projector": {"dim": 16}}}
    return changed(base, small) if variant == "smoke" else base


def get_config(variant: str = "") -> Any:
    return to_config(settings(variant))
