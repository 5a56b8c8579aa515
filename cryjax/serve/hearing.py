"""What the page shows and plays of a recording, decoded in processes that may crash alone."""

import contextlib
import dataclasses
import functools
import pathlib
import queue

import numpy as np
import soxr

from cryjax.audio import Recording
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


def heard(found: Recording, made: Prepared, *, play: bool) -> Heard:
    """Adds what a page draws of a recording, and its samples where it is played from here."""
    pcm = None
    if play:
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
      play: Whether samples are returned, for recordings that the browser does not hold.
    """

    def __init__(
        self, spec: FeatureSpec, count: int, *, max_s: float, seconds: int, play: bool = False
    ):
        limits, view = DecodeLimits(max_s=max_s), functools.partial(heard, play=play)
        make = functools.partial(Worker, pathlib.Path(), spec, limits=limits, view=view)
        self._free: queue.Queue[Workers] = queue.Queue()
        self._stack = contextlib.ExitStack()
        for _ in range(count):
            self._free.put(self._stack.enter_context(Workers(make, 1, seconds=seconds)))

    def __enter__(self) -> "Decoders":
        return self

    def __exit__(self, *_) -> None:
        self._stack.close()

    def hear(self, clip: Clip) -> Prepared:
        """Decodes a clip; safe to call from many threads."""
        workers = self._free.get()
        try:
            (made,) = workers([clip])
        finally:
            self._free.put(workers)
        return made
