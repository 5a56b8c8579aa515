"""SLICER's table: its rivals on one pool, with one encoder and the same number of updates.

The pool is ESC-50 (training folds), spoken commands and cries, without any group or recording that
a task validates or tests on. The tasks are a small LAPE of real recordings: sounds, words, speakers
by word and by digit (speakers left out), cry or not. Windows are 0.8 s, as long as the sources'
0.95 s nearly, and batches half the preset's, so that all 18,000 updates take a laptop's evening.
"""

from collections.abc import Iterable
from typing import Any

from configs import laptop, suite
from configs.studies import shared
from configs.studies.learn import SUPERVISED
from cryjax.settings import merged, to_dict
from cryjax.studies.settings import StudySettings

ENCODER = {"name": "audio_ntt", "width": 512}
METHODS = ("simclr", "slicer", "byola", "cola", "delores_m", "delores_s")
FRAMES = {"frames": 32, "hop_frames": 16}
FOLDERS = ("esc50", "commands", "commands_speaker", "cry_or_other", "donateacry_raw", "fsdd")
POOL: dict[str, Any] = {
    "data": {
        "extra_dirs": "narrow_commands,narrow_donateacry_raw",
        "protect_dirs": "narrow_commands,narrow_commands_speaker,narrow_cry_or_other",
        "protect_splits": "val,test",
    }
}
TASKS: dict[str, Any] = {
    "esc50": {"dirs": "narrow_esc50"},
    "words": {"dirs": "narrow_commands"},
    "speakers": {"dirs": "narrow_commands_speaker"},
    "digits": {"dirs": "narrow_fsdd", "folds": "*"},
    "cry": {"dirs": "narrow_cry_or_other"},
}
SLICER_PARTS: dict[str, Any] = {
    "slicer": {},
    "slicer_no_clusters": {"objective": {"cluster_weight": 0.0}},
    "slicer_mix_back": {"augment": {"order": "mix_back,normalise,byola_resize_crop"}},
    "slicer_queue_512": {"objective": {"queue": 512}},
    "slicer_temperature_02": {"objective": {"temperature": 0.2}},
}


def method(name: str) -> dict[str, Any]:
    """Takes what makes a method: objective, augmentations, optimiser, distance of its views.

    SimCLR has the preset's optimiser, which was chosen for it; the others have their sources'.
    """
    theirs = to_dict(suite.settings("" if name == "simclr" else name).pretrain)
    taken = {key: theirs[key] for key in ("objective", "augment", "optim")}
    if name == "simclr":
        taken["optim"] = laptop.PRETRAIN["optim"]
    return taken | {"data": {"distance": theirs["data"]["distance"]}}


def _study(
    study: str, question: str, encoders: dict[str, Any], seeds: int, compare: tuple[str, ...]
) -> StudySettings:
    training = {"encoder": ENCODER, "steps": 3000, "batch_size": 64, "data": FRAMES}
    return StudySettings(
        study=study,
        question=question,
        corpora=shared.corpora(*FOLDERS, spec=shared.NARROW),
        folds=("fold1",),
        seeds=seeds,
        pretrain=merged(merged(laptop.PRETRAIN, training), POOL),
        encoders=encoders,
        transfer=merged(shared.TRANSFER, {"encoder": ENCODER, "data": FRAMES}),
        tasks={name: {"data": data} for name, data in TASKS.items()},
        home="esc50",
        modes=("linear",),
        ranks="linear",
        compare=compare,
    )


def _rivals() -> dict[str, Any]:
    return {"random": {}, "supervised": SUPERVISED} | {name: method(name) for name in METHODS}


def _slicer_above(names: Iterable[str]) -> tuple[str, ...]:
    return tuple(f"slicer/linear > {name}/linear" for name in names if name != "slicer")


STUDIES = {
    "methods": _study(
        "methods",
        "Which method ranks first over five tasks?",
        _rivals(),
        2,
        ("simclr/linear > random/linear", *_slicer_above(_rivals())),
    ),
    "slicer_parts": _study(
        "slicer_parts",
        "Which part of SLICER helps here?",
        {name: merged(method("slicer"), part) for name, part in SLICER_PARTS.items()},
        1,
        _slicer_above(SLICER_PARTS),
    ),
}
