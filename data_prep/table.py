"""Tables as people have them: other separators, encodings and names of columns, read and said.

    path;Diagnosis;Patient ID          -> --columns=label:diagnosis,group:patient id

What was guessed is a note of the prepared folder; what would be a silent mistake is refused.
"""

import collections
import csv
import dataclasses
import difflib
import io
import pathlib
from collections.abc import Mapping, Sequence

from cryjax.data.manifest import KNOWN, REQUIRED, Clip, read_clips
from cryjax.errors import UserError

SEPARATORS = (",", ";", "\t", "|")
SYNONYMS = {
    "path": ("file", "filename", "file_name", "filepath", "file_path", "wav", "audio", "recording"),
    "label": ("class", "category", "diagnosis", "target", "y"),
    "group": (
        *("speaker", "speaker_id", "patient", "patient_id", "subject", "subject_id", "baby"),
        *("baby_id", "infant", "child", "participant", "participant_id", "animal"),
    ),
}
DESCRIPTIVE = ("site", "device", "sex", "age")  # by which reports divide results
PARTS = ("train", "val", "test")
RARE = 3  # clips of a label below which it is said
LETTER = 0.85  # similarity above which a letter too many is a slip
MOST_COMPARED = 200  # labels that are compared with each other
EXAMPLE = """path,label,group,site,sex
recordings/p01_a.wav,healthy,p01,ward_a,f
recordings/p01_b.wav,healthy,p01,ward_a,f
recordings/p02_a.wav,ill,p02,ward_b,m
recordings/p03_a.wav,healthy,p03,ward_b,m
"""


def decode_text(path: pathlib.Path) -> tuple[str, str]:
    """Reads a text in whichever usual encoding; returns it and the encoding's name.

    Raises:
      UserError: It is no text.
    """
    data = path.read_bytes()
    marked = data[:2] in (b"\xff\xfe", b"\xfe\xff")
    zeros = data[:2000].count(0)
    if marked or zeros > len(data[:2000]) // 4:
        kind = "utf-16" if marked else "utf-16-le" if data[1:2] == b"\0" else "utf-16-be"
        try:
            return data.decode(kind), "UTF-16"
        except UnicodeDecodeError as error:
            raise UserError(f"{path}: not a table of text ({error})") from None
    try:
        return data.decode("utf-8-sig"), "UTF-8"
    except UnicodeDecodeError:
        text = data.decode("cp1252", errors="replace")
    strange = sum((ord(c) < 32 and c not in "\t\r\n") or c == "\ufffd" for c in text[:4000])
    if strange > len(text[:4000]) // 50:
        raise UserError(f"{path}: not a table of text")
    return text, "Windows-1252 (Latin-1)"


def separator_of(text: str) -> str:
    """Finds what separates the columns: what the first line has most of."""
    head = text.lstrip("\r\n").splitlines()[:1] or [""]
    return max(SEPARATORS, key=lambda s: (head[0].count(s), -SEPARATORS.index(s)))


def parse_columns(text: str) -> dict[str, str]:
    """Reads `label:diagnosis,group:patient_id`; an empty name says that there is no such column.

    Raises:
      UserError: A name on the left is none of the known columns.
    """
    chosen = {}
    for pair in (part for part in text.split(",") if part.strip()):
        ours, sign, theirs = pair.partition(":")
        if not sign or ours.strip() not in KNOWN:
            raise UserError(
                f"columns must be known:yours,..., where known is one of {', '.join(KNOWN)}, "
                f"got {pair!r}"
            )
        chosen[ours.strip()] = _plain(theirs)
    return chosen


def _plain(name: str) -> str:
    return " ".join(name.strip().lower().split())


def _renamed(path: pathlib.Path, columns: Sequence[str], chosen: Mapping[str, str]) -> list[str]:
    """Names the columns as the manifest knows them.

    Raises:
      UserError: A chosen column is not there, or one is left that means a known one.
    """
    plain = [_plain(name) for name in columns]
    if unknown := sorted({name for name in chosen.values() if name} - set(plain)):
        near = difflib.get_close_matches(unknown[0], plain) or plain
        raise UserError(f"{path}: columns: there is no {unknown[0]!r}; near: {', '.join(near)}")
    theirs = {name: ours for ours, name in chosen.items() if name}
    names = []
    for given, name in zip(columns, plain, strict=True):
        if name in KNOWN and name in chosen and chosen[name] != name:
            names.append(f"{name} (not used)")  # another column was chosen in its place
        else:
            known = name in KNOWN or name in DESCRIPTIVE
            names.append(theirs.get(name, name if known else given.strip()))
    _require_meant(path, names, chosen)
    return names


