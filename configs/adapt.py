"""Domain adaptation: a pre-trained checkpoint goes on, on cries, with generic audio replayed.

    python -m cryjax.main --config=configs/adapt.py --workdir=runs/adapted \
        --config.init=runs/simclr --config.data.dirs=prepared/cries \
        --config.data.replay_dirs=prepared/generic --config.data.replay_fraction=0.5

The arms of Gorin et al. 2023: none is the checkpoint itself; cry: as above without replay;
cry + extra: data.extra_dirs=prepared/more; cry + extra + replay: both.
configs/protocol.py:ubenwa_adaptation runs and evaluates all four. Encoder, normaliser and length of
views are those of `init`. Groups that validate or test (data.protect_splits of data.dirs and
data.protect_dirs) are refused in every pool. loss_own and loss_replay are logged apart. Rate and
length are ours: a tenth of the pre-training's, warm-up 5 %; the source states neither. `:smoke`
starts from fresh weights.
"""

from typing import Any

from configs import simclr
from cryjax.pretraining import PretrainSettings
from cryjax.settings import changed, to_config


def settings(variant: str = "") -> PretrainSettings:
    changes: dict[str, Any] = {
        "init": None if variant == "smoke" else "runs/simclr",
        "data": {"protect_splits": "val,test"},
        "optim": {"learning_rate": 0.003, "schedule": "cosine", "warmup": 0.05},
    }
    return changed(simclr.settings(variant), changes)


def get_config(variant: str = "") -> Any:
    return to_config(settings(variant))
