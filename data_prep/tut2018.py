"""TUT Urban Acoustic Scenes 2018, development set: ten scenes, group = location, fold 1."""

import pathlib

from cryjax.data.manifest import Clip
from data_prep.corpus import CorpusRecipe, require_clips, require_file, rows_of

_LAYOUT = "meta.csv, audio/ and evaluation_setup/fold1_{train,evaluate}.txt"


def find(source: pathlib.Path, seed: int) -> list[Clip]:
    """Lists train and evaluate of fold 1, as train and test."""
    del seed
    split_of = {}
    for part, split in (("train", "train"), ("evaluate", "test")):
        path = source / "evaluation_setup" / f"fold1_{part}.txt"
        lines = require_file(path, _LAYOUT).read_text().splitlines()
        split_of |= {line.split("\t")[0]: split for line in lines if line}
    clips = []
    for row in rows_of(source / "meta.csv", _LAYOUT, delimiter="\t"):
        name, place = row["filename"], row["identifier"]
        extra = {"city": place.partition("-")[0]}
        split = split_of.get(name, "")
        clips.append(Clip(name, label=row["scene_label"], group=place, split=split, extra=extra))
    return require_clips(clips, source, _LAYOUT)


TUT2018 = CorpusRecipe(
    "tut2018",
    find,
    group="location",
    split="official",
    licence="TUT: research and education only, no commercial use",
    expected={"all": 8_640, "train": 6_122, "test": 2_518},
)
