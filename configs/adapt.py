"""Domain adaptation: a pre-trained checkpoint goes on, on cries, with generic audio replayed.

    python -m cryjax.main --config=configs/adapt.py --workdir=runs/adapted \
        --config.init=runs/simclr --config.data.dirs=prepared/cries \
        --config.data.replay_dirs=prepared/generic --config.data.replay_fraction=0.5

The arms of Gorin et al. 2023 (card, section 5): none is the checkpoint itself; cry:
replay_fraction=0; cry + extra: data.extra_dirs=prepared/more; cry + extra + replay: both. Groups
that validate or test (data.protect_splits of data.dirs and data.protect_dirs) are refused in every
pool. loss_own and loss_replay are logged apart. Rate and length are ours: a tenth of the
pre-training's, warm-up 5 %; the source does not state them. `:smoke` starts from
fresh weights.
"""

from typing import Any

from ml_collections import ConfigDict

from configs import common, simclr


def get_config(variant: str = "") -> ConfigDict:
    config: Any = simclr.get_config(variant)
    config.data.update({"replay_fraction": 0.5, "protect_splits": "val,test"})
    config.data.replay_dirs = "synthetic_sounds"
    config.init = "" if variant == "smoke" else "runs/simclr"
    config.optim = common.optim(learning_rate=0.003, schedule="cosine", warmup=0.05)
    return config
