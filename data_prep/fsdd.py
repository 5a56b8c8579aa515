"""Free Spoken Digit Dataset (Jackson et al.): digits 0-9, group = speaker."""

import pathlib
import re

from cryjax.data.manifest import Clip
from data_prep.corpus import CorpusRecipe, audio_files, require_clips

_NAME = re.compile(r"(?P<digit>\d)_(?P<speaker>[^_]+)_(?P<index>\d+)\.wav")


def find(source: pathlib.Path, seed: int) -> list[Clip]:
    """Lists `[recordings/]<digit>_<speaker>_<index>.wav`."""
    del seed
    clips = []
    for name in audio_files(source, [".wav"]):
        if match := _NAME.fullmatch(pathlib.PurePosixPath(name).name):
            extra = {"take": match["index"]}
            clips.append(Clip(name, label=match["digit"], group=match["speaker"], extra=extra))
    return require_clips(clips, source, "<digit>_<speaker>_<index>.wav")


FSDD = CorpusRecipe("fsdd", find, group="speaker", split="kfold:6", licence="CC BY-SA 4.0")
