"""The three ablation tables of Fonseca et al. 2021, on ESC-50 instead of FSDnoisy18k.

Distances between the two patches are the source's in seconds: its frames are 10 ms long, those of
the laptop's features 25 ms. ESC-50's clips end at 200 frames, so that the longest is cut to 152.
Masks hide the source's share of a patch: its patches are 101 frames of 96 bands, the laptop's 48 of
48.
"""

from typing import Any

from configs import ablations
from configs.studies import shared
from cryjax.settings import merged
from cryjax.studies.settings import StudySettings

FRAMES_EACH = 0.4  # of ours to one of the source's
MASKS = {"max_bands": 10, "max_frames": 10}  # 20 of the source's bands, and of its frames
# as the source: z, the 200 nearest windows within the evaluated part
KNN = {"knn": {"k": 200, "features": "z"}}
PAIRS = {
    "sampling": (("two_patches", "d0"),),
    "mix_back": (("with_energy", "without"), ("with_energy", "without_energy")),
    "policies": (("crop_compress_noise", "none"), ("crop", "none")),
}
MODES = ("knn_within", "linear")  # the source's protocol, and one that the labels decide
QUESTIONS = {
    "sampling": "How far apart should the two patches of a clip be?",
    "mix_back": "Does a background that is mixed in help, and its energy?",
    "policies": "Which augmentations help?",
}


def _in_our_units(changes: dict[str, Any]) -> dict[str, Any]:
    if distance := changes.get("data", {}).get("distance"):
        return {"data": {"distance": round(distance * FRAMES_EACH)}}
    if "spec_augment" in changes.get("augment", {}).get("order", ""):
        return {"augment": changes["augment"] | {"spec_augment": MASKS}}
    return changes


def _ablation(table: str) -> StudySettings:
    rows = ablations.tables()[table]
    encoders = {
        ("two_patches" if name == "random" else name): _in_our_units(changes["pretrain"])
        for name, (changes, _) in rows.items()
    }
    return StudySettings(
        study=table,
        question=QUESTIONS[table],
        corpora=shared.corpora("esc50"),
        folds=("fold1",),
        seeds=1,
        pretrain=shared.SHORT,
        encoders=encoders,
        transfer=merged(shared.TRANSFER, KNN),
        tasks={"esc50": {"data": {"dirs": "esc50"}}},
        home="esc50",
        modes=MODES,
        published={
            ("two_patches" if name == "random" else name): figure
            for name, (_, figure) in rows.items()
        },
        compare=tuple(f"{a}/{mode} > {b}/{mode}" for mode in MODES for a, b in PAIRS[table]),
    )


STUDIES = {table: _ablation(table) for table in PAIRS}
