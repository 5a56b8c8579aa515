"""UrbanSound8K (Salamon et al. 2014): ten classes, official folds, group = Freesound recording."""

import pathlib

from cryjax.data.manifest import Clip
from data_prep.corpus import Archive, CorpusRecipe, require_clips, rows_of

_LAYOUT = "metadata/UrbanSound8K.csv and audio/fold<1-10>/<slice>.wav"


def find(source: pathlib.Path, seed: int) -> list[Clip]:
    """Lists every slice; LAPE tests on fold10 alone."""
    del seed
    clips = [
        Clip(
            f"audio/fold{row['fold']}/{row['slice_file_name']}",
            label=row["class"],
            group=row["fsID"],
            split=f"fold{row['fold']}",
            extra={"salience": row["salience"]},
        )
        for row in rows_of(source / "metadata" / "UrbanSound8K.csv", _LAYOUT)
    ]
    return require_clips(clips, source, _LAYOUT)


URBANSOUND8K = CorpusRecipe(
    "urbansound8k",
    find,
    group="Freesound recording",
    split="official",
    licence="CC BY-NC 4.0",
    expected={"all": 8_732, "fold10": 837},
    archives=(
        Archive(
            "https://zenodo.org/record/1203745/files/UrbanSound8K.tar.gz",
            "md5:9aa69802bbf37fb986f71ec1483a196e",
        ),
    ),
)
