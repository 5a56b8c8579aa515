"""A folder of recordings (label = sub-folder), and a CSV of clips: your own data."""

import collections
import pathlib

from cryjax.data.leaks import has_groups
from cryjax.data.manifest import Clip
from cryjax.errors import UserError
from data_prep.corpus import CorpusRecipe, audio_files, require_clips
from data_prep.table import read_table


def find_folder(source: pathlib.Path, seed: int) -> list[Clip]:
    """Lists `<label>/**/<recording>`; files at the top have no label; recordings are groups."""
    del seed
    clips = []
    for name in audio_files(source):
        path = pathlib.PurePosixPath(name)
        label = path.parts[0] if len(path.parts) > 1 else ""
        clips.append(Clip(name, label=label, group=str(path.with_suffix(""))))
    return require_clips(clips, source, "<label>/<recording>.wav")


def find_csv(source: pathlib.Path, seed: int) -> list[Clip]:
    """Reads a manifest with columns path, start_s, end_s, label, group, split and any others."""
    del seed
    return read_table(source)[0]


def notes_on_reach(clips: list[Clip], root: pathlib.Path, *, refuse: bool) -> tuple[str, ...]:
    """Counts recordings outside of a folder, by absolute paths, by `..` or by links.

    Args:
      clips: What a table or a corpus names.
      root: The folder.
      refuse: Whether one such recording is one too many.

    Raises:
      UserError: There are some and they are refused.
    """
    home = root.resolve()
    paths = dict.fromkeys(clip.path for clip in clips if "\0" not in clip.path)
    outside = [p for p in paths if not (root / p).resolve().is_relative_to(home)]
    if outside and refuse:
        raise UserError(
            f"{len(outside)} recordings lie outside of {root}, such as {outside[0]}; move them in, "
            "or list them in a table of your own: --corpus=csv without --inside"
        )
    # notes go into reports, which say of no folder where it lies
    return (f"{len(outside)} recordings lie outside of {home.name}",) if outside else ()


def notes_on_groups(clips: list[Clip]) -> tuple[str, ...]:
    """Says what may be wrong with the groups of a table that somebody wrote by hand."""
    notes, alike = [], collections.defaultdict(set)
    for clip in clips:
        alike["".join(clip.group.lower().split())].add(clip.group)
    alone = sum(clip.group == clip.recording for clip in clips)
    if 0 < alone < len(clips):
        notes.append(
            f"NO GROUPS for {alone} of {len(clips)} clips: each recording is its own group"
        )
    if not has_groups(clips):
        notes.append(
            "NO GROUPS: the table has no column group, or another one for each file, so that each "
            "recording is its own group: of a baby, patient or speaker with several files some "
            "may train and some test"
        )
    for names in [sorted(names) for names in alike.values() if len(names) > 1][:5]:
        notes.append(f"groups that differ only by case or spaces: {', '.join(map(repr, names))}")
    return tuple(notes)


FOLDER = CorpusRecipe("folder", find_folder, group="recording")
CSV = CorpusRecipe("csv", find_csv, group="value of the column group")
