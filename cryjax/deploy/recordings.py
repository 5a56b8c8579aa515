"""Recordings to windows and representations: streamed, in any number, of any length.

Decoding happens in worker processes with caps on time and memory while this one computes. A
recording longer than STRETCH_S is read in stretches of that length, each treated as a recording of
its own (presets that normalise by the whole recording do so within a stretch): memory stays flat.
"""

import dataclasses
import functools
import glob
import hashlib
import itertools
import json
import math
import pathlib
import shutil
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import soundfile
import tqdm

from cryjax.audio.decode import AUDIO_SUFFIXES
from cryjax.data.cache import ArrayFrames
from cryjax.data.manifest import Clip, load_manifest, save_csv
from cryjax.data.preparation import Prepared, Worker
from cryjax.data.windows import Windows, cut, window_counts
from cryjax.data.workers import Workers
from cryjax.encoder import Encoder, Forward, make_forward, over_windows
from cryjax.errors import UserError
from cryjax.files import load_arrays, replacing

STRETCH_S = 600.0
WINDOWS_AT_ONCE = 1024  # that are encoded and kept in one file of a batch
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
    """Lists the recordings that folders, files, patterns and tables name, sorted by name.

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
    return list({(c.path, c.start_s, c.end_s): c for c in clips}.values())


def _stretches(clip: Clip) -> list[Clip]:
    """Cuts a long recording into stretches; one whose length nobody tells stays whole."""
    try:
        about = soundfile.info(clip.path)
    except (OSError, RuntimeError, ValueError):
        return [clip]
    end_s = min(clip.end_s or math.inf, about.frames / about.samplerate)
    count = max(1, math.ceil((end_s - clip.start_s) / STRETCH_S - 1e-9))
    edges = [clip.start_s + i * STRETCH_S for i in range(count)]
    ends = [*edges[1:], clip.end_s]
    return [
        dataclasses.replace(clip, start_s=start, end_s=end)
        for start, end in zip(edges, ends, strict=True)
    ]


Held = list[tuple[Clip, Prepared]]


def _batches(
    clips: Iterable[Clip], prepared: Iterable[Prepared], windows: Windows
) -> Iterator[Held]:
    """Collects stretches until they hold enough windows to be encoded together."""
    held: Held = []
    count = 0
    for clip, done in zip(clips, prepared, strict=True):
        held.append((clip, done))
        if done.mel is not None:
            count += int(window_counts(np.array([len(done.mel)]), windows)[0])
        if max(count, len(held)) >= WINDOWS_AT_ONCE:
            yield held
            held, count = [], 0
    if held:
        yield held


def _encode(held: Held, encoder: Encoder, forward: tuple[Forward, Any]) -> Embedded:
    """Encodes every window of some stretches."""
    mels = [(clip, done, done.mel) for clip, done in held if done.mel is not None]
    if not mels:
        nothing = np.zeros(0)
        return Embedded(
            np.zeros(0, str), nothing, nothing, np.zeros((0, encoder.features), np.float32)
        )
    lengths = np.array([len(mel) for *_, mel in mels])
    frames = ArrayFrames(np.concatenate([mel for *_, mel in mels]), lengths)
    windows, rate = encoder.windows, encoder.spec.frames_per_s or math.inf
    h, owner = over_windows(*forward, frames, np.arange(len(mels)), lengths, windows)
    starts = np.concatenate([part.starts for part in cut(lengths, windows)]) / rate
    begins = np.array([clip.start_s for clip, *_ in mels])[owner]
    ends = begins + np.array([done.seconds for _, done, _ in mels])[owner]
    paths = np.array([clip.path for clip, *_ in mels])[owner]
    last = np.minimum(begins + starts + windows.frames / rate, ends)
    return Embedded(paths, begins + starts, last, h)


class Job:
    """The embedding of many recordings, which continues where it was stopped.

    Args:
      encoder: What encodes.
      clips: Recordings, from `find`.
      workdir: Folder of what is done so far; it belongs to this encoder and these recordings.
      workers: Processes that decode.
      part: (index, count): every count-th recording from the index on.

    Attributes:
      stretches: What is embedded, in order.
    """

    def __init__(
        self,
        encoder: Encoder,
        clips: Sequence[Clip],
        workdir: pathlib.Path,
        *,
        workers: int = 2,
        part: tuple[int, int] = (0, 1),
    ):
        self.encoder, self.workdir, self._workers = encoder, workdir, workers
        index, count = part
        mine = [clip for number, clip in enumerate(clips) if number % count == index]
        self.stretches = [piece for clip in mine for piece in _stretches(clip)]
        names = [(c.path, c.start_s, c.end_s, _changed_at(c.path)) for c in self.stretches]
        about = json.dumps([encoder.fingerprint, str(encoder.windows), names])
        self._key = hashlib.sha256(about.encode(errors="replace")).hexdigest()

    def __iter__(self) -> Iterator[tuple[Embedded, list[dict[str, str]]]]:
        """Yields windows in the order of the recordings, and what could not be read."""
        self.workdir.mkdir(parents=True, exist_ok=True)
        number = first = 0
        for held_count, embedded, bad in self._finished():
            number, first = number + 1, first + held_count
            yield embedded, bad
        todo = self.stretches[first:]
        if first and todo:
            print(f"{first} of {len(self.stretches)} stretches are done already", file=sys.stderr)
        if not todo:
            return
        forward = make_forward(self.encoder.network, lambda m, mel: m(mel))
        every_s = 0.1 if sys.stderr.isatty() else 10.0
        bar = tqdm.tqdm(total=len(todo), unit="stretch", desc="embedding", mininterval=every_s)
        make = functools.partial(Worker, pathlib.Path(), self.encoder.spec)
        began, hours = time.monotonic(), 0.0
        with Workers(make, self._workers) as prepare, bar:
            for held in _batches(todo, prepare(todo), self.encoder.windows):
                embedded = _encode(held, self.encoder, forward)
                values = [
                    (c.path, repr(c.start_s), d.reason, d.remedy) for c, d in held if d.reason
                ]
                bad: list[dict[str, str]] = [
                    dict(zip(QUARANTINE, row, strict=True)) for row in values
                ]
                self._keep(number, len(held), embedded, bad)
                number += 1
                hours += sum(d.seconds for _, d in held) / 3600
                bar.update(len(held))
                minutes = max(time.monotonic() - began, 1e-9) / 60
                bar.set_postfix_str(f"{hours / minutes:.1f} h of audio a minute", refresh=False)
                yield embedded, bad

    def _path(self, number: int) -> pathlib.Path:
        return self.workdir / f"{self._key[:16]}-{number:06d}.npz"

    def _keep(self, number: int, held: int, embedded: Embedded, bad: list[dict[str, str]]) -> None:
        with replacing(self._path(number)) as temporary:
            np.savez(
                temporary,
                allow_pickle=False,
                held=np.array(held),
                bad=np.array(json.dumps(bad)),
                **embedded._asdict(),
            )

    def _finished(self) -> Iterator[tuple[int, Embedded, list[dict[str, str]]]]:
        for number in itertools.count():
            if (kept := load_arrays(self._path(number))) is None:
                return
            held, bad = int(kept.pop("held")), json.loads(str(kept.pop("bad")))
            yield held, Embedded(**kept), bad

    def close(self) -> None:
        """Removes what was kept to continue."""
        shutil.rmtree(self.workdir, ignore_errors=True)


def _changed_at(path: str) -> tuple[int, int]:
    """Size and time of change of a file, so that a changed one is embedded again."""
    try:
        about = pathlib.Path(path).stat()
    except (OSError, ValueError):
        return 0, 0
    return about.st_size, about.st_mtime_ns


def save_quarantine(path: pathlib.Path, bad: list[dict[str, str]]) -> None:
    """Writes what could not be read, with reason and remedy."""
    save_csv(path, bad, QUARANTINE)
