"""The respiratory practical on breaths and coughs of ESC-50, since ICBHI is not at hand."""

from typing import Any

from configs import icbhi
from configs.studies import shared
from cryjax.settings import to_dict
from cryjax.studies.settings import StudySettings


def _practical(name: str) -> StudySettings:
    theirs = to_dict(icbhi.settings(name))
    kept: dict[str, Any] = {key: theirs[key] for key in ("encoder", "probe")}
    return StudySettings(
        study=f"practical_{name}",
        question=f"What does {name} make of breathing, coughing, snoring, sneezing, laughing?",
        corpora=shared.corpora("breathing"),
        folds=("*",),
        seeds=3,
        encoders={"random": {}},
        transfer=kept | {"data": {"frames": 64, "hop_frames": 64}},
        tasks={"breathing": {"data": {"dirs": "breathing"}}},
        home="breathing",
        modes=("majority", "mel_statistics", "linear", "scratch"),
    )


STUDIES = {f"practical_{name}": _practical(name) for name in ("simple_cnn", "cnn_gru")}
