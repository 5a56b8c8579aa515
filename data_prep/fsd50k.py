"""FSD50K (Fonseca et al. 2022): 51,197 Freesound clips, group = uploader.

Most clips have several labels: they are kept in the column `labels`; `label` is set where there is
one alone. The official validation part shares no uploader with train, as far as the metadata tells.
"""

import json
import pathlib

from cryjax.data.manifest import Clip
from data_prep.corpus import CorpusRecipe, require_clips, rows_of

_LAYOUT = "FSD50K.{dev,eval}_audio/ and FSD50K.ground_truth/{dev,eval}.csv [FSD50K.metadata/]"


def _uploaders(source: pathlib.Path, part: str) -> dict[str, str]:
    path = source / "FSD50K.metadata" / f"{part}_clips_info_FSD50K.json"
    if not path.exists():
        return {}
    about = json.loads(path.read_text(encoding="utf-8"))
    return {name: str(clip["uploader"]) for name, clip in about.items()}


def find(source: pathlib.Path, seed: int) -> list[Clip]:
    """Lists train, val and test of the ground truth; without metadata clips are groups."""
    del seed
    clips = []
    for part in ("dev", "eval"):
        uploader = _uploaders(source, part)
        for row in rows_of(source / "FSD50K.ground_truth" / f"{part}.csv", _LAYOUT):
            name, labels = row["fname"], row["labels"]
            clips.append(
                Clip(
                    f"FSD50K.{part}_audio/{name}.wav",
                    label="" if "," in labels else labels,
                    group=uploader.get(name, name),
                    split=row.get("split") or "test",
                    extra={"labels": labels},
                )
            )
    return require_clips(clips, source, _LAYOUT)


FSD50K = CorpusRecipe(
    "fsd50k",
    find,
    group="uploader",
    split="official",
    licence="CC BY 4.0 (set); CC0, CC BY, CC BY-NC or CC Sampling+ (clips)",
    expected={"all": 51_197, "train": 36_796, "val": 4_170, "test": 10_231},
)
