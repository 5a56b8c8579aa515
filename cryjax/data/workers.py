"""Untrusted recordings are decoded in processes that may crash, hang or run out of memory alone."""

import collections
import contextlib
import ctypes
import multiprocessing
import os
import resource
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool

from cryjax.data.manifest import Clip
from cryjax.data.preparation import Prepared

MEMORY_BYTES = 8 << 30  # address space of a worker
SECONDS = 300  # that one clip may take
PR_SET_PDEATHSIG = 1  # linux/prctl.h
AHEAD = 8  # clips a worker is given in advance
CRASHED = Prepared(
    reason=f"its decoder crashed, or took over {SECONDS} s or {MEMORY_BYTES >> 30} GiB",
    remedy="convert or cut the file",
)

Prepare = Callable[[Clip], Prepared]
_worker: list[Prepare] = []


def _start(make: Callable[[], Prepare], parent: int) -> None:
    """Sets a fresh process up: limits, Ctrl-C left to the parent, and an end when the parent ends.

    Linux kills it then; elsewhere a thread notices that another process has adopted it.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    threading.Thread(target=_end_without, args=(parent,), daemon=True).start()
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _worker[:] = [make()]


def _end_without(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(1)
    os._exit(1)


def _prepare(clip: Clip, seconds: int) -> Prepared:
    """Prepares one clip; the alarm's default ends the process, whatever hangs in it."""
    signal.alarm(seconds)
    try:
        return _worker[0](clip)
    finally:
        signal.alarm(0)


class Workers:
    """Prepares clips in other processes, in order; a clip that kills its process is set aside.

    Use as a context manager.

    Args:
      make: Makes the function that prepares a clip, once in every process; picklable.
      count: Number of processes.
      seconds: Time in seconds that one clip may take.
    """

    def __init__(self, make: Callable[[], Prepare], count: int, *, seconds: int = SECONDS):
        self._make, self._count, self._seconds = make, count, seconds
        self._pool = self._fresh(count)

    def _fresh(self, count: int) -> ProcessPoolExecutor:
        context = multiprocessing.get_context("spawn")
        return ProcessPoolExecutor(count, context, _start, (self._make, os.getpid()))

    def __enter__(self) -> "Workers":
        return self

    def __exit__(self, *_) -> None:
        self._pool.shutdown(cancel_futures=True)

    def __call__(self, clips: Iterable[Clip]) -> Iterator[Prepared]:
        """Yields the clips' log-mels, or why there are none, in their order."""
        todo, waiting = iter(clips), collections.deque[tuple[Clip, Future]]()
        while True:
            while len(waiting) < AHEAD * self._count and (clip := next(todo, None)) is not None:
                waiting.append((clip, self._submit(clip)))
            if not waiting:
                return
            clip, future = waiting.popleft()
            try:
                yield future.result()
            except BrokenProcessPool:  # some process died; one at a time, these tell whose it was
                again = [clip, *(other for other, _ in waiting)]
                waiting.clear()
                yield from self._one_by_one(again)
                self._pool = self._fresh(self._count)

    def _submit(self, clip: Clip) -> Future:
        with contextlib.suppress(BrokenProcessPool):
            return self._pool.submit(_prepare, clip, self._seconds)
        broken: Future = Future()
        broken.set_exception(BrokenProcessPool("before it was submitted"))
        return broken

    def _one_by_one(self, clips: list[Clip]) -> Iterator[Prepared]:
        pool = self._fresh(1)
        for clip in clips:
            try:
                yield pool.submit(_prepare, clip, self._seconds).result()
            except BrokenProcessPool:
                pool = self._fresh(1)
                yield CRASHED
        pool.shutdown()