def _require_meant(path: pathlib.Path, names: list[str], chosen: Mapping[str, str]) -> None:
    """Refuses a table whose columns mean known ones by other names; says all of them at once."""
    asked, given = [], []
    for ours in ("path", "label", "group"):
        if ours in names or ours in chosen:
            continue
        words = SYNONYMS[ours]
        meant = [name for name in names if _plain(name).replace(" ", "_") in words]
        if meant:
            asked.append(f"no column {ours}, and {meant[0]!r} looks like it")
            given.append(f"{ours}:{meant[0]}")
        elif ours in REQUIRED:
            asked.append(f"no column {ours}; which of {', '.join(names)} names the files?")
            given.append(f"{ours}:NAME")
    if asked:
        raise UserError(
            f"{path}: there is {'; '.join(asked)}: add --columns={','.join(given)} (nothing behind "
            "a colon says that there is none)"
        )


def read_table(path: pathlib.Path, columns: str = "") -> tuple[list[Clip], list[str]]:
    """Reads a user's table.

    Args:
      path: Its file.
      columns: Which of its columns are meant; see `parse_columns`.

    Returns:
      Clips, and what a user should know about how the table was read.

    Raises:
      UserError: The table or a row is wrong; names the file and the line.
    """
    text, encoding = decode_text(path)
    separator = separator_of(text)
    reader = csv.DictReader(io.StringIO(text, newline=""), delimiter=separator)
    given = list(reader.fieldnames or [])
    names = _renamed(path, given, parse_columns(columns))
    reader.fieldnames = names
    clips = read_clips(reader, path)
    notes = []
    if any("\\" in clip.path for clip in clips) and not any("/" in clip.path for clip in clips):
        clips = [dataclasses.replace(clip, path=clip.path.replace("\\", "/")) for clip in clips]
        notes.append("paths were read as those of Windows, \\ as /")
    if encoding != "UTF-8" or separator != ",":
        named = {"\t": "tabs"}.get(separator, repr(separator))
        notes.append(f"the table was read as {encoding}, its columns separated by {named}")
    if changed := [f"{g.strip()} as {n}" for g, n in zip(given, names, strict=True) if g != n]:
        notes.append(f"columns read: {', '.join(changed)}")
    if others := [name for name in names if name not in KNOWN]:
        notes.append(f"columns that decide nothing and are kept: {', '.join(others)}")
    return clips, [*notes, *_notes_on_labels(clips), *_notes_on_splits(clips)]


def _may_be_one(a: str, b: str) -> bool:
    """Tells whether two names differ only by case, spaces or one more letter."""
    a, b = ("".join(name.lower().split()) for name in (a, b))
    if a == b:
        return True
    longer = abs(len(a) - len(b)) == 1 and min(len(a), len(b)) > 2
    return longer and difflib.SequenceMatcher(None, a, b).ratio() > LETTER


def _alike(names: Sequence[str]) -> list[list[str]]:
    """Lists sets of names that may be one."""
    found: list[list[str]] = []
    for name in names[:MOST_COMPARED]:
        near = [names for names in found if any(_may_be_one(name, other) for other in names)]
        if near:
            near[0].append(name)
        else:
            found.append([name])
    return [names for names in found if len(names) > 1]


def _notes_on_labels(clips: Sequence[Clip]) -> list[str]:
    counts = collections.Counter(clip.label for clip in clips if clip.label)
    notes = []
    for names in _alike(sorted(counts)):
        each = ", ".join(f"{name!r} {counts[name]}" for name in names)
        notes.append(f"labels that may be one: {each}")
    if rare := [f"{name!r} {n}" for name, n in counts.items() if n < RARE]:
        notes.append(f"labels of fewer than {RARE} clips: {', '.join(rare[:10])}")
    if counts and (without := sum(not clip.label for clip in clips)):
        notes.append(
            f"{without} of {len(clips)} clips have no label: they train without labels alone"
        )
    return notes


def _notes_on_splits(clips: Sequence[Clip]) -> list[str]:
    strange = []
    for name, n in collections.Counter(clip.split for clip in clips).items():
        near = difflib.get_close_matches(name, PARTS, 1, 0.6)
        if near and name not in PARTS:
            strange.append(f"{name!r} {n} (near {near[0]})")
    return [f"splits that may be misspelt: {', '.join(strange)}"] if strange else []
