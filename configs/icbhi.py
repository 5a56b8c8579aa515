"""The respiratory practical: SimpleCNN, or CNN+GRU, on breathing cycles (docs/practical.md).

    python -m cryjax.main --config=configs/icbhi.py --workdir=runs/icbhi \
        --config.data.dirs=prepared/icbhi
    python -m cryjax.main --config=configs/icbhi.py:cnn_gru --workdir=runs/icbhi_gru ...

Patients of train and test are disjoint, and so are those of the tenth of train that validates
(data.val=by_clip is the leaky division, to see what it pretends). 16 epochs of Adam 1e-3, batches
of 32, the step with the best validation accuracy (Han & Rizos 2024). `epochs` counts passes over
the training clips. Expected: above the majority, far below what clip-wise splits pretend.
"""

from typing import Any

from ml_collections import ConfigDict

from configs import common, transfer


def get_config(variant: str = "") -> ConfigDict:
    common.refuse(variant, ("smoke", "cnn_gru"))
    config: Any = transfer.get_config("smoke" if variant == "smoke" else "")
    config.modes = "majority,scratch"
    config.keep = True
    config.data = common.data(
        dirs="prepared/icbhi", frames=64, hop=64, train="train", val="", test="test", val_share=0.1
    )
    name, frames = ("cnn_gru", 0) if variant == "cnn_gru" else ("simple_cnn", 64)
    config.encoder = common.encoder(name=name, frames=frames)
    config.epochs = 16  # over the training clips; 0 leaves probe.settings.steps
    config.probe.settings.update(
        {"batch_size": 32, "eval_every": 0, "balance": "none", "select": "accuracy"}
    )
    config.probe.scratch = common.optim(
        name="adamw", learning_rate=1e-3, weight_decay=0.0, schedule="constant"
    )
    config.clinical.positive = "abnormal"
    if variant == "smoke":
        config.epochs, config.probe.settings.steps, config.clinical.positive = 1, 2, ""
    return config
