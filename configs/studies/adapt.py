"""Gorin et al. 2023 in small: generic pre-training, adaptation on cries, few labels.

The injury of these babies is made by code (data_prep/derived.py): its size is known, its meaning is
none. Each third of the babies is tested on in turn. Generic audio is ESC-50 without crying babies;
cries are those of the babies that train, the extra ones donateacry's raw uploads, always without
babies that a task validates or tests on.
"""

from typing import Any

from configs import laptop
from configs.studies import shared
from configs.studies.learn import SUPERVISED
from cryjax.settings import merged
from cryjax.studies.settings import StudySettings

FOLDERS = ("injury", "cry_or_other", "esc50", "esc50_generic", "donateacry_raw")
FOLDS = ("babies1", "babies2", "babies3")
TESTED = ("val", "test", "fold1", "fold5")  # of the tasks on other corpora
PAIRS = (
    ("generic", "random"),
    ("generic", "labels"),
    ("generic_cry", "generic"),
    ("generic_cry_extra", "generic_cry"),
    ("generic_cry_extra_replay", "generic_cry_extra"),
)
GENERIC: dict[str, Any] = {
    "data": {
        "dirs": "narrow_esc50_generic",
        "splits": "fold2,fold3,fold4",
        "protect_dirs": "narrow_cry_or_other",
        "protect_splits": "val,test",
        "on_protected": "drop",
    }
}
ADAPTED: dict[str, Any] = {  # on the babies that a fold trains on
    "steps": 400,
    "optim": {"learning_rate": 5e-4},
    "data": {
        "protect_dirs": "narrow_cry_or_other,narrow_esc50",
        "protect_splits": TESTED,
        "on_protected": "drop",
    },
}
EXTRA = {"data": {"extra_dirs": "narrow_donateacry_raw"}}
REPLAY = {"data": {"replay_dirs": "narrow_esc50_generic", "replay_fraction": 0.5}}
TASKS: dict[str, Any] = {
    "injury": {"data": {"dirs": "narrow_injury"}},
    "few_cries": {"data": {"dirs": "narrow_cry_or_other"}, "label": {"fraction": 0.02}},
}
FORGOTTEN: dict[str, Any] = {
    "dirs": "narrow_esc50",
    "train": "fold2,fold3,fold4",
    "val": "fold5",
    "test": "fold1",
}
FIRST_FOLD: dict[str, Any] = {  # what adaptation pre-trains on there, for a task of another corpus
    "dirs": "narrow_injury",
    "splits": FOLDS[1:],
    "hold_out_val_share": 0.15,
    "protect_splits": (*TESTED, FOLDS[0]),
}
MODES = ("logistic", "linear", "linear_bn", "finetune")


def _arms(start: str, base: dict[str, Any]) -> dict[str, Any]:
    """Lists the arms of adaptation from one generic encoder."""
    cry = merged(merged(base, ADAPTED), {"init": start})
    extra = merged(cry, EXTRA)
    return {
        f"{start}_cry": cry,
        f"{start}_cry_extra": extra,
        f"{start}_cry_extra_replay": merged(extra, REPLAY),
    }


def _encoders() -> dict[str, Any]:
    generic, labels = GENERIC, merged(SUPERVISED, GENERIC)
    from_labels = _arms("labels", {})["labels_cry_extra_replay"]
    return {
        "random": {},
        "generic": generic,
        **_arms("generic", {}),
        "labels": labels,
        "labels_cry_extra_replay": from_labels,
    }


def _study(study: str, question: str, **changes: Any) -> StudySettings:
    settings: dict[str, Any] = {
        "corpora": shared.corpora(*FOLDERS, spec=shared.NARROW),
        "seeds": 3,
        "pretrain": laptop.PRETRAIN,
        "encoders": _encoders(),
        "transfer": merged(shared.TRANSFER, {"probe": {"linear_bn": {"steps": 400}}}),
        "tasks": TASKS,
        "home": "injury",
        "folds": FOLDS,
        "modes": ("majority", "mel_statistics", *MODES),
        "tuned": {"finetune": (shared.whole_network(steps=600, batch_size=64),)},
        "metric": "auc",
    }
    return StudySettings(study=study, question=question, **settings | changes)


def _reasons() -> StudySettings:
    names = ("donateacry", "donateacry_age")
    protected = {"protect_dirs": "narrow_donateacry_age", "protect_splits": "val,test"}
    return _study(
        "reasons",
        "Do parents' reasons, or ages, show in a cry? (Expected near chance.)",
        corpora=shared.corpora(*names, "esc50_generic", "cry_or_other", spec=shared.NARROW),
        seeds=2,
        encoders={
            "random": {},
            "generic": GENERIC,
            "generic_cry": {"init": "generic", "steps": 600, "data": protected},
        },
        tasks={name: {"data": {"dirs": f"narrow_{name}"}} for name in names},
        home="donateacry",
        folds=(),
    )


STUDIES = {
    "adaptation": _study(
        "adaptation",
        "When does adaptation to cries help?",
        compare=tuple(f"{a}/{mode} > {b}/{mode}" for mode in MODES for a, b in PAIRS),
    ),
    "forgotten": _study(
        "forgotten",
        "What of generic sounds does adaptation to cries forget?",
        encoders={
            name: merged(changes, {"data": FIRST_FOLD}) if "init" in changes else changes
            for name, changes in _encoders().items()
        },
        tasks={"esc50": {"data": FORGOTTEN}},
        home="esc50",
        folds=(),
        modes=("knn", "logistic"),
        tuned={},
        metric="accuracy",
        compare=tuple(f"{a}/logistic > {b}/logistic" for a, b in PAIRS),
    ),
    "reasons": _reasons(),
    "fractions_injury": _study(
        "fractions_injury",
        "How many labelled babies does each encoder need?",
        encoders={
            name: changes
            for name, changes in _encoders().items()
            if name
            in ("random", "generic", "generic_cry_extra", "generic_cry_extra_replay", "labels")
        },
        tasks={"injury": TASKS["injury"]},
        modes=MODES,
        fractions=(0.1, 0.2, 0.4, 1.0),
        crossings=(  # the poster's claims: a fifth of the labels, few labels
            "generic_cry_extra_replay: linear_bn > labels: finetune/100 %",
            "generic_cry_extra_replay: finetune > labels: finetune/100 %",
            "generic_cry_extra_replay: finetune > generic_cry_extra_replay: linear_bn",
        ),
    ),
}
