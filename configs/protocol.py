"""The sources' evaluations in one command each, their own figures in columns of their own.

    python -m cryjax.main --config=configs/protocol.py:list
    python -m cryjax.main --config=configs/protocol.py:ubenwa --workdir=runs/ubenwa \
        --config.rows.injury.data.dirs=prepared/injury \
        --config.rows.triggers.data.dirs=prepared/triggers \
        --config.checkpoints=SimCLR=runs/a,adapted=runs/b

ubenwa: both tasks of Gorin et al. 2023, Linear / Linear+BN / End-to-end (finetune) and from
scratch, 10 seeds, the checkpoint's own 4-s crops, AUC selects and is shown.
ubenwa_adaptation: none / cry / cry + extra / cry + extra + replay, each adapted from
`base.pretrain.init` and evaluated by the three modes with 10 seeds (base.transfer.seeds) of one
adaptation (base.seeds). ubenwa_fractions: the three modes and from scratch by share of labels, with
a curve for each of `checkpoints`. uclser: kNN of the clean training set within itself, linear, and
fine-tuning on the larger noisy and the small clean part of FSDnoisy18k, 200 epochs each; macro
accuracy (balanced_accuracy) selects; micro and patch-weighted micro in the reports. lape: frozen
linear evaluation of 11 tasks, 100 epochs at most, stopped early on validation; `tasks` puts your
own prepared folders in their place. icbhi: the challenge's score. `uclser_released` and
`lape_released` do what the released codes do, leaks included, and say LEAKY. `checkpoints` gives
every pre-trained encoder a name; the figures of the sources were measured on their data and are not
comparable with yours. Finished rows are skipped.
"""

import dataclasses
from typing import Any

from ml_collections import ConfigDict

from configs import common, published, suite, transfer
from configs.paper import ubenwa
from cryjax.settings import changed, to_config
from cryjax.tasks.label_fractions import LabelFractionSettings
from cryjax.tasks.table import TableSettings

VARIANTS = (
    "ubenwa",
    "ubenwa_adaptation",
    "ubenwa_fractions",
    "uclser",
    "uclser_released",
    "lape",
    "lape_released",
    "icbhi",
)
BASELINES = ("majority", "mel_statistics", "random_linear")
UBENWA_MODES = ("linear", "linear_bn", "finetune")
UCLSER_MODES = ("knn_within", "linear", "finetune", "scratch")
EXTRA = {"extra_dirs": "prepared/extra"}
# folders of the 11 tasks and how they were prepared, besides --spec=slicer
LAPE_ROWS: dict[str, dict[str, Any]] = {
    "sc_v1": {"dirs": "prepared/speech_commands_v1"},  # --corpus=speech_commands_v1
    "sc_v2_12": {"dirs": "prepared/speech_commands12"},  # --corpus=speech_commands12
    "sc_v2_35": {"dirs": "prepared/speech_commands"},  # --corpus=speech_commands
    # --corpus=librispeech --label=chapter --split=by_clip: as LAPE, LEAKY
    "lbs_chapter": {"dirs": "prepared/librispeech_chapter"},
    "lbs_speaker": {"dirs": "prepared/librispeech"},  # --corpus=librispeech
    "vc": {"dirs": "prepared/voxceleb1"},  # --corpus=voxceleb1: 1,251 classes
    "ic": {"dirs": "prepared/iemocap", "folds": "*"},  # --corpus=iemocap: five sessions
    "vf": {"dirs": "prepared/voxforge"},  # --corpus=voxforge
    "ns": {"dirs": "prepared/nsynth"},  # --corpus=nsynth
    "bsd": {"dirs": "prepared/bird_detection"},  # --corpus=bird_detection
    "tut": {"dirs": "prepared/tut2018", "val": ""},  # --corpus=tut2018: fold 1
    "us8k": {  # --corpus=urbansound8k: fold 10 alone is tested, as LAPE
        "dirs": "prepared/urbansound8k",
        "train": ",".join(f"fold{i}" for i in range(1, 10)),
        "val": "",
        "test": "fold10",
    },
}


def _sgd(rate: float) -> dict[str, Any]:
    """Returns 200 epochs of SGD with two drops, as released."""
    return {
        "epochs": 200.0,
        "batch_size": 128,
        "eval_every": None,
        "balance": "none",
        "select": "balanced_accuracy",
        "optim": {
            "name": "sgd",
            "learning_rate": rate,
            "momentum": 0.9,
            "weight_decay": 1e-4,
            "decay": "all",
            "schedule": "step",
            "boundaries": (80 / 200, 160 / 200),
            "encoder_rate": 1.0,
        },
    }


def _ubenwa() -> TableSettings:
    modes = (*UBENWA_MODES, "scratch")
    return TableSettings(
        base=to_config(ubenwa.downstream()).to_dict(),
        rows={
            "injury": {"data": {"dirs": "prepared/injury"}},
            "triggers": {"data": {"dirs": "prepared/triggers"}},
        },
        modes=(*BASELINES, *modes),
        metric="auc",
        published=published.by_mode(published.UBENWA, modes),
    )


