"""COLA pre-training at a laptop's length: two crops of a clip, nothing else.

    python -m cryjax.main --config=configs/cola.py --workdir=runs/cola \
        --config.data.dirs=prepared/mine --config.objective.similarity=cosine

Source: Saeed et al. 2021, https://arxiv.org/abs/2010.10915: EfficientNet-B0, Adam 1e-3. Its code
adds noise of 0.001 to one waveform, which log-mels cannot follow, and L2-normalises waveforms
before other features than our presets'; both are left out. Expected: a loss that falls from
log(batch).
"""

from typing import Any

from ml_collections import ConfigDict

from configs import common, simclr


def get_config(variant: str = "") -> ConfigDict:
    config: Any = simclr.get_config(variant)
    config.encoder = common.encoder(name="efficientnet_b0")
    config.augment = common.augment("normalise")
    config.objective = ConfigDict(
        {
            "name": "cola",
            "similarity": "bilinear",
            "temperature": 0.2,
            "batch_norm": "separate",
            "projector": common.projector(layers=1, dim=512),
        }
    )
    config.optim = common.optim(
        name="adamw", learning_rate=1e-3, weight_decay=0.0, schedule="constant"
    )
    if variant == "smoke":
        config.update({"encoder": {"width": 8}, "objective": {"projector": {"dim": 16}}})
    return config
