"""What the page shows and plays of a recording, decoded in processes that may crash alone."""

import contextlib
import dataclasses
import functools
import pathlib
import queue
from collections.abc import Iterator

import numpy as np
import soxr

from cryjax.audio import AudioError, read
from cryjax.audio.decode import DecodeLimits
from cryjax.data.manifest import Clip
from cryjax.data.preparation import Prepared, Worker
from cryjax.data.workers import Workers
from cryjax.spec import FeatureSpec

ENVELOPE = 1000  # pairs of a lowest and a highest sample
PLAYED_HZ = 48_000  # rate that every browser plays


@dataclasses.dataclass(frozen=True)
class Heard(Prepared):
    """A recording's log-mel and what a page draws and plays of it.

    Attributes:
      rate_hz: Its own sample rate.
      envelope: (pairs, 2) lowest and highest sample of equal stretches.
      pcm: (samples,) int16 at `PLAYED_HZ`; None where it was not asked for.
    """

    rate_hz: int = 0
    envelope: np.ndarray | None = None
    pcm: np.ndarray | None = None


class Hearing:
    """Decodes one clip; made once in every process.

    Args:
      spec: Feature specification.
      max_s: Longest accepted recording in seconds.
      play: Whether samples are returned, for recordings that the browser does not hold.
    """

    def __init__(self, spec: FeatureSpec, max_s: float, *, play: bool):
        self._worker, self._limits = Worker(pathlib.Path(), spec), DecodeLimits(max_s=max_s)
        self._play = play

    def __call__(self, clip: Clip) -> Prepared:
        """Decodes a clip; one that cannot be used, or is too long, gives its reason instead."""
        try:
            found = read(clip.path, start_s=clip.start_s, end_s=clip.end_s, limits=self._limits)
        except AudioError as error:
            return Prepared(reason=error.reason, remedy=error.remedy)
        except MemoryError:
            return Prepared(reason="does not fit into memory", remedy="cut it")
        made = self._worker(clip)
        if made.mel is None:
            return made
        pcm = None
        if self._play:
            wave = soxr.resample(found.wave, found.rate_hz, PLAYED_HZ)
            pcm = np.round(32767 * np.clip(wave, -1, 1)).astype(np.int16)
        known = {f.name: getattr(made, f.name) for f in dataclasses.fields(Prepared)}
        return Heard(**known, rate_hz=found.rate_hz, envelope=envelope_of(found.wave), pcm=pcm)


def envelope_of(wave: np.ndarray) -> np.ndarray:
    """Computes (pairs, 2) lowest and highest sample of at most `ENVELOPE` equal stretches."""
    edges = np.linspace(0, len(wave), min(ENVELOPE, len(wave)) + 1).astype(int)[:-1]
    return np.stack([np.minimum.reduceat(wave, edges), np.maximum.reduceat(wave, edges)], axis=1)


class Decoders:
    """Some processes that decode, one request each at a time; the others wait.

    Use as a context manager.

    Args:
      spec: Feature specification.
      count: Number of processes.
      max_s: Longest accepted recording in seconds.
      seconds: Time that one recording may take.
      play: See `Hearing`.
    """

    def __init__(
        self, spec: FeatureSpec, count: int, *, max_s: float, seconds: int, play: bool = False
    ):
        make = functools.partial(Hearing, spec, max_s, play=play)
        self._free: queue.Queue[Workers] = queue.Queue()
        self._stack = contextlib.ExitStack()
        for _ in range(count):
            self._free.put(self._stack.enter_context(Workers(make, 1, seconds=seconds)))

    def __enter__(self) -> "Decoders":
        return self

    def __exit__(self, *_) -> None:
        self._stack.close()

    @contextlib.contextmanager
    def _one(self) -> Iterator[Workers]:
        workers = self._free.get()
        try:
            yield workers
        finally:
            self._free.put(workers)

    def hear(self, clip: Clip) -> Prepared:
        """Decodes a clip; safe to call from many threads."""
        with self._one() as workers:
            (made,) = workers([clip])
            return made
