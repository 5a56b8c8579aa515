"""The sources' evaluations in one command each, their own figures in columns of their own.

    python -m cryjax.main --config=configs/protocol.py:list
    python -m cryjax.main --config=configs/protocol.py:ubenwa --workdir=runs/ubenwa \
        --config.base.data.dirs=prepared/mine --config.checkpoints=simclr=runs/a,adapted=runs/b

ubenwa: Linear / Linear+BN / End-to-end (finetune), 10 seeds, AUC selects and is shown;
base.label.fraction for its label curve. uclser: kNN, linear, and fine-tuning on the larger noisy
and the small clean part of FSDnoisy18k, macro accuracy (balanced_accuracy) selects; micro and
patch-weighted micro in the reports. lape: frozen linear evaluation on every folder of `tasks`.
icbhi: the challenge's score. `uclser_released` and `lape_released` do what the released codes do,
leaks included, and say LEAKY. `checkpoints` gives every pre-trained encoder a name; the figures
of the sources were measured on their data and are not comparable with yours. Finished rows are
skipped.
"""

from typing import Any

from ml_collections import ConfigDict

from configs import common, transfer

MODES = {
    "ubenwa": "linear,linear_bn,finetune",
    "uclser": "knn,linear,finetune,scratch",
    "lape": "linear",
    "icbhi": "majority,scratch,linear,finetune",
}
# Gorin et al. 2023, AUC in per cent, mean ± standard error of 10 runs
UBENWA = {
    "injury: supervised": ("75.5 ± 0.6", "75.9 ± 0.7", "80.0 ± 0.7"),
    "injury: SimCLR": ("71.3 ± 0.9", "78.5 ± 1.2", "83.9 ± 0.6"),
    "injury: 10 h of cries": ("78.8 ± 0.5", "78.0 ± 0.7", "80.8 ± 0.8"),
    "injury: 21 h": ("79.8 ± 0.4", "81.3 ± 0.5", "81.3 ± 0.7"),
    "injury: 21 h + replay": ("80.8 ± 0.5", "83.3 ± 0.6", "85.0 ± 0.9"),
    "triggers: SimCLR": ("65.9 ± 0.8", "69.5 ± 0.7", "69.0 ± 0.9"),
    "triggers: 10 h of cries": ("71.7 ± 0.5", "75.4 ± 0.8", "72.4 ± 1.4"),
    "triggers: 21 h": ("74.5 ± 0.4", "74.7 ± 0.4", "72.0 ± 1.8"),
    "triggers: 21 h + replay": ("74.2 ± 0.4", "75.6 ± 0.6", "74.4 ± 0.7"),
}
# Fonseca et al. 2021: kNN, linear, fine-tuned, from scratch
UCLSER = {
    "larger noisy: ResNet-18": (70.1, 74.3, 78.2, 65.4),
    "larger noisy: VGG-like": (None, 70.0, 72.8, 70.6),
    "larger noisy: CRNN": (None, 64.4, 74.2, 72.0),
    "small clean: ResNet-18": (None, None, 77.9, 56.5),
    "small clean: VGG-like": (None, None, 72.3, 61.1),
    "small clean: CRNN": (None, None, 69.1, 58.7),
}
LAPE_TASKS = (
    "SC-V1",
    "SC-V2 (12)",
    "SC-V2 (35)",
    "LBS",
    "VC",
    "IC",
    "VF",
    "NS",
    "BSD",
    "TUT",
    "US8K",
)
# Seth et al. 2023
LAPE = {
    "COLA": (77.3, 77.2, 66.0, 89.0, 28.9, 59.8, 69.2, 61.3, 85.2, 52.4, 69.1),
    "BYOL": (87.7, 87.2, 84.5, 90.0, 31.0, 60.0, 83.1, 71.2, 87.8, 58.4, 77.0),
    "DeLoRes-S": (86.1, 85.4, 80.0, 90.0, 31.2, 60.7, 76.5, 66.3, 86.7, 58.6, 71.2),
    "DeLoRes-M": (94.0, 93.3, 89.7, 95.7, 45.3, 65.2, 88.0, 75.0, 89.6, 65.7, 82.7),
    "SLICER": (94.8, 94.2, 90.4, 95.7, 49.4, 66.4, 89.9, 76.3, 90.0, 66.8, 83.2),
}
# 4 classes, official split (card of the practical); CNN6 from scratch, AST with Patch-Mix
ICBHI = {"official split: CNN6": {"scratch": 53.9}, "official split: AST": {"finetune": 62.4}}


