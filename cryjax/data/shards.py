"""Shards: ArrayRecord files of float16 log-mels behind a small header, and their manifest."""

import dataclasses
import hashlib
import json
import pathlib
import struct
from collections.abc import Sequence
from typing import Any, SupportsIndex

import numpy as np
from array_record.python import (
    array_record_data_source,
    array_record_module,  # pyright: ignore[reportAttributeAccessIssue]
)

from cryjax.data.manifest import LEFT_OUT, Clip, load_manifest
from cryjax.errors import MissingFileError, UserError
from cryjax.spec import FeatureSpec

MAGIC, VERSION = b"CRYM", 1
HEADER = struct.Struct("<4sHHIIi")  # magic, version, mels, frames, clip, label
WRITER_OPTIONS = "group_size:1,zstd:3"
COMPUTED = ("frames", "mel_sum", "mel_square_sum", "native_rate_hz", "audio_sha256", "flags")


def encode(mel: np.ndarray, *, clip: int, label: int) -> bytes:
    """Encodes a (frames, mels) log-mel as one record: a header and little-endian float16."""
    frames, mels = mel.shape
    body = np.ascontiguousarray(mel, "<f2").tobytes()
    return HEADER.pack(MAGIC, VERSION, mels, frames, clip, label) + body


def decode_record(record: bytes, where: str = "record") -> np.ndarray:
    """Decodes a record to its (frames, mels) float16 log-mel; refuses anything else."""
    if len(record) < HEADER.size:
        raise UserError(f"{where}: not a cryjax record, {len(record)} bytes")
    magic, version, mels, frames, _, _ = HEADER.unpack_from(record)
    if magic != MAGIC or version != VERSION or len(record) != HEADER.size + 2 * mels * frames:
        raise UserError(f"{where}: not a cryjax record of version {VERSION}; prepare it again")
    return np.frombuffer(record, "<f2", offset=HEADER.size).reshape(frames, mels)


def sha256(path: pathlib.Path) -> str:
    """Computes the hexadecimal SHA-256 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def save_json(path: pathlib.Path, value: Any) -> None:
    """Writes JSON under a temporary name and renames it."""
    temporary = path.with_name(path.name + ".tmp")
    temporary.write_text(json.dumps(value, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    temporary.replace(path)


def write_shard(path: pathlib.Path, records: Sequence[bytes]) -> str:
    """Writes records under a temporary name, renames it, and returns the file's SHA-256."""
    temporary = path.with_name(path.name + ".tmp")
    writer = array_record_module.ArrayRecordWriter(str(temporary), WRITER_OPTIONS)
    for record in records:
        writer.write(record)
    writer.close()
    temporary.replace(path)
    return sha256(path)


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
            raise UserError(f"{self.folder}: no split {unknown}; there are {there}")
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
    if not path.exists():
        raise MissingFileError(
            f"{path} is missing: {folder} is not a prepared corpus, or its preparation was "
            "interrupted; run python -m data_prep.main --out with this folder (it continues)"
        )
    try:
        info = json.loads(path.read_text(encoding="utf-8"))
        if info["schema"] != VERSION:
            raise UserError(f"schema {info['schema']}, this cryjax reads {VERSION}")
        for name in [shard["name"] for shard in info["shards"]]:
            if pathlib.PurePath(name).name != name:
                raise UserError(f"shard {name!r} would lie outside of the folder")
        if sha256(folder / "clips.csv") != info["clips_sha256"]:
            raise UserError("clips.csv was changed after it was written; prepare again")
        clips, spec = load_manifest(folder / "clips.csv"), FeatureSpec.from_json(info["spec"])
        frames = np.array([int(clip.extra["frames"]) for clip in clips])
    except ValueError as error:
        raise UserError(f"{path}: {error}") from error
    except (KeyError, TypeError, AttributeError) as error:
        raise UserError(f"{path}: not a manifest of cryjax ({error!r}); prepare again") from error
    return ShardSet(folder, spec, clips, frames, info, sha256(path))


class ShardReader:
    """Random access to the log-mels of a shard set; can be pickled and shared by threads."""

    def __init__(self, shards: ShardSet):
        self._source = array_record_data_source.ArrayRecordDataSource(shards.shard_paths())
        self._folder = shards.folder

    def read(self, clips: Sequence[SupportsIndex]) -> list[np.ndarray]:
        """Reads the (frames, mels) float16 log-mels of these clips in one batched call."""
        rows = [int(clip) for clip in clips]
        try:
            records = self._source.__getitems__(rows)
        except (RuntimeError, ValueError, IndexError) as error:
            reason = str(error) or "the shard is truncated"
            raise UserError(f"{self._folder}: clips {rows[:4]}...: {reason}") from error
        return [
            decode_record(r, f"{self._folder} clip {i}") for r, i in zip(records, rows, strict=True)
        ]

    def read_whole(self, clips: Sequence[int], frames: np.ndarray) -> list[np.ndarray | None]:
        """Reads as `read` does, with None for records that are damaged or of another length."""
        try:
            mels: list[np.ndarray | None] = list(self.read(clips))
        except ValueError:
            if len(clips) == 1:
                return [None]
            return [
                self.read_whole([clip], n[None])[0] for clip, n in zip(clips, frames, strict=True)
            ]
        right = [m is not None and len(m) == n for m, n in zip(mels, frames, strict=True)]
        return [mel if ok else None for mel, ok in zip(mels, right, strict=True)]
