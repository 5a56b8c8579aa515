"""LibriSpeech train-clean-100 (Panayotov et al. 2015): label = speaker, group = chapter.

The LAPE release calls its 585 chapters "speakers" and splits their utterances at random: that is
`--label=chapter --split=by_clip`, and every table then says LEAKY. Here a chapter is never on both
sides; speakers with a single chapter are therefore in one part only.
"""

import pathlib

from cryjax.data.manifest import Clip
from data_prep.corpus import Archive, CorpusRecipe, audio_files, require_clips

_LAYOUT = "[train-clean-100/]<speaker>/<chapter>/<speaker>-<chapter>-<utterance>.flac"


def find(source: pathlib.Path, seed: int) -> list[Clip]:
    """Lists every utterance."""
    del seed
    clips = []
    for name in audio_files(source, [".flac", ".wav"]):
        fields = pathlib.PurePosixPath(name).stem.split("-")
        if len(fields) == 3:
            group, extra = f"{fields[0]}-{fields[1]}", {"speaker": fields[0]}
            clips.append(Clip(name, label=fields[0], group=group, extra=extra | {"chapter": group}))
    return require_clips(clips, source, _LAYOUT)


LIBRISPEECH = CorpusRecipe(
    "librispeech",
    find,
    group="chapter",
    licence="CC BY 4.0",
    expected={"all": 28_539},
    archives=(
        Archive(
            "http://www.openslr.org/resources/12/train-clean-100.tar.gz",
            "sha256:d4ddd1d5a6ab303066f14971d768ee43278a5f2a0aa43dc716b0e64ecbbbf6e2",
        ),
    ),
)
