"""Frames by clip and start: from a memory-mapped local cache, or straight from the shards."""

import contextlib
import os
import pathlib
import shutil
from collections.abc import Iterator, Sequence
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.lib import format as npy

from cryjax.data.manifest import Clip
from cryjax.data.shards import ShardReader, ShardSet
from cryjax.errors import UserError
from cryjax.files import load_json, save_json, sha256
from cryjax.locks import hold

READ_AT_ONCE = 256


@runtime_checkable
class Frames(Protocol):
    """A reader of log-mel frames by clip and start."""

    def gather(self, clips: np.ndarray, starts: np.ndarray, frames: int) -> np.ndarray:
        """Reads stretches of clips; a clip that is too short is repeated.

        Args:
          clips: (views,) clip numbers.
          starts: (views,) first frame of each view.
          frames: Length of a view in frames.

        Returns:
          (views, frames, mels) float16.
        """
        ...


class ArrayFrames:
    """All frames in one array in memory, clip after clip."""

    def __init__(self, array: np.ndarray, lengths: np.ndarray):
        self._array, self._lengths = array, lengths
        self._offsets = np.cumsum(lengths) - lengths

    def gather(self, clips: np.ndarray, starts: np.ndarray, frames: int) -> np.ndarray:
        """Reads as `Frames.gather` does, in the array's own type."""
        lengths, offsets = self._lengths[clips], self._offsets[clips]
        if (starts + frames <= lengths).all():  # nothing to tile, and no division for every frame
            at = (offsets + starts)[:, None] + np.arange(frames)
        else:
            at = offsets[:, None] + (starts[:, None] + np.arange(frames)) % lengths[:, None]
        return np.take(self._array, at, axis=0)


class CachedFrames(ArrayFrames):
    """All frames of a shard set in one memory-mapped float16 file."""

    def __init__(self, folder: pathlib.Path, lengths: np.ndarray):
        try:
            array = np.load(folder / "frames.npy", mmap_mode="r")
            if array.dtype != np.float16 or array.ndim != 2 or len(array) != lengths.sum():
                raise ValueError(f"{array.dtype} {array.shape}, not {lengths.sum()} frames")
        except (OSError, ValueError) as error:
            raise UserError(
                f"{folder}: the frame cache is damaged ({error}); remove it, it is made again"
            ) from error
        super().__init__(np.asarray(array), lengths)
        self._folder = folder

    def __reduce__(self):  # workers map the file, nobody copies it
        return CachedFrames, (self._folder, self._lengths)


class ShardFrames:
    """The same frames decoded from whole records, for disks that cannot hold the cache."""

    def __init__(self, shards: ShardSet):
        self._reader, self._lengths = ShardReader(shards), shards.frames

    def gather(self, clips: np.ndarray, starts: np.ndarray, frames: int) -> np.ndarray:
        """Reads as `Frames.gather` does."""
        steps = (starts[:, None] + np.arange(frames)) % self._lengths[clips][:, None]
        unique, where = np.unique(clips, return_inverse=True)
        mels = self._reader.read(unique.tolist())
        return np.stack([mels[i][s] for i, s in zip(where, steps, strict=True)])


def _records(shards: ShardSet) -> Iterator[tuple[int, np.ndarray | None]]:
    """Yields every clip's number and log-mel; None where the record is damaged."""
    reader = ShardReader(shards)
    for first in range(0, len(shards.clips), READ_AT_ONCE):
        rows = range(first, min(first + READ_AT_ONCE, len(shards.clips)))
        mels = reader.read_whole(rows, shards.frames[rows])
        for row, mel in zip(rows, mels, strict=True):
            whole = (
                mel is not None
                and mel.shape[1] == shards.spec.n_mels
                and _has_its_sums(mel, shards.clips[row])
            )
            yield row, mel if whole else None


def _has_its_sums(mel: np.ndarray, clip: Clip) -> bool:
    """Compares a log-mel with the sums in clips.csv; not-finite values compare as different."""
    values, known = mel.astype(np.float64), clip.extra
    square = float(known["mel_square_sum"])
    rounding = 1e-9 * (square + mel.size)  # bounds the sum of absolute values, and more
    off = abs(values.sum() - float(known["mel_sum"])), abs((values**2).sum() - square)
    return bool(off[0] <= rounding and off[1] <= rounding)


def _require_known(shards: ShardSet, damaged: list[int]) -> None:
    """Refuses a shard whose bytes differ from the manifest's although all its records are whole."""
    last = np.cumsum([shard["clips"] for shard in shards.info["shards"]])
    for shard, end in zip(shards.info["shards"], last, strict=True):
        path = shards.folder / shard["name"]
        inside = any(end - shard["clips"] <= clip < end for clip in damaged)
        if not inside and sha256(path) != shard["sha256"]:
            raise UserError(
                f"{path}: its SHA-256 is not that of manifest.json although every record is whole; "
                "shard and manifest were not written together: prepare the corpus again"
            )


