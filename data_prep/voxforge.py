"""VoxForge: six languages read aloud, label = language, group = submission.

A speaker who submits under one name is one group; "anonymous" ones are told apart by submission, so
an anonymous speaker with two submissions may be on both sides: the corpus cannot say.
"""

import pathlib

from cryjax.data.manifest import Clip
from data_prep.corpus import CorpusRecipe, audio_files, require_clips

_LAYOUT = "<language>/<speaker>-<date>-<code>/wav/<utterance>.wav"


def find(source: pathlib.Path, seed: int) -> list[Clip]:
    """Lists every utterance of <language>/<submission>/."""
    del seed
    clips = []
    for name in audio_files(source):
        parts = pathlib.PurePosixPath(name).parts
        if len(parts) >= 3:
            speaker = parts[1].partition("-")[0]
            group = parts[1] if speaker.lower().startswith("anonymous") else speaker
            clips.append(Clip(name, label=parts[0], group=group))
    return require_clips(clips, source, _LAYOUT)


VOXFORGE = CorpusRecipe("voxforge", find, group="speaker", licence="GPL 3.0")