def _ubenwa_adaptation() -> TableSettings:
    base = changed(
        suite.settings(),
        {
            "seeds": 1,
            "pretrain": to_config(ubenwa.settings("adapt")).to_dict()
            | {"init": "runs/ubenwa_simclr"},
            "transfer": to_config(ubenwa.downstream()).to_dict(),
        },
    )
    base = changed(
        base,
        {
            "pretrain": {"data": {"replay_fraction": 0.0, "replay_dirs": ""}},
            "transfer": {"modes": ",".join((*BASELINES, *UBENWA_MODES))},
        },
    )
    replay = {"replay_dirs": "prepared/generic", "replay_fraction": 0.5}
    return TableSettings(
        base=suite.without_decided(to_config(base)).to_dict(),
        rows={
            "none": {"pretrain": {"steps": 0}},
            "cry": {},
            "cry_extra": {"pretrain": {"data": EXTRA}},
            "cry_extra_replay": {"pretrain": {"data": EXTRA | replay}},
        },
        modes=(*BASELINES, *UBENWA_MODES),
        metric="auc",
        published=published.by_mode(published.ADAPTATION, UBENWA_MODES),
    )


def _ubenwa_fractions() -> LabelFractionSettings:
    return changed(
        LabelFractionSettings(),
        {
            "modes": ",".join((*BASELINES, *UBENWA_MODES, "scratch")),
            "metric": "auc",
            "data": {"dirs": "prepared/injury"},
            "encoder": ubenwa.ENCODER,
            "probe": ubenwa.FINETUNE["probe"],
        },
    )


def _uclser(released: bool) -> TableSettings:
    base = changed(
        transfer.settings(),
        {
            "seeds": 3,
            "modes": ",".join((*BASELINES, *UCLSER_MODES)),
            "knn": {"k": 200, "features": "z", "released_lookup": released},
            "data": {
                "dirs": "prepared/fsdnoisy18k",
                "last_window": "dropped" if released else "aligned",
            },
            # rates [release]; from scratch the source does not state one [ours]
            "probe": {
                "linear": _sgd(0.1) | {"train_mode": released},
                "finetune": _sgd(0.01),
                "scratch": _sgd(0.03),
            },
            "clinical": {"patches": True, "reference": "scratch"},
        },
    )
    clean: dict[str, Any] = {"train": "val", "val": "", "val_by": "train" if released else "group"}
    return TableSettings(
        base=to_config(base).to_dict(),
        rows={
            # the clean training set, named val, within itself; the test set stands in for val
            "clean_set_knn": {
                "data": {"val": "test", "test": "val"},
                "modes": "majority,mel_statistics,random_knn_within,knn_within",
            },
            "larger_noisy": {"modes": ",".join((*BASELINES, *UCLSER_MODES[1:]))},
            "small_clean": {"data": clean, "modes": ",".join((*BASELINES, *UCLSER_MODES[2:]))},
        },
        modes=(*BASELINES, "random_knn_within", *UCLSER_MODES),
        metric="balanced_accuracy",
        published=published.by_mode(published.UCLSER, UCLSER_MODES),
    )


def _lape(released: bool) -> TableSettings:
    training = {
        "epochs": 100.0,  # [release]
        "batch_size": 32,  # [release]
        "eval_every": None,
        "balance": "none",
        "select": "accuracy",
        "select_on": "test" if released else "val",
        "train_mode": released,
        "patience": None if released else 10,  # [ours], as BYOL-A's evaluation
        "optim": {  # [release]
            "name": "adamw",
            "learning_rate": 1e-3,
            "weight_decay": 0.0,
            "schedule": "constant",
        },
    }
    base = changed(
        transfer.settings(),
        {
            "seeds": 1 if released else 3,
            "modes": ",".join((*BASELINES, "linear")),
            "pool": "mean",  # [release]
            "encoder": {"name": "audio_ntt"},
            "probe": {"linear": training},
        },
    )
    return TableSettings(
        base=to_config(base).to_dict(),
        rows={row: {"data": data} for row, data in LAPE_ROWS.items()},
        modes=(*BASELINES, "linear"),
        metric="accuracy",
        published=published.lape(),
    )


def _icbhi() -> TableSettings:
    modes = ("scratch", "linear", "finetune")
    base = changed(
        transfer.settings(),
        {
            "modes": ",".join((*BASELINES, *modes)),
            "data": {"dirs": "prepared/icbhi4", "val": "", "frames": 64, "hop_frames": 64},
            "clinical": {"normal": "normal"},
        },
    )
    return TableSettings(
        base=to_config(base).to_dict(),
        rows={"official_split": {}},
        modes=(*BASELINES[1:], *modes),  # the score is not given for the majority
        metric="icbhi_score",
        published=published.ICBHI,
    )


def _smoke() -> TableSettings:
    base = changed(transfer.settings("smoke"), {"modes": ",".join(BASELINES)})
    return TableSettings(base=to_config(base).to_dict(), rows={"task": {}}, modes=BASELINES)


def get_config(variant: str = "ubenwa") -> Any:
    common.refuse(variant, ("list", "smoke", *VARIANTS))
    if variant == "list":
        return ConfigDict({"task": "list", "text": "\n".join(VARIANTS)})
    makers: dict[str, Any] = {
        "ubenwa": _ubenwa,
        "ubenwa_adaptation": _ubenwa_adaptation,
        "ubenwa_fractions": _ubenwa_fractions,
        "uclser": lambda: _uclser(False),
        "uclser_released": lambda: _uclser(True),
        "lape": lambda: _lape(False),
        "lape_released": lambda: _lape(True),
        "icbhi": _icbhi,
        "smoke": _smoke,
    }
    variant = variant or "ubenwa"
    made = makers[variant]()
    if isinstance(made, TableSettings):  # a ConfigDict forgets the order of its keys
        made = dataclasses.replace(made, only=tuple(made.rows))
    config = to_config(made)
    if isinstance(made, TableSettings):
        config.table = variant
        config.base, config.rows = ConfigDict(made.base), ConfigDict(made.rows)
        config.published = ConfigDict(made.published)
    return config