def _damaged(shards: ShardSet, root: pathlib.Path) -> list[int]:
    """Reads every record once to find the damaged ones; what was found is kept for the next start.

    It holds as long as no shard has another time of change. Where it cannot be kept, every start
    reads all records.
    """
    path = root / f"{shards.fingerprint[:16]}.verified.json"
    changed_ns = [pathlib.Path(shard).stat().st_mtime_ns for shard in shards.shard_paths()]
    about = {"fingerprint": shards.fingerprint, "changed_ns": changed_ns}
    if path.exists():
        known = load_json(path, "remove it, it is made again")
        if {name: known.get(name) for name in about} == about:
            return known["damaged"]
    damaged = [clip for clip, mel in _records(shards) if mel is None]
    _require_known(shards, damaged)
    with contextlib.suppress(OSError):
        root.mkdir(parents=True, exist_ok=True)
        save_json(path, about | {"damaged": damaged})
    return damaged


def _require_few(shards: ShardSet, damaged: list[int], most: float) -> None:
    if len(damaged) > most * len(shards.clips):
        raise UserError(
            f"{shards.folder}: {len(damaged)} of {len(shards.clips)} records are damaged, such as "
            f"those of clips {damaged[:4]}, more than data.max_damaged_share={most}; copy the "
            "shards again (cryjax prepare with the same --out makes damaged ones anew)"
        )


def _build(shards: ShardSet, folder: pathlib.Path, most: float) -> None:
    """Unpacks every record into `folder`, under a temporary name until it is whole."""
    temporary = folder.with_name(f"building-{folder.name}")
    shutil.rmtree(temporary, ignore_errors=True)  # of a process that was killed: we hold the lock
    temporary.mkdir(parents=True)
    try:
        shape, damaged = (int(shards.frames.sum()), shards.spec.n_mels), []
        with (temporary / "frames.npy").open("wb") as file:  # a full disk is an error, not a signal
            head = {"descr": "<f2", "fortran_order": False, "shape": shape}
            npy.write_array_header_1_0(file, head)
            for clip, mel in _records(shards):
                damaged += [clip] if mel is None else []
                known = np.zeros((shards.frames[clip], shape[1])) if mel is None else mel
                file.write(known.astype("<f2").tobytes())
            file.flush()
            os.fsync(file.fileno())
        _require_known(shards, damaged)
        _require_few(shards, damaged, most)
        about = {"fingerprint": shards.fingerprint, "shape": shape, "damaged": damaged}
        save_json(temporary / "cache.json", about)
        shutil.rmtree(folder, ignore_errors=True)
        temporary.rename(folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _about(folder: pathlib.Path) -> dict[str, Any] | None:
    """Reads what a cache says about itself; None where there is none."""
    path = folder / "cache.json"
    return load_json(path, f"remove {folder}, it is made again") if path.exists() else None


def cache_root(shards: ShardSet, cache_dir: str | None = None) -> pathlib.Path:
    """Returns the folder of all that is derived from shards and can be made again."""
    return pathlib.Path(cache_dir or os.environ.get("CRYJAX_CACHE") or shards.folder / "cache")


def open_frames(
    shards: ShardSet,
    *,
    source: str = "cache",
    cache_dir: str | None = None,
    max_damaged_share: float = 0.0,
) -> tuple[Frames, list[int]]:
    """Opens the frames of a shard set.

    Args:
      shards: The prepared folder.
      source: "cache" unpacks the shards into a local file on first use; "shards" never does, and
        keeps only which records are whole.
      cache_dir: Folder of all caches; None is $CRYJAX_CACHE, else a folder beside the shards.
      max_damaged_share: Largest share of damaged records that is accepted.

    Returns:
      The reader, and the numbers of clips whose records are damaged and must not be read.

    Raises:
      UserError: The source is unknown, too much is damaged or the cache cannot be written; names
        the remedy.
    """
    if source == "shards":
        damaged = _damaged(shards, cache_root(shards, cache_dir))
        _require_few(shards, damaged, max_damaged_share)
        return ShardFrames(shards), damaged
    if source != "cache":
        raise UserError(f"source must be 'cache' or 'shards', got {source!r}")
    folder = cache_root(shards, cache_dir) / shards.fingerprint[:16]
    about = _about(folder)
    if about is None:
        try:
            with hold(folder.with_suffix(".lock"), wait=True):
                about = _about(folder)  # another process may have been faster
                if about is None:
                    _build(shards, folder, max_damaged_share)
                    about = _about(folder)
        except OSError as error:
            raise UserError(
                f"the frame cache {folder} cannot be written ({error}); give a writable "
                "--config.data.cache_dir with room for it, or read the shards with "
                "--config.data.source=shards"
            ) from error
    if about is None or about.get("fingerprint") != shards.fingerprint:
        raise UserError(f"{folder} is the frame cache of other shards; remove it")
    damaged = about["damaged"]
    _require_few(shards, damaged, max_damaged_share)
    return CachedFrames(folder, shards.frames), damaged


class JoinedFrames:
    """Several readers as one; clip numbers run on from reader to reader."""

    def __init__(self, parts: Sequence[Frames], sizes: Sequence[int]):
        self._parts, self._bounds = parts, np.concatenate([[0], np.cumsum(sizes)])

    def gather(self, clips: np.ndarray, starts: np.ndarray, frames: int) -> np.ndarray:
        """Reads as `Frames.gather` does."""
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
