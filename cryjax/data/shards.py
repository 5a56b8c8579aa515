"""Shards: ArrayRecord files of float16 log-mels behind a small header, and their manifest."""

import dataclasses
import math
import pathlib
import struct
from collections.abc import Iterable, Sequence
from typing import Any, SupportsIndex

import numpy as np
from array_record.python import (
    array_record_data_source,
    array_record_module,  # pyright: ignore[reportAttributeAccessIssue]
)

from cryjax.data.manifest import LEFT_OUT, Clip, load_manifest
from cryjax.errors import MissingFileError, UserError
from cryjax.files import load_json, replacing, sha256
from cryjax.spec import FeatureSpec

MAGIC, VERSION = b"CRYM", 2
HEADER = struct.Struct("<4sHHIIi8s")  # magic, version, mels, frames, clip, label, clip's identity
WRITER_OPTIONS = "group_size:1,zstd:3"
COMPUTED = ("frames", "mel_sum", "mel_square_sum", "native_rate_hz", "audio_sha256", "flags")


class ForeignRecordError(UserError):
    """A record belongs to another clip than the one whose place it takes."""


def encode(mel: np.ndarray, *, clip: int, label: int, identity: bytes) -> bytes:
    """Encodes a (frames, mels) log-mel as one record: a header and little-endian float16."""
    frames, mels = mel.shape
    body = np.ascontiguousarray(mel, "<f2").tobytes()
    return HEADER.pack(MAGIC, VERSION, mels, frames, clip, label, identity) + body


def decode_record(
    record: bytes, where: str = "record", identity: bytes | None = None
) -> np.ndarray:
    """Decodes a record to its (frames, mels) float16 log-mel; refuses anything else.

    Args:
      record: Its bytes.
      where: Begins the message of an error.
      identity: That of the clip which the record must belong to; see `Clip.identity`.

    Raises:
      ForeignRecordError: It belongs to another clip.
      UserError: It is no record of this version.
    """
    if len(record) < HEADER.size:
        raise UserError(f"{where}: not a cryjax record, {len(record)} bytes")
    magic, version, mels, frames, _, _, found = HEADER.unpack_from(record)
    if magic != MAGIC or version != VERSION or len(record) != HEADER.size + 2 * mels * frames:
        raise UserError(f"{where}: not a cryjax record of version {VERSION}; prepare it again")
    if identity is not None and found != identity:
        raise ForeignRecordError(
            f"{where}: its record belongs to another clip: shards and clips.csv were not written "
            "together; prepare the corpus again"
        )
    return np.frombuffer(record, "<f2", offset=HEADER.size).reshape(frames, mels)


def write_shard(path: pathlib.Path, records: Iterable[bytes]) -> tuple[str, int]:
    """Writes records as they come, under a temporary name, and renames it.

    Returns:
      The file's SHA-256 and its number of bytes.
    """
    with replacing(path) as temporary:
        writer = array_record_module.ArrayRecordWriter(str(temporary), WRITER_OPTIONS)
        for record in records:
            writer.write(record)
        writer.close()
        found = sha256(temporary), temporary.stat().st_size
    return found


@dataclasses.dataclass(frozen=True)
class ShardSet:
    """A prepared folder: `manifest.json`, `clips.csv` and the shards.

    Attributes:
      folder: Path of the folder.
      spec: Feature specification of the log-mels.
      clips: Clips in the order of the records.
      frames: (clips,) length of each clip in frames.
      info: Content of `manifest.json`.
      fingerprint: SHA-256 of `manifest.json`, which holds those of the shards and the clips.
    """

    folder: pathlib.Path
    spec: FeatureSpec
    clips: list[Clip]
    frames: np.ndarray
    info: dict[str, Any]
    fingerprint: str

    @property
    def classes(self) -> list[str]:
        """Class names; a label is an index into them, -1 where unknown."""
        return self.info["classes"]

    @property
    def labels(self) -> np.ndarray:
        """(clips,) int32 class index of every clip; -1 where it has no label."""
        index = {name: i for i, name in enumerate(self.classes)}
        return np.array([index.get(clip.label, -1) for clip in self.clips], np.int32)

    def rows(self, splits: Sequence[str]) -> np.ndarray:
        """Selects clip numbers by split, in order.

        Args:
          splits: Names of splits; "*" stands for every one. Clips that were left out when the
            folder was prepared belong to none.

        Raises:
          UserError: A split does not exist.
        """
        names = {clip.split for clip in self.clips} - {LEFT_OUT}
        if unknown := [name for name in splits if name not in names and name != "*"]:
            there = ", ".join(sorted(names))
            raise UserError(
                f"{self.folder}: no split {unknown}; there are {there}: name some of them in "
                "config.data.splits, for an evaluation in data.folds or data.train, val and test"
            )
        wanted = names if "*" in splits else set(splits)
        return np.array([i for i, clip in enumerate(self.clips) if clip.split in wanted], int)

    def statistics(self, rows: np.ndarray) -> tuple[float, float]:
        """Computes mean and standard deviation over every value of these clips' log-mels."""
        columns = ("mel_sum", "mel_square_sum")
        total, square = (sum(float(self.clips[i].extra[name]) for i in rows) for name in columns)
        n = int(self.frames[rows].sum()) * self.spec.n_mels
        mean = total / n
        return mean, max(square / n - mean**2, 1e-12) ** 0.5

    def shard_paths(self) -> list[str]:
        """Lists the shard files in record order; refuses a missing or wrong-sized one."""
        paths = [self.folder / shard["name"] for shard in self.info["shards"]]
        for path, shard in zip(paths, self.info["shards"], strict=True):
            size = path.stat().st_size if path.exists() else "no file"
            if size != shard["bytes"]:
                raise UserError(
                    f"{path}: {size} where manifest.json says {shard['bytes']} bytes; "
                    "copy the shard again or prepare the corpus again"
                )
        return [str(path) for path in paths]


