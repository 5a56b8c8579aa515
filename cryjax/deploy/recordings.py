"""Which recordings are meant, in which stretches they are read, and what is said of them.

A recording longer than STRETCH_S is read in stretches of that length, each treated as a recording
of its own (presets that normalise by the whole recording do so within a stretch): memory stays
flat.
"""

import dataclasses
import glob
import math
import pathlib
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from cryjax.audio.decode import AUDIO_SUFFIXES, FFMPEG_SUFFIXES, length_s
from cryjax.data.manifest import Clip, load_manifest, save_csv
from cryjax.errors import UserError

STRETCH_S, SHORTEST_S = 600.0, 10.0  # a shorter rest is read with the stretch before it
SHORT_BYTES = 300_000  # a stretch is more at the lowest rate of phones, 4.75 kbit/s of AMR
BYTES_A_SECOND = 4000  # about, of phone recordings
QUARANTINE = ("path", "start_s", "reason", "remedy")


class Embedded(NamedTuple):
    """Windows of some recordings.

    Attributes:
      path: (windows,) recording of each.
      start_s: (windows,) where it starts in the recording, in seconds.
      end_s: (windows,) where it ends.
      h: (windows, features) float32 representation.
    """

    path: np.ndarray
    start_s: np.ndarray
    end_s: np.ndarray
    h: np.ndarray


def joined(parts: Sequence[Embedded]) -> Embedded:
    """Puts windows of several parts behind each other."""
    return Embedded(*(np.concatenate(columns) for columns in zip(*parts, strict=True)))


def find(sources: Sequence[str]) -> list[Clip]:
    """Lists the recordings that folders, files, patterns and tables name.

    Those of a folder or pattern are sorted by name, those of a table stand as they do there; all
    stretches of a file stand together, sorted by start.

    Args:
      sources: Folders (searched for audio files), audio files, patterns such as `in/*.wav`, or
        CSV tables with a column `path` and where wanted `start_s` and `end_s`.

    Raises:
      UserError: One of them names nothing.
    """
    clips: list[Clip] = []
    for source in sources:
        path = pathlib.Path(source)
        if path.is_dir():
            found = [
                Clip(str(p))
                for p in sorted(path.rglob("*"))
                if p.suffix.lower() in AUDIO_SUFFIXES and not p.name.startswith(".")
            ]
        elif path.suffix.lower() == ".csv" and path.is_file():
            table = load_manifest(path)
            found = [dataclasses.replace(c, path=str(path.parent / c.path)) for c in table]
        elif path.exists() or path.is_symlink():
            found = [Clip(str(path))]
        else:
            found = [Clip(name) for name in sorted(glob.glob(source, recursive=True))]
        if not found:
            raise UserError(
                f"{source} names no recording; give a folder, a file, a pattern or a CSV"
            )
        clips += found
    place = {name: number for number, name in enumerate(dict.fromkeys(c.path for c in clips))}
    unique = {(c.path, c.start_s, c.end_s): c for c in clips}.values()
    return sorted(unique, key=lambda clip: (place[clip.path], clip.start_s))


def stretches(clip: Clip) -> list[tuple[Clip, float]]:
    """Cuts a long recording into stretches; one whose length nobody tells stays whole.

    Returns:
      Stretches and their expected lengths in seconds.
    """
    path = pathlib.Path(clip.path)
    size = path.stat().st_size if path.is_file() else 0
    if path.suffix.lower() in FFMPEG_SUFFIXES and size < SHORT_BYTES:  # not worth a process
        return [(clip, size / BYTES_A_SECOND)]
    whole_s = length_s(path)
    if whole_s is None:
        return [(clip, STRETCH_S)]
    end_s = min(clip.end_s or math.inf, whole_s)
    count = max(1, math.ceil((end_s - clip.start_s - SHORTEST_S) / STRETCH_S))
    edges = [clip.start_s + i * STRETCH_S for i in range(count)]
    ends = [*edges[1:], clip.end_s]
    return [
        (dataclasses.replace(clip, start_s=start, end_s=end), (end or end_s) - start)
        for start, end in zip(edges, ends, strict=True)
    ]


def save_quarantine(path: pathlib.Path, bad: list[dict[str, str]]) -> None:
    """Writes what could not be read, with reason and remedy."""
    save_csv(path, bad, QUARANTINE)
