"""Speech Commands v1 and v2 (Warden 2018): single words, group = speaker.

`speech_commands` names every word (30 or 35); `speech_commands12` has ten words, all others as
unknown, and silence: one-second stretches of the background noises, each noise file in one split.
The unknown are not thinned out: the official test set of the 12-word task is balanced, this is not.
"""

import functools
import pathlib

import soundfile

from cryjax.data.manifest import Clip
from data_prep.corpus import Archive, CorpusRecipe, audio_files, require_clips, require_file

TEN = ("yes", "no", "up", "down", "left", "right", "on", "off", "stop", "go")
NOISE = "_background_noise_"
_LAYOUT = "<word>/<speaker>_nohash_<n>.wav, validation_list.txt and testing_list.txt"
_BY_NOISE = ("train", "train", "train", "train", "val", "test")


def _listed(source: pathlib.Path, name: str) -> set[str]:
    return set(require_file(source / name, _LAYOUT).read_text().split())


def _silence(source: pathlib.Path, files: list[str]) -> list[Clip]:
    clips = []
    noises = [name for name in files if name.startswith(NOISE)]
    for name, split in zip(noises, _BY_NOISE * len(noises), strict=False):
        seconds = int(soundfile.info(source / name).duration)
        clips += [Clip(name, i, i + 1, "silence", name, split) for i in range(seconds)]
    return clips


def find(source: pathlib.Path, seed: int, *, words: tuple[str, ...] = ()) -> list[Clip]:
    """Clips with the official split; with `words` those alone, and unknown and silence."""
    del seed
    val, test = (_listed(source, f"{part}_list.txt") for part in ("validation", "testing"))
    files, clips = audio_files(source, [".wav"]), []
    for name in files:
        path = pathlib.PurePosixPath(name)
        if len(path.parts) == 2 and path.parts[0] != NOISE:
            split = "val" if name in val else "test" if name in test else "train"
            word, speaker = path.parts[0], path.stem.partition("_nohash_")[0]
            label = word if not words or word in words else "unknown"
            clips.append(Clip(name, label=label, group=speaker, split=split))
    clips += _silence(source, files) if words else []
    return require_clips(clips, source, _LAYOUT)


_V2 = Archive(
    "http://download.tensorflow.org/data/speech_commands_v0.02.tar.gz",
    "sha256:af14739ee7dc311471de98f5f9d2c9191b18aedfe957f4a6ff791c709868ff58",
)
_V1 = Archive(
    "http://download.tensorflow.org/data/speech_commands_v0.01.tar.gz",
    "sha256:743935421bb51cccdb6bdd152e04c5c70274e935c82119ad7faeec31780d811d",
)
SPEECH_COMMANDS = CorpusRecipe(
    "speech_commands",
    find,
    group="speaker",
    split="official",
    licence="CC BY 4.0",
    expected={"all": 105_829, "train": 84_843, "val": 9_981, "test": 11_005},
    archives=(_V2,),
)
SPEECH_COMMANDS_V1 = CorpusRecipe(
    "speech_commands_v1",
    find,
    group="speaker",
    split="official",
    licence="CC BY 4.0",
    expected={"all": 64_721, "train": 51_088, "val": 6_798, "test": 6_835},
    archives=(_V1,),
)
SPEECH_COMMANDS_12 = CorpusRecipe(
    "speech_commands12",
    functools.partial(find, words=TEN),
    group="speaker",
    split="official",
    licence="CC BY 4.0",
    archives=(_V2,),
)
