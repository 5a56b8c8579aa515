"""A folder of recordings (label = sub-folder), and a CSV of clips: your own data."""

import pathlib

from cryjax.data.manifest import Clip, load_manifest
from data_prep.corpus import CorpusRecipe, audio_files, require_clips


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
    return load_manifest(source)


FOLDER = CorpusRecipe("folder", find_folder, group="recording")
CSV = CorpusRecipe("csv", find_csv, group="column group")
