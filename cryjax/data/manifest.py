"""The manifest: a CSV with one row per clip that a person can open and correct."""

import csv
import dataclasses
import difflib
import hashlib
import pathlib
import re
from collections.abc import Iterable, Sequence

from cryjax.errors import UserError
from cryjax.files import replacing

REQUIRED = ("path",)
KNOWN = ("path", "start_s", "end_s", "label", "group", "split")
MOST_COLUMNS = 1000
MOST_S = 1e6  # eleven days, more than a recording lasts
CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f]")  # characters that no cell may hold; tabs may
NEAR = 0.75  # similarity from which a column is taken for a misspelt one
LEFT_OUT = "left_out"  # split of clips that no part may use, such as dropped duplicates


@dataclasses.dataclass(frozen=True)
class Clip:
    """A stretch of a recording and what is known about it.

    Attributes:
      path: Audio file, relative to the source folder.
      start_s: Start of the stretch in seconds.
      end_s: End of the stretch in seconds; None is the end of the file.
      label: Class name; empty where unknown.
      group: Name of who or what must never be on both sides of a split, such as a baby, a
        patient, a speaker or a source recording.
      split: "train", "val", "test" or a fold's name; empty until splits are made.
      extra: Values of all other columns (site, device, sex, age, licence) by name.
    """

    path: str
    start_s: float = 0.0
    end_s: float | None = None
    label: str = ""
    group: str = ""
    split: str = ""
    extra: dict[str, str] = dataclasses.field(default_factory=dict)

    @property
    def audio(self) -> str:
        """Hash of the decoded samples; "" before preparation and where nothing is heard.

        Recordings of digital silence are all alike without being copies of each other.
        """
        silent = "silent" in self.extra.get("flags", "").split()
        return "" if silent else self.extra.get("audio_sha256", "")

    @property
    def identity(self) -> bytes:
        """Eight bytes of a hash of path, stretch and decoded samples, kept in the clip's record."""
        about = (self.path, repr(self.start_s), repr(self.end_s), self.extra.get("audio_sha256"))
        return hashlib.sha256("\0".join(map(str, about)).encode(errors="replace")).digest()[:8]

    @property
    def recording(self) -> str:
        """Path of the file without its suffix; clips of one recording share it."""
        return str(pathlib.PurePosixPath(self.path).with_suffix(""))

    def column(self, name: str) -> str:
        """Returns the value of a column by its name.

        Raises:
          UserError: There is no such column; the nearest ones are named.
        """
        if name in KNOWN:
            return str(getattr(self, name))
        if name not in self.extra:
            near = difflib.get_close_matches(name, [*KNOWN, *self.extra]) or [*KNOWN, *self.extra]
            raise UserError(f"the manifest has no column {name!r}; near: {', '.join(near)}")
        return self.extra[name]


def clip_of(row: dict[str, str], where: str = "row") -> Clip:
    """Builds a clip from a row of the manifest; errors begin with `where`."""
    if not pathlib.PurePosixPath(row["path"]).name.strip():
        raise UserError(f"{where}: path {row['path']!r} names no file")
    for name, value in row.items():
        if CONTROL.search(value):
            raise UserError(f"{where}: column {name!r} holds a line break or control character")
    try:
        start_s = float(row.get("start_s") or 0)
        end_s = float(row["end_s"]) if row.get("end_s") else None
    except ValueError as error:
        raise UserError(f"{where}: start_s and end_s must be seconds ({error})") from None
    last = MOST_S if end_s is None else end_s
    if not 0 <= start_s < last <= MOST_S:
        raise UserError(
            f"{where}: start_s and end_s must be seconds, 0 <= start_s < end_s <= {MOST_S:.0f}, "
            f"got {start_s} and {end_s}; an empty end_s is the end of the file"
        )
    extra = {key: value for key, value in row.items() if key not in KNOWN}
    label, group, split = ((row.get(key) or "").strip() for key in ("label", "group", "split"))
    return Clip(row["path"], start_s, end_s, label, group, split, extra)


