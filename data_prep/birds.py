"""Bird audio detection (Stowell et al. 2018): freefield1010 and Warblr, is a bird heard?

Group = recording: neither set says who recorded or where, so nothing wider can be kept apart.
"""

import pathlib

from cryjax.data.manifest import Clip
from data_prep.corpus import CorpusRecipe, audio_files, require_clips, rows_of

_LAYOUT = "{ff1010bird,warblrb10k}*.csv (itemid, hasbird) and <itemid>.wav anywhere below"


def find(source: pathlib.Path, seed: int) -> list[Clip]:
    """Lists every recording of the tables whose file is there."""
    del seed
    there = {pathlib.PurePosixPath(name).stem: name for name in audio_files(source, [".wav"])}
    clips = []
    for table in sorted([*source.glob("ff1010bird*.csv"), *source.glob("warblrb10k*.csv")]):
        site = "freefield1010" if table.name.startswith("ff") else "warblr"
        for row in rows_of(table, _LAYOUT):
            if name := there.get(row["itemid"]):
                label = "bird" if row["hasbird"] == "1" else "none"
                clips.append(Clip(name, label=label, group=row["itemid"], extra={"site": site}))
    return require_clips(clips, source, _LAYOUT)


BIRDS = CorpusRecipe(
    "bird_detection", find, group="recording", licence="CC BY 4.0", expected={"all": 15_690}
)
