"""What a corpus recipe is: a reader of clips, its default split and its licence."""

import dataclasses
import pathlib
from collections.abc import Callable, Iterable

from cryjax.audio.decode import AUDIO_SUFFIXES
from cryjax.data.manifest import Clip


@dataclasses.dataclass(frozen=True)
class Corpus:
    """A recipe.

    Attributes:
      name: Of `--corpus`.
      find: (source folder or file, seed) to clips; raises ValueError with the expected layout.
      group: What a group is, in a word or two, for tables.
      split: Default of `--split`.
      licence: Of the recordings, as its source states it.
      make: Writes the recordings where the corpus is made by code; (folder, seed).
    """

    name: str
    find: Callable[[pathlib.Path, int], list[Clip]]
    group: str
    split: str = "holdout"
    licence: str = "unknown: ask whoever recorded it"
    make: Callable[[pathlib.Path, int], None] | None = None


def audio_files(root: pathlib.Path, suffixes: Iterable[str] = AUDIO_SUFFIXES) -> list[str]:
    """Audio files below a folder, hidden ones left out, as sorted relative posix paths."""
    if not root.is_dir():
        raise ValueError(f"{root} is not a folder")
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
        raise ValueError(f"{source}: no clips found; the layout expected there is {layout}")
    return clips
