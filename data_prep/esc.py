"""ESC-50 and ESC-10 (Piczak 2015): official folds, group = Freesound source recording."""

import csv
import pathlib
import re

from cryjax.data.manifest import Clip
from data_prep.corpus import CorpusRecipe, audio_files, require_clips

_ESC10 = re.compile(r"(?P<fold>[1-5])-(?P<freesound>\d+)-(?P<take>[A-Z])\.ogg")
_LAYOUT = "meta/esc50.csv with audio/, or <NNN - Class>/<fold>-<freesound id>-<take>.ogg (ESC-10)"


def _from_table(source: pathlib.Path) -> list[Clip]:
    with (source / "meta" / "esc50.csv").open(newline="") as file:
        return [
            Clip(
                f"audio/{row['filename']}",
                label=row["category"],
                group=row["src_file"],
                split=f"fold{row['fold']}",
                extra={"esc10": row["esc10"]},
            )
            for row in csv.DictReader(file)
        ]


def _from_folders(source: pathlib.Path) -> list[Clip]:
    clips = []
    for name in audio_files(source, [".ogg"]):
        path = pathlib.PurePosixPath(name)
        if (match := _ESC10.fullmatch(path.name)) and len(path.parts) == 2:
            label = path.parts[0].partition(" - ")[2] or path.parts[0]
            fold = f"fold{match['fold']}"
            clips.append(Clip(name, label=label, group=match["freesound"], split=fold))
    return clips


def find(source: pathlib.Path, seed: int) -> list[Clip]:
    """Reads either layout; the folds are the official ones."""
    del seed
    table = (source / "meta" / "esc50.csv").exists()
    clips = _from_table(source) if table else _from_folders(source)
    return require_clips(clips, source, _LAYOUT)


ESC = CorpusRecipe(
    "esc",
    find,
    group="Freesound recording",
    split="official_strict",
    licence="ESC-50: CC BY-NC 3.0; ESC-10 subset: CC BY 3.0",
)