def _published(name: str) -> dict[str, dict[str, Any]]:
    modes = MODES[name].split(",")
    if name == "lape":
        return {
            f"{task}: {method}": {"linear": figure}
            for method, figures in LAPE.items()
            for task, figure in zip(LAPE_TASKS, figures, strict=True)
        }
    if name == "icbhi":
        return ICBHI
    return {
        row: {m: f for m, f in zip(modes, figures, strict=True) if f is not None}
        for row, figures in (UBENWA if name == "ubenwa" else UCLSER).items()
    }


def _sgd(rate: float) -> ConfigDict:
    return common.optim(learning_rate=rate, boundaries=(80 / 200, 160 / 200))


def _ubenwa(base: Any) -> dict[str, Any]:
    base.seeds = 10
    base.probe.settings.select = "auc"
    for rule, rate in (("linear", 1e-3), ("linear_bn", 1e-3), ("finetune", 1e-3)):
        encoder = 1.0 if rule == "linear" else 0.1
        base.probe[rule] = common.optim(
            name="adamw",
            learning_rate=rate,
            weight_decay=2e-6,
            schedule="constant",
            encoder_rate=encoder,
        )
    return {"task": {}}


def _uclser(base: Any, released: bool) -> dict[str, Any]:
    base.seeds = 3
    base.knn.k = 200
    base.clinical.patches = True
    for rule, rate in (("linear", 0.1), ("finetune", 0.01), ("scratch", 0.03)):
        base.probe[rule] = _sgd(rate)
    base.probe.settings.update({"batch_size": 128, "balance": "none", "steps": 24800})
    base.probe.settings.eval_every = 124
    small = {"train": "val", "val": "released" if released else ""}
    return {"larger noisy": {}, "small clean": {"data": small}}


def _lape(base: Any, released: bool) -> dict[str, Any]:
    base.seeds = 1 if released else 3
    base.pool = "mean"
    base.probe.settings.balance = "none"
    base.probe.settings.select = "accuracy"
    base.probe.settings.released = released
    base.probe.linear = common.optim(
        name="adamw", learning_rate=1e-3, weight_decay=0.0, schedule="constant"
    )
    return {"task": {}}


def _icbhi(base: Any) -> dict[str, Any]:
    base.clinical.normal = "normal"
    base.data.update({"val": "", "frames": 64, "hop": 64})
    return {"official split": {}}


def get_config(variant: str = "ubenwa") -> ConfigDict:
    known = ("list", "smoke", *MODES, "uclser_released", "lape_released")
    common.refuse(variant, known)
    config: Any = ConfigDict()
    if variant == "list":
        config.task, config.text = "list", "\n".join(known[2:])
        return config
    name = "lape" if variant == "smoke" else (variant or "ubenwa")
    source, released = name.partition("_")[0], name.endswith("_released")
    base: Any = transfer.get_config("smoke" if variant == "smoke" else "")
    rows = {
        "ubenwa": lambda: _ubenwa(base),
        "uclser": lambda: _uclser(base, released),
        "lape": lambda: _lape(base, released),
        "icbhi": lambda: _icbhi(base),
    }[source]()
    config.task = "ablate"
    config.table = name
    # lape: folders of prepared tasks, comma-separated; each is a row
    config.tasks = ""
    config.checkpoints = ""
    config.only = ",".join(rows)
    config.modes = MODES[source]
    metrics = {"ubenwa": "auc", "uclser": "balanced_accuracy", "icbhi": "icbhi_score"}
    config.metric = metrics.get(source, "accuracy")
    base.modes = config.modes
    config.base = base
    config.rows = rows
    config.published = _published(source)
    if variant == "smoke":
        config.modes, config.base.modes = "random_linear", "majority,random_linear"
    return config
