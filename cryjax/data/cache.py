"""Frames by clip and start: from a memory-mapped local cache, or straight from the shards."""

import os
import pathlib
import shutil
import tempfile
from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.lib import format as npy

from cryjax.data.shards import ShardReader, ShardSet, save_json

READ_AT_ONCE = 256


@runtime_checkable
class Frames(Protocol):
    """Where views come from."""

    def gather(self, clips: np.ndarray, starts: np.ndarray, frames: int) -> np.ndarray:
        """Views of `frames` frames from these clips at these starts; short clips are tiled.

        Args:
          clips: (views,) clip numbers.
          starts: (views,) first frame of each view.
          frames: Length of a view.

        Returns:
          (views, frames, mels) float16.
        """
        ...


class ArrayFrames:
    """All frames in one array, clip after clip."""

    def __init__(self, array: np.ndarray, lengths: np.ndarray):
        self._array, self._lengths = array, lengths
        self._offsets = np.cumsum(lengths) - lengths

    def gather(self, clips: np.ndarray, starts: np.ndarray, frames: int) -> np.ndarray:
        """See `Frames.gather`; of the array's own type."""
        lengths = self._lengths[clips]
        steps = (starts[:, None] + np.arange(frames)) % lengths[:, None]
        return self._array[self._offsets[clips][:, None] + steps]


class CachedFrames(ArrayFrames):
    """All frames of a shard set in one memory-mapped float16 array; a view reads only its own."""

    def __init__(self, folder: pathlib.Path, lengths: np.ndarray):
        super().__init__(np.load(folder / "frames.npy", mmap_mode="r"), lengths)
        self._folder = folder

    def __reduce__(self):  # workers map the file, nobody copies it
        return CachedFrames, (self._folder, self._lengths)


class ShardFrames:
    """The same views, decoded from whole records: for disks that cannot hold the cache."""

    def __init__(self, shards: ShardSet):
        self._reader, self._lengths = ShardReader(shards), shards.frames

    def gather(self, clips: np.ndarray, starts: np.ndarray, frames: int) -> np.ndarray:
        """See `Frames.gather`."""
        steps = (starts[:, None] + np.arange(frames)) % self._lengths[clips][:, None]
        unique, where = np.unique(clips, return_inverse=True)
        mels = self._reader.read(unique.tolist())
        return np.stack([mels[i][s] for i, s in zip(where, steps, strict=True)])


def _build(shards: ShardSet, folder: pathlib.Path) -> None:
    """Unpacks every record into `folder`, under a temporary name until it is whole."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    temporary = pathlib.Path(tempfile.mkdtemp(dir=folder.parent, prefix="building-"))
    try:
        shape = (int(shards.frames.sum()), shards.spec.n_mels)
        array = npy.open_memmap(temporary / "frames.npy", "w+", np.float16, shape)
        reader, at = ShardReader(shards), 0
        for first in range(0, len(shards.clips), READ_AT_ONCE):
            rows = range(first, min(first + READ_AT_ONCE, len(shards.clips)))
            for i, mel in zip(rows, reader.read(rows), strict=True):
                if len(mel) != shards.frames[i]:
                    raise ValueError(f"{shards.folder} clip {i}: {len(mel)} frames in the shard")
                array[at : at + len(mel)] = mel
                at += len(mel)
        array.flush()
        save_json(temporary / "cache.json", {"fingerprint": shards.fingerprint, "shape": shape})
        try:
            temporary.rename(folder)
        except OSError:
            if not (folder / "cache.json").exists():  # else another process was faster
                raise
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def cache_root(shards: ShardSet, cache_dir: str = "") -> pathlib.Path:
    """Folder of all that is derived from shards and can be made again."""
    return pathlib.Path(cache_dir or os.environ.get("CRYJAX_CACHE") or shards.folder / "cache")


def open_frames(shards: ShardSet, *, source: str = "cache", cache_dir: str = "") -> Frames:
    """Opens the frames of a shard set.

    Args:
      shards: The prepared corpus.
      source: "cache" unpacks the shards into local files on first use; "shards" never does.
      cache_dir: Folder of all caches; by default $CRYJAX_CACHE, else beside the shards.

    Raises:
      ValueError: The source is unknown or the cache cannot be written; names the remedy.
    """
    if source == "shards":
        return ShardFrames(shards)
    if source != "cache":
        raise ValueError(f"source must be 'cache' or 'shards', got {source!r}")
    folder = cache_root(shards, cache_dir) / shards.fingerprint[:16]
    if not (folder / "cache.json").exists():
        try:
            _build(shards, folder)
        except OSError as error:
            raise ValueError(
                f"the frame cache {folder} cannot be written ({error}); give a writable "
                "--config.data.cache_dir, or read the shards with --config.data.source=shards"
            ) from error
    return CachedFrames(folder, shards.frames)


class JoinedFrames:
    """Several sets of frames as one: clip numbers run on from set to set."""

    def __init__(self, parts: Sequence[Frames], sizes: Sequence[int]):
        self._parts, self._bounds = parts, np.concatenate([[0], np.cumsum(sizes)])

    def gather(self, clips: np.ndarray, starts: np.ndarray, frames: int) -> np.ndarray:
        """See `Frames.gather`."""
        part_of = np.searchsorted(self._bounds, clips, side="right") - 1
        gathered = [
            (here, part.gather(clips[here] - self._bounds[i], starts[here], frames))
            for i, part in enumerate(self._parts)
            if (here := part_of == i).any()
        ]
        views = np.empty((len(clips), *gathered[0][1].shape[1:]), np.float16)
        for here, these in gathered:
            views[here] = these
        return views
