"""IEMOCAP (Busso et al. 2008): neutral, angry, sad, happy; group = session (a pair of actors).

Four of its emotions, "excited" not merged into "happy". Folds are the five sessions.
"""

import pathlib
import re

from cryjax.data.manifest import Clip
from data_prep.corpus import CorpusRecipe, require_clips

_LINE = re.compile(r"\[[\d. -]+\]\t(Ses(\d\d)([FM])_\w+)\t(\w{3})\t")
EMOTIONS = {"neu": "neutral", "ang": "angry", "sad": "sad", "hap": "happy"}
_LAYOUT = "Session<1-5>/dialog/EmoEvaluation/*.txt and Session<1-5>/sentences/wav/<dialog>/*.wav"


def find(source: pathlib.Path, seed: int) -> list[Clip]:
    """Lists every utterance of the four emotions."""
    del seed
    clips = []
    for table in sorted(source.glob("Session*/dialog/EmoEvaluation/*.txt")):
        session = table.parts[-4]
        for name, _, _, emotion in _LINE.findall(table.read_text(encoding="utf-8")):
            if emotion in EMOTIONS:
                sex = name.rsplit("_", 1)[1][0]  # of who speaks; the name's first is of the markers
                path = f"{session}/sentences/wav/{table.stem}/{name}.wav"
                split, extra = f"fold{session[-1]}", {"sex": sex, "dialog": table.stem}
                clips.append(Clip(path, 0.0, None, EMOTIONS[emotion], session, split, extra))
    return require_clips(clips, source, _LAYOUT)


IEMOCAP = CorpusRecipe(
    "iemocap",
    find,
    group="session",
    split="official",
    licence="IEMOCAP: research only, by form; not redistributable",
    expected={"all": 4_490},
)
