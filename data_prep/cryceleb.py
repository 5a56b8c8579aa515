"""CryCeleb2023 (Budaghyan et al. 2023): expirations of 786 babies, group = baby.

No label but the baby: unlabelled cries for adaptation, and a verification task, whose pairs
(the same baby at birth and at discharge?) configs/verify.py scores.
"""

import pathlib

from cryjax.data.manifest import Clip
from data_prep.corpus import CorpusRecipe, require_clips, rows_of

_SPLITS = {"train": "train", "dev": "val", "test": "test"}
_LAYOUT = "metadata.csv (baby_id, period, split, file_name) and audio/<split>/<baby>/<period>/*.wav"


def find(source: pathlib.Path, seed: int) -> list[Clip]:
    """Lists every expiration; period B is at birth, D at discharge."""
    del seed
    clips = []
    for row in rows_of(source / "metadata.csv", _LAYOUT):
        name = row["file_name"]
        extra = {"period": row["period"], "baby": row["baby_id"]}
        split = _SPLITS[row["split"]]
        path = name if name.startswith("audio/") else f"audio/{name}"
        clips.append(Clip(path, group=row["baby_id"], split=split, extra=extra))
    return require_clips(clips, source, _LAYOUT)


CRYCELEB = CorpusRecipe(
    "cryceleb",
    find,
    group="baby",
    split="official",
    licence="CC BY-NC-ND 4.0",
)
