"""The embedding of many recordings: streamed, in pieces, continued where it was stopped.

Decoding happens in worker processes with caps on time and memory while this one computes.
"""

import contextlib
import functools
import hashlib
import json
import math
import pathlib
import sys
import time
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import tqdm

from cryjax.data.manifest import Clip
from cryjax.data.preparation import Prepared, Worker
from cryjax.data.workers import Workers
from cryjax.deploy.recordings import QUARANTINE, Embedded, stretches
from cryjax.encoder import Encoder
from cryjax.files import load_arrays, replacing

WINDOWS_A_PIECE = 1024  # about so many are encoded together and kept in one file
Bad = list[dict[str, str]]


class Job:
    """The embedding of many recordings, in pieces that are kept one by one.

    Args:
      encoder: What encodes.
      clips: Recordings, from `find`.
      workdir: Folder of the pieces that are done; they belong to this encoder and these recordings.
      workers: Processes that decode.
      part: (index, count): every count-th recording from the index on.

    Attributes:
      pieces: What is embedded, in order: stretches of recordings that are encoded together.
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
        mine = [piece for clip in clips[index::count] for piece in stretches(clip)]
        self.pieces = list(_pieces(mine, self._window_s))
        names = [(c.path, c.start_s, c.end_s, _changed_at(c.path)) for c, _ in mine]
        about = json.dumps([encoder.fingerprint, str(encoder.windows), WINDOWS_A_PIECE, names])
        self._key = hashlib.sha256(about.encode(errors="replace")).hexdigest()

    @property
    def _window_s(self) -> float:
        """Seconds from one window to the next; endless where recordings are windows."""
        rate, windows = self.encoder.spec.frames_per_s, self.encoder.windows
        return windows.hop_frames / rate if rate and not windows.whole else math.inf

    def __iter__(self) -> Iterator[tuple[Embedded, Bad]]:
        """Yields windows in the order of the recordings, and what could not be read."""
        self.workdir.mkdir(parents=True, exist_ok=True)
        todo = self.missing()
        clips = [clip for number in todo for clip in self.pieces[number]]
        if len(todo) < len(self.pieces) and todo:
            done = sum(map(len, self.pieces)) - len(clips)
            print(f"{done} of {done + len(clips)} stretches are done already", file=sys.stderr)
        made, missing = self._made(todo, clips), set(todo)
        for number in range(len(self.pieces)):
            yield next(made) if number in missing else self._kept(number)
        if not self.pieces:
            yield self._encode([]), []

    def missing(self) -> list[int]:
        """Lists the pieces that are not done."""
        return [number for number in range(len(self.pieces)) if not self._path(number).exists()]

    def _made(self, todo: list[int], clips: list[Clip]) -> Iterator[tuple[Embedded, Bad]]:
        """Decodes in other processes, encodes here; yields what each piece gave."""
        every_s = 0.1 if sys.stderr.isatty() else 10.0
        bar = tqdm.tqdm(total=len(clips), unit="stretch", desc="embedding", mininterval=every_s)
        make = functools.partial(Worker, pathlib.Path(), self.encoder.spec)
        began, hours = time.monotonic(), 0.0
        with Workers(make, self._workers) as prepare, bar:
            prepared = iter(prepare(clips))
            for number in todo:
                mels = [next(prepared) for _ in self.pieces[number]]
                made = self.embed(number, mels)
                hours += sum(done.seconds for done in mels) / 3600
                bar.update(len(mels))
                minutes = max(time.monotonic() - began, 1e-9) / 60
                bar.set_postfix_str(f"{hours / minutes:.1f} h of audio a minute", refresh=False)
                yield made

    def embed(self, number: int, mels: Iterable[Prepared]) -> tuple[Embedded, Bad]:
        """Encodes a piece from its log-mels, and keeps it."""
        held = list(zip(self.pieces[number], mels, strict=True))
        embedded = self._encode([(c, d, d.mel) for c, d in held if d.mel is not None])
        rows = [(c.path, repr(c.start_s), d.reason, d.remedy) for c, d in held if d.reason]
        bad: Bad = [dict(zip(QUARANTINE, row, strict=True)) for row in rows]
        with replacing(self._path(number)) as temporary:
            text = np.array(json.dumps(bad))
            np.savez(temporary, allow_pickle=False, bad=text, **embedded._asdict())
        return embedded, bad

    def _encode(self, held: list[tuple[Clip, Prepared, np.ndarray]]) -> Embedded:
        """Encodes every window of some stretches."""
        if not held:
            nothing, features = np.zeros(0), self.encoder.features
            return Embedded(np.zeros(0, str), nothing, nothing, np.zeros((0, features), np.float32))
        h, owner, starts = self.encoder.embed_mels([mel for *_, mel in held])
        begins = np.array([clip.start_s for clip, *_ in held])[owner]
        ends = begins + np.array([done.seconds for _, done, _ in held])[owner]
        paths = np.array([clip.path for clip, *_ in held])[owner]
        last = np.minimum(begins + starts + self.encoder.window_s, ends)
        return Embedded(paths, begins + starts, last, h)

    def _path(self, number: int) -> pathlib.Path:
        return self.workdir / f"{self._key[:16]}-{number:06d}.npz"

    def _kept(self, number: int) -> tuple[Embedded, Bad]:
        kept = load_arrays(self._path(number)) or {}
        bad = json.loads(str(kept.pop("bad")))
        return Embedded(**kept), bad

    def close(self) -> None:
        """Removes what was kept to continue, and nothing of another job."""
        for number in range(len(self.pieces)):
            self._path(number).unlink(missing_ok=True)
        with contextlib.suppress(OSError):  # another job's pieces lie there too
            self.workdir.rmdir()


def _pieces(parts: Iterable[tuple[Clip, float]], window_s: float) -> Iterator[list[Clip]]:
    """Puts stretches together until they should hold enough windows."""
    held: list[Clip] = []
    windows = 0.0
    for clip, seconds in parts:
        held.append(clip)
        windows += 1 + seconds / window_s
        if windows >= WINDOWS_A_PIECE:
            yield held
            held, windows = [], 0.0
    if held:
        yield held


def _changed_at(path: str) -> tuple[int, int]:
    """Size and time of change of a file, so that a changed one is embedded again."""
    try:
        about = pathlib.Path(path).stat()
    except (OSError, ValueError):
        return 0, 0
    return about.st_size, about.st_mtime_ns