def load_manifest(path: str | pathlib.Path) -> list[Clip]:
    """Reads a manifest; only the column `path` is required.

    Clips without a group are grouped by their recording. Labels, groups and splits lose the spaces
    around them.

    Raises:
      UserError: The table or one of its rows is wrong; names the file and the line.
    """
    try:
        with pathlib.Path(path).open(newline="", encoding="utf-8-sig") as file:
            return read_clips(csv.DictReader(file), path)
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: not a table of text in UTF-8 ({error})") from None


def read_clips(reader: csv.DictReader, path: str | pathlib.Path) -> list[Clip]:
    """Reads clips from the rows of a table; see `load_manifest`."""
    rows = []
    try:
        columns = list(reader.fieldnames or [])
        _require_columns(path, columns)
        for row in reader:
            if None in row or None in row.values():
                raise UserError(f"{path}:{reader.line_num}: expected {len(columns)} columns")
            clip = clip_of(row, f"{path}:{reader.line_num}")
            rows.append(clip if clip.group else dataclasses.replace(clip, group=clip.recording))
    except csv.Error as error:
        raise UserError(f"{path}: not a table of text ({error})") from None
    if not rows:
        raise UserError(f"{path}: no clips; the manifest has a header and nothing below it")
    return rows


def _require_columns(path: str | pathlib.Path, columns: Sequence[str]) -> None:
    """Refuses columns that were meant to be others, and columns that are there twice.

    Raises:
      UserError: Names the column and the one that it nearly is.
    """
    if len(columns) > MOST_COLUMNS:
        raise UserError(f"{path}: {len(columns)} columns, at most {MOST_COLUMNS} are read")
    for i, name in enumerate(columns):
        if name in columns[:i]:
            raise UserError(f"{path}: column {name!r} is there twice; remove or rename one")
        plain = name.strip().lower()
        near = [plain] if plain in KNOWN else difflib.get_close_matches(plain, KNOWN, 1, NEAR)
        if name not in KNOWN and near and (plain in KNOWN or near[0] not in columns):
            raise UserError(
                f"{path}: column {name!r} is nearly {near[0]!r} and would be ignored; rename it to "
                f"{near[0]}, or to something that is not mistaken for it"
            )
    if missing := [name for name in REQUIRED if name not in columns]:
        near = {name: difflib.get_close_matches(name, columns) for name in missing}
        raise UserError(f"{path}: column {missing} is missing, found {columns}; near: {near}")


def to_rows(clips: Iterable[Clip]) -> list[dict[str, str]]:
    """Turns clips into CSV rows; every row has every extra column."""
    clips = list(clips)
    extras = sorted({key for clip in clips for key in clip.extra})
    return [
        {
            "path": clip.path,
            "start_s": repr(clip.start_s),
            "end_s": "" if clip.end_s is None else repr(clip.end_s),
            "label": clip.label,
            "group": clip.group,
            "split": clip.split,
            **{key: clip.extra.get(key, "") for key in extras},
        }
        for clip in clips
    ]


def save_csv(path: pathlib.Path, rows: list[dict], columns: Iterable[str] = KNOWN) -> None:
    """Writes rows under a temporary name and renames it; `columns` heads a file without rows."""
    save_rows(path, rows, list(rows[0]) if rows else columns)


def save_rows(path: pathlib.Path, rows: Iterable[dict], columns: Iterable[str]) -> int:
    """Writes rows as they come, like `save_csv`; returns how many there were."""
    count = 0
    with (
        replacing(path) as temporary,
        temporary.open("w", newline="", encoding="utf-8", errors="backslashreplace") as file,
    ):
        writer = csv.DictWriter(file, list(columns), lineterminator="\n")
        writer.writeheader()
        for count, row in enumerate(rows, 1):  # noqa: B007
            writer.writerow(row)
    return count
