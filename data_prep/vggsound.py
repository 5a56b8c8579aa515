"""VGGSound (Chen et al. 2020): ten-second clips of 309 classes, group = YouTube video.

Layouts: vggsound.csv beside files `<YouTube id>_<start, six digits>.*` anywhere below, or folders
`{train,test}/<class>/<file>`. Clips vanish from YouTube: what is missing is counted, not refused.
"""

import csv
import pathlib

from cryjax.data.manifest import Clip
from data_prep.corpus import CorpusRecipe, audio_files, require_clips

_LAYOUT = "vggsound.csv with <YouTube id>_<start>.wav below, or {train,test}/<class>/<file>"


def find(source: pathlib.Path, seed: int) -> list[Clip]:
    """Reads either layout, with the official split."""
    del seed
    files, table = audio_files(source), source / "vggsound.csv"
    if not table.exists():
        parts = [(name, pathlib.PurePosixPath(name).parts) for name in files]
        clips = [
            Clip(name, label=p[1], group=pathlib.PurePosixPath(name).stem[:11], split=p[0])
            for name, p in parts
            if len(p) == 3 and p[0] in ("train", "test")
        ]
        return require_clips(clips, source, _LAYOUT)
    there = {pathlib.PurePosixPath(name).stem: name for name in files}
    clips = []
    with table.open(newline="", encoding="utf-8") as file:
        for video, start, label, split in csv.reader(file):
            if name := there.get(f"{video}_{int(start):06d}"):
                clips.append(Clip(name, label=label, group=video, split=split))
    return require_clips(clips, source, _LAYOUT)


VGGSOUND = CorpusRecipe(
    "vggsound",
    find,
    group="YouTube video",
    split="official",
    licence="CC BY 4.0 (annotation); videos belong to their uploaders",
    expected={"all": 199_176, "test": 15_446},
)
