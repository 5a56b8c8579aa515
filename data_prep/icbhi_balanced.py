"""The practical's balanced ICBHI subset: 600 segments, 77 patients, group = patient.

Name: <recording>_segment_<k>_<crackle>_<wheeze>.wav; a segment is normal if both are 0. The
course's code looked for "pos" anywhere in the path, so that a home under /repos/ made every file
abnormal: here the name alone decides, and a folder that says otherwise is refused.
"""

import pathlib
import re

from cryjax.data.manifest import Clip
from cryjax.errors import UserError
from data_prep.corpus import CorpusRecipe, audio_files, require_clips
from data_prep.icbhi import ICBHI

_NAME = re.compile(r"(\d{3})_([^_]+)_([A-Za-z]{2})_(sc|mc)_(\w+?)_segment_(\d+)_([01])_([01])")
_FOLDERS = {"pos": "abnormal", "neg": "normal", "abnormal": "abnormal", "normal": "normal"}
_LAYOUT = "[pos|neg/]<patient>_<index>_<site>_<mode>_<device>_segment_<k>_<crackle>_<wheeze>.wav"


def find(source: pathlib.Path, seed: int) -> list[Clip]:
    """Lists every segment."""
    del seed
    clips = []
    for name in audio_files(source, [".wav"]):
        path = pathlib.PurePosixPath(name)
        if not (match := _NAME.fullmatch(path.stem)):
            continue
        patient, index, site, mode, device, _, crackle, wheeze = match.groups()
        label = "normal" if (crackle, wheeze) == ("0", "0") else "abnormal"
        folder = _FOLDERS.get(path.parent.name.lower(), label)
        if folder != label:
            raise UserError(f"{source / name}: the folder says {folder}, the name says {label}")
        extra = {
            "recording_index": index,
            "site": site,
            "mode": mode,
            "device": device,
            "crackle": crackle,
            "wheeze": wheeze,
        }
        clips.append(Clip(name, label=label, group=patient, extra=extra))
    return require_clips(clips, source, _LAYOUT)


ICBHI_BALANCED = CorpusRecipe(
    "icbhi_balanced",
    find,
    group="patient",
    licence=ICBHI.licence,
    expected={"all": 600},
)
