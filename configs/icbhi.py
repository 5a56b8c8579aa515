"""The respiratory practical: SimpleCNN, or CNN+GRU, on breathing cycles (docs/practical.md).

    python -m cryjax.main --config=configs/icbhi.py --workdir=runs/icbhi \
        --config.data.dirs=prepared/icbhi
    python -m cryjax.main --config=configs/icbhi.py:cnn_gru --workdir=runs/icbhi_gru ...

Patients of train and test are disjoint, and so are those of the tenth of train that validates
(data.val_by=clip is the leaky division, to see what it pretends). 16 epochs of Adam 1e-3, batches
of 32, the step with the best validation accuracy (Han & Rizos 2024). Expected: above the majority,
far below what splits by clip pretend.
"""

from typing import Any

from configs import common, transfer
from cryjax.settings import changed, to_config
from cryjax.tasks.transfer import TransferSettings


def settings(variant: str = "") -> TransferSettings:
    common.refuse(variant, ("smoke", "simple_cnn", "cnn_gru"))
    smoke = variant == "smoke"
    changes: dict[str, Any] = {
        "modes": "majority,mel_statistics,random_linear,scratch",
        "save_best": True,
        "data": {
            "dirs": "prepared/icbhi",
            "frames": 64,
            "hop_frames": 64,
            "val": "",
            "val_share": 0.1,
        },
        "encoder": {"name": "cnn_gru" if variant == "cnn_gru" else "simple_cnn"},
        "probe": {
            "scratch": {
                "epochs": 1 if smoke else 16,
                "batch_size": 32,
                "eval_every": None,
                "balance": "none",
                "select": "accuracy",
                "optim": {"learning_rate": 1e-3, "weight_decay": 0.0, "schedule": "constant"},
            }
        },
        "clinical": {"positive": None if smoke else "abnormal"},
    }
    return changed(transfer.settings("smoke" if smoke else ""), changes)


def get_config(variant: str = "") -> Any:
    return to_config(settings(variant))