def load_shards(folder: str | pathlib.Path) -> ShardSet:
    """Opens a prepared folder.

    Raises:
      MissingFileError: It is not a prepared folder.
      UserError: Its parts do not belong together, or another version wrote it.
    """
    folder = pathlib.Path(folder)
    path = folder / "manifest.json"
    if not _exists(path):
        raise MissingFileError(
            f"{path} is missing: {folder} is not a prepared corpus, or its preparation was "
            "interrupted; run cryjax prepare --out with this folder (it continues)"
        )
    try:
        info = load_json(path, "prepare again")
        if info["schema"] != VERSION:
            raise UserError(f"schema {info['schema']}, this cryjax reads {VERSION}; prepare again")
        if sha256(folder / "clips.csv") != info["clips_sha256"]:
            raise UserError("clips.csv was changed after it was written; prepare again")
        clips, spec = load_manifest(folder / "clips.csv"), FeatureSpec.from_json(info["spec"])
        frames = np.array([int(clip.extra["frames"]) for clip in clips])
        _require_consistent(folder, info, clips)
    except ValueError as error:
        raise UserError(f"{path}: {error}") from error
    except (KeyError, TypeError, AttributeError) as error:
        raise UserError(f"{path}: not a manifest of cryjax ({error!r}); prepare again") from error
    except OSError as error:
        raise UserError(f"{error.filename or folder} cannot be read: {error.strerror}") from error
    return ShardSet(folder, spec, clips, frames, info, sha256(path))


def _exists(path: pathlib.Path) -> bool:
    try:
        return path.exists()
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}") from None


def _require_consistent(folder: pathlib.Path, info: dict[str, Any], clips: list[Clip]) -> None:
    """Refuses a manifest whose shards, side files, classes and clips do not belong together."""
    names = [shard["name"] for shard in info["shards"]]
    for name in names:
        if pathlib.PurePath(name).name != name or name in (".", ".."):
            raise UserError(f"shard {name!r} would lie outside of the folder")
    for kind, values in (("shard", names), ("class", info["classes"])):
        if len(set(values)) != len(values):
            raise UserError(f"a {kind} is named twice among {values[:20]}; prepare again")
    held = sum(shard["clips"] for shard in info["shards"])
    if held != len(clips):
        raise UserError(f"its shards hold {held} clips, clips.csv {len(clips)}; prepare again")
    for shard in info["shards"]:
        side = (folder / shard["name"]).with_suffix(".json")
        about = load_json(side, "prepare again") if side.exists() else {}
        if about and (about.get("plan"), about.get("shard")) != (info.get("plan"), shard):
            raise UserError(f"{side.name} is of another preparation; prepare again")
    _require_possible(clips)


def _require_possible(clips: list[Clip]) -> None:
    for i, clip in enumerate(clips):
        total, square = (float(clip.extra[name]) for name in ("mel_sum", "mel_square_sum"))
        if int(clip.extra["frames"]) < 1 or not math.isfinite(total) or not 0 <= square < math.inf:
            raise UserError(f"clips.csv, clip {i}: frames or sums are not possible; prepare again")


class ShardReader:
    """Random access to the log-mels of a shard set; can be pickled and shared by threads.

    Raises:
      UserError: A shard is missing or cut, or the shards hold another number of records than there
        are clips.
    """

    def __init__(self, shards: ShardSet):
        self._source = array_record_data_source.ArrayRecordDataSource(shards.shard_paths())
        self._folder, self._identities = shards.folder, [clip.identity for clip in shards.clips]
        if len(self._source) != len(shards.clips):
            held = f"{len(self._source)} records for {len(shards.clips)} clips"
            raise UserError(f"{shards.folder}: its shards hold {held}; prepare the corpus again")

    def read(self, clips: Sequence[SupportsIndex]) -> list[np.ndarray]:
        """Reads the (frames, mels) float16 log-mels of these clips in one batched call.

        Raises:
          ForeignRecordError: A record belongs to another clip.
          UserError: A record cannot be read.
        """
        rows = [int(clip) for clip in clips]
        try:
            records = self._source.__getitems__(rows)
        except (RuntimeError, ValueError, IndexError) as error:
            reason = str(error) or "the shard is truncated"
            raise UserError(f"{self._folder}: clips {rows[:4]}...: {reason}") from error
        return [
            decode_record(record, f"{self._folder} clip {i}", self._identities[i])
            for record, i in zip(records, rows, strict=True)
        ]

    def read_whole(self, clips: Sequence[int], frames: np.ndarray) -> list[np.ndarray | None]:
        """Reads as `read` does, with None for records that are damaged or of another length."""
        try:
            mels: list[np.ndarray | None] = list(self.read(clips))
        except ForeignRecordError:
            raise
        except ValueError:
            if len(clips) == 1:
                return [None]
            return [
                self.read_whole([clip], n[None])[0] for clip, n in zip(clips, frames, strict=True)
            ]
        right = [m is not None and len(m) == n for m, n in zip(mels, frames, strict=True)]
        return [mel if ok else None for mel, ok in zip(mels, right, strict=True)]
