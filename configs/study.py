"""Studies: the sources' tables on real recordings, each in one command.

    python -m cryjax.main --config=configs/study.py:list
    python -m cryjax.main --config=configs/study.py:learns --workdir=runs/studies/learns \
        --config.recordings=DIR

DIR holds the recordings as their sources publish them: esc50, commands, donateacry, donateacry_raw,
fsdd. What a study needs of them is prepared first, in config.prepared. It runs its encoders one
after another, one seed of everything first, and writes <study>.md, .csv, .json and .png into the
workdir after each; stopped, the same command continues. Studies that pre-train alike share the
run, in config.runs. `:smoke` is a study of seconds on the embedded recordings.
"""

import dataclasses
import json
import pathlib
from typing import Any

from ml_collections import ConfigDict

from configs import common
from configs.studies import (
    ablate,
    adapt,
    encoders,
    few_labels,
    learn,
    methods,
    practical,
    smoke,
)
from cryjax.settings import to_config
from cryjax.studies.settings import StudySettings

STUDIES: dict[str, StudySettings] = {
    name: study
    for part in (learn, ablate, encoders, methods, adapt, few_labels, practical)
    for name, study in part.STUDIES.items()
}
MEASURED = pathlib.Path(__file__).parent.parent / "docs" / "studies"  # tables that were published


def duration(name: str) -> str:
    """Says how long a published study took, and on what."""
    path = MEASURED / f"{name}.json"
    if not path.exists():
        return "not measured yet"
    about = json.loads(path.read_text(encoding="utf-8"))["about"]
    return "; ".join(about[key] for key in ("pre-training", "evaluation", "machine"))


def get_config(variant: str = "smoke") -> Any:
    common.refuse(variant, ("list", "smoke", *STUDIES))
    if variant == "list":
        lines = [f"{name}: {s.question}\n    {duration(name)}" for name, s in STUDIES.items()]
        return ConfigDict({"task": "list", "text": "\n".join(lines)})
    chosen = STUDIES.get(variant, smoke.STUDY)
    chosen = dataclasses.replace(chosen, only=tuple(chosen.encoders))  # a ConfigDict has no order
    config = to_config(chosen)
    for name in ("corpora", "pretrain", "encoders", "transfer", "tasks", "seeds_of", "published"):
        config[name] = ConfigDict(getattr(chosen, name))
    return config
