"""AudioSet (Gemmeke et al. 2017): a segments CSV and a folder of clips, group = YouTube video.

Clips have several labels each; they are kept in the column `labels`, and `label` stays empty: the
corpus is for pre-training.
"""

import csv
import pathlib

from cryjax.data.manifest import Clip
from data_prep.corpus import CorpusRecipe, audio_files, require_clips

_SPLITS = {"balanced_train": "train", "unbalanced_train": "train", "eval": "test"}
_LAYOUT = "<part>_segments.csv (YTID, start, end, labels) with [Y]<YouTube id>[_<start>].* below"


def _keys(name: str) -> tuple[str, str]:
    """Returns a file's stem, without the Y that some downloaders put before an id."""
    stem = pathlib.PurePosixPath(name).stem
    return stem, stem[1:] if stem.startswith("Y") else stem


def find(source: pathlib.Path, seed: int) -> list[Clip]:
    """Lists every segment whose file is there; balanced_train counts before unbalanced_train."""
    del seed
    there = {key: name for name in audio_files(source) for key in _keys(name)}
    clips: dict[str, Clip] = {}
    for part, split in _SPLITS.items():
        for table in sorted(source.glob(f"{part}_segments*.csv")):
            with table.open(newline="", encoding="utf-8") as file:
                lines = (line for line in file if not line.startswith("#"))
                for video, start, _, labels in csv.reader(lines, skipinitialspace=True):
                    stems = (video, f"{video}_{float(start):g}", f"{video}_{float(start):.3f}")
                    name = next((there[s] for s in stems if s in there), None)
                    if name and name not in clips:
                        extra = {"labels": labels, "part": part}
                        clips[name] = Clip(name, group=video, split=split, extra=extra)
    return require_clips(list(clips.values()), source, _LAYOUT)


AUDIOSET = CorpusRecipe(
    "audioset",
    find,
    group="YouTube video",
    split="official",
    licence="CC BY 4.0 (annotation); videos belong to their uploaders",
)
