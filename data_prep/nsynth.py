"""NSynth (Engel et al. 2017): single notes, label = instrument family, group = instrument.

Valid and test share instruments, so --split=official is refused; official_strict keeps the shared
ones in test.
"""

import json
import pathlib

from cryjax.data.manifest import Clip
from data_prep.corpus import CorpusRecipe, require_clips

_LAYOUT = "nsynth-{train,valid,test}/examples.json and audio/<note>.wav"


def find(source: pathlib.Path, seed: int) -> list[Clip]:
    """Lists every note of the parts that are there."""
    del seed
    clips = []
    for part, split in (("train", "train"), ("valid", "val"), ("test", "test")):
        table = source / f"nsynth-{part}" / "examples.json"
        about = json.loads(table.read_text(encoding="utf-8")) if table.exists() else {}
        for name, note in sorted(about.items()):
            label, group = note["instrument_family_str"], note["instrument_str"]
            extra = {"source": note["instrument_source_str"]}
            path = f"nsynth-{part}/audio/{name}.wav"
            clips.append(Clip(path, label=label, group=group, split=split, extra=extra))
    return require_clips(clips, source, _LAYOUT)


NSYNTH = CorpusRecipe(
    "nsynth",
    find,
    group="instrument",
    split="official_strict",
    licence="CC BY 4.0",
    expected={"all": 306_043, "train": 289_205, "val": 12_678, "test": 4_096},
)
