"""What a corpus recipe is: a reader of clips, its default split and its licence."""

import csv
import dataclasses
import pathlib
from collections.abc import Callable, Iterable, Iterator

from cryjax.audio.decode import AUDIO_SUFFIXES
from cryjax.data.manifest import Clip
from cryjax.errors import UserError


@dataclasses.dataclass(frozen=True)
class Archive:
    """A file that a source lets anybody download.

    Attributes:
      url: Where it is.
      checksum: "sha256:..." or "md5:...", as published with it.
    """

    url: str
    checksum: str


@dataclasses.dataclass(frozen=True)
class CorpusRecipe:
    """A recipe.

    Attributes:
      name: Name for `--corpus`.
      find: (source folder or file, seed) to clips; raises ValueError with the expected layout.
      group: What a group is, in a word or two, for tables.
      split: Default of `--split`.
      licence: Licence of the recordings, as their source states it.
      make: Writes the recordings where they are made by code or from those of a source;
        (folder, seed, source).
      made_by_code: Whether it needs no source.
      expected: Clips of the whole corpus by split or part, as its publication counts them; "all"
        is their number.
      archives: That --download fetches; none where the source asks for a form or a login.
    """

    name: str
    find: Callable[[pathlib.Path, int], list[Clip]]
    group: str
    split: str = "holdout"
    licence: str = "unknown: ask whoever recorded it"
    make: Callable[[pathlib.Path, int, str | None], None] | None = None
    made_by_code: bool = False
    expected: dict[str, int] = dataclasses.field(default_factory=dict)
    archives: tuple[Archive, ...] = ()

    def counted(self, clips: Iterable[Clip]) -> str:
        """Compares expected and found counts, one line a part; "" where nothing is expected."""
        found = {"all": 0}
        for clip in clips:
            found["all"] += 1
            found[clip.split] = found.get(clip.split, 0) + 1
        lines = [
            f"  {part}: expected {n:,}, found {found.get(part, 0):,}"
            + ("" if found.get(part, 0) == n else "  (differs)")
            for part, n in self.expected.items()
        ]
        return "\n".join([f"clips of {self.name}:", *lines]) if lines else ""


def audio_files(root: pathlib.Path, suffixes: Iterable[str] = AUDIO_SUFFIXES) -> list[str]:
    """Lists audio files below a folder, without hidden ones, as sorted relative posix paths."""
    if not root.is_dir():
        raise UserError(f"{root} is not a folder")
    wanted = set(suffixes)
    found = [
        path.relative_to(root)
        for path in root.rglob("*")
        if path.suffix.lower() in wanted and path.is_file()
    ]
    return sorted(p.as_posix() for p in found if not any(part[0] == "." for part in p.parts))


def require_clips(clips: list[Clip], source: pathlib.Path, layout: str) -> list[Clip]:
    """Refuses an empty find: a wrong path must not end as an empty corpus."""
    if not clips:
        raise UserError(f"{source}: no clips found; the layout expected there is {layout}")
    return clips


def require_file(path: pathlib.Path, layout: str) -> pathlib.Path:
    """Returns the path of a file that must be there."""
    if not path.exists():
        raise UserError(f"{path} is missing; the layout expected there is {layout}")
    return path


def rows_of(path: pathlib.Path, layout: str, **options) -> Iterator[dict[str, str]]:
    """Rows of a table that must be there; options are those of `csv.DictReader`."""
    with require_file(path, layout).open(newline="", encoding="utf-8") as file:
        yield from csv.DictReader(file, **options)
