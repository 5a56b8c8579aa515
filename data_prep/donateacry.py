"""donateacry: phone recordings of cries by stated reason; group = app id (one install of the app).

Layouts: cleaned (`<reason>/<name>.wav`) and raw (`<name>.3gp|.caf`), where name is
`<app id>-<epoch>[-<ms>]-<app version>-<sex>-<age>-<reason>`. Reasons are the parents' guesses.
"""

import pathlib
import re

from cryjax.data.manifest import Clip
from data_prep.corpus import CorpusRecipe, audio_files, require_clips

_ID = r"[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}"
_NAME = re.compile(  # two raw files carry a second id behind the version
    rf"(?P<app>{_ID})-(?P<epoch>\d+)(?:\.\d+)?(?:-\d+)?-(?P<version>\d+(?:\.\d+)?)(?:-{_ID})?"
    r"-(?P<sex>[mf])-(?P<age>\d\d)-(?P<reason>[a-z]{2})"
)
REASONS = {
    "hu": "hungry",
    "bu": "burping",
    "bp": "belly_pain",
    "dc": "discomfort",
    "ti": "tired",
    "lo": "lonely",
    "ch": "cold_hot",
    "sc": "scared",
    "dk": "unknown",
}
AGES = {
    "04": "0-4 weeks",
    "48": "4-8 weeks",
    "26": "2-6 months",
    "72": "7-24 months",
    "22": "over 2 years",
}


def _clip(name: str) -> Clip | None:
    stem = re.sub(r"(\.caf|\.3gp|\.wav)+$", "", pathlib.PurePosixPath(name).name)
    match = _NAME.fullmatch(stem)
    if match is None:
        return None
    reason = REASONS.get(match["reason"], match["reason"])
    folder = pathlib.PurePosixPath(name).parent.name
    label = folder if folder in REASONS.values() else reason  # the cleaned set merges some reasons
    extra = {
        "sex": match["sex"],
        "age": AGES.get(match["age"], match["age"]),
        "reason": reason,
        "epoch": match["epoch"],
        "app_version": match["version"],
    }
    # iPhones write the app id in capitals, the cleaned names do not always
    return Clip(
        name, label="" if label == "unknown" else label, group=match["app"].upper(), extra=extra
    )


def find(source: pathlib.Path, seed: int) -> list[Clip]:
    """Reads either layout; files whose names do not parse are left out and named when all are."""
    del seed
    files = audio_files(source, [".wav", ".3gp", ".caf"])
    clips = [clip for clip in map(_clip, files) if clip]
    return require_clips(
        clips, source, "[<reason>/]<app id>-<epoch>-<version>-<sex>-<age>-<reason>.wav"
    )


DONATEACRY = CorpusRecipe("donateacry", find, group="app id", licence="ODbL 1.0 / DbCL 1.0")
