"""FSDnoisy18k (Fonseca et al. 2019): noisy train, clean train as validation, test; as in uclser."""

import pathlib

from cryjax.data.manifest import Clip
from data_prep.corpus import Archive, CorpusRecipe, require_clips, rows_of

_LAYOUT = "FSDnoisy18k.audio_train/, FSDnoisy18k.audio_test/ and FSDnoisy18k.meta/{train,test}.csv"


def _table(source: pathlib.Path, part: str) -> list[Clip]:
    clips = []
    for row in rows_of(source / "FSDnoisy18k.meta" / f"{part}.csv", _LAYOUT):
        clean = row.get("manually_verified", "1") == "1"
        split = "test" if part == "test" else "val" if clean else "train"
        name = f"FSDnoisy18k.audio_{part}/{row['fname']}"
        extra = {"verified": "yes" if clean else "no", "aso_id": row.get("aso_id", "")}
        group = pathlib.PurePosixPath(row["fname"]).stem
        clips.append(Clip(name, label=row["label"], group=group, split=split, extra=extra))
    return clips


def find(source: pathlib.Path, seed: int) -> list[Clip]:
    """Lists all clips; three of train are said to repeat in test: run data_prep.audit."""
    del seed
    clips = _table(source, "train") + _table(source, "test")
    return require_clips(clips, source, _LAYOUT)


FSDNOISY18K = CorpusRecipe(
    "fsdnoisy18k",
    find,
    group="Freesound clip",
    split="official",
    licence="CC BY 4.0 (set); CC BY or CC0 (clips)",
    expected={"all": 18_532, "train": 15_813, "val": 1_772, "test": 947},
    archives=tuple(
        Archive(f"https://zenodo.org/record/2529934/files/FSDnoisy18k.{part}.zip", f"md5:{md5}")
        for part, md5 in (
            ("audio_train", "34dc1d34ca44622af5bf439ceb6f0d55"),
            ("audio_test", "1ac73d70b4ef3f81900d98c261a832de"),
            ("meta", "96e27a4a63b7a2870522ddcedb5d8296"),
        )
    ),
)
