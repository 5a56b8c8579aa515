"""VoxCeleb1 (Nagrani et al. 2017): label = speaker, group = video, split of iden_split.txt."""

import pathlib

from cryjax.data.manifest import Clip
from data_prep.corpus import CorpusRecipe, audio_files, require_clips

_SPLITS = {"1": "train", "2": "val", "3": "test"}
_LAYOUT = "[wav/]<id>/<video>/<utterance>.wav, and iden_split.txt for the official split"


def find(source: pathlib.Path, seed: int) -> list[Clip]:
    """Lists every utterance; without iden_split.txt they have no split."""
    del seed
    table, split_of = source / "iden_split.txt", {}
    if table.exists():
        pairs = (line.split() for line in table.read_text().splitlines() if line.strip())
        split_of = {name: _SPLITS[part] for part, name in pairs}
    clips = []
    for name in audio_files(source, [".wav", ".m4a"]):
        parts = pathlib.PurePosixPath(name).parts[-3:]
        if len(parts) == 3:
            split = split_of.get("/".join(parts), "")
            clips.append(Clip(name, label=parts[0], group="/".join(parts[:2]), split=split))
    return require_clips(clips, source, _LAYOUT)


VOXCELEB1 = CorpusRecipe(
    "voxceleb1",
    find,
    group="video",
    split="official",
    licence="CC BY 4.0 (metadata); videos belong to their uploaders",
    expected={"all": 153_516, "train": 138_361, "val": 6_904, "test": 8_251},
)
