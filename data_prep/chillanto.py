"""Baby Chillanto (INAOE): one-second pieces of cries of five kinds, group = source recording.

What the pieces were cut from is only in their names: everything before the last number. Splits by
piece are what most publications used, and they leak.
"""

import pathlib
import re

from cryjax.data.manifest import Clip
from data_prep.corpus import CorpusRecipe, audio_files, require_clips

_PIECE = re.compile(r"(?P<source>.+?)[ _-]?\d{1,3}")
_LAYOUT = "1s_<kind>/<recording><number>.wav, such as 1s_asphyxia/"


def find(source: pathlib.Path, seed: int) -> list[Clip]:
    """Lists every piece below a folder 1s_<kind>."""
    del seed
    clips = []
    for name in audio_files(source, [".wav"]):
        path = pathlib.PurePosixPath(name)
        kind = next((p[3:] for p in path.parts[:-1] if p.lower().startswith("1s_")), "")
        if kind:
            match = _PIECE.fullmatch(path.stem)
            group = f"{kind}/{match['source'] if match else path.stem}"
            clips.append(Clip(name, label=kind.lower(), group=group))
    return require_clips(clips, source, _LAYOUT)


CHILLANTO = CorpusRecipe(
    "chillanto",
    find,
    group="source recording (from the file name)",
    licence="Baby Chillanto: on request from INAOE; not redistributable",
    expected={"all": 2_268},
)
