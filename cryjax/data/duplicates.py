"""Exact copies: recordings whose decoded samples are the same must not be on both sides."""

import collections
import dataclasses
from collections.abc import Sequence

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from cryjax.data.manifest import LEFT_OUT, Clip
from cryjax.errors import UserError

HANDLING = ("group", "drop", "keep")


def copies(clips: Sequence[Clip]) -> list[list[int]]:
    """Lists the sets of clips, by position, whose decoded audio is the same sample by sample.

    Silent clips are no copies of each other; see `Clip.audio`.
    """
    same = collections.defaultdict(list)
    for position, clip in enumerate(clips):
        if clip.audio:
            same[clip.audio].append(position)
    return [positions for positions in same.values() if len(positions) > 1]


def handle_copies(clips: list[Clip], handling: str) -> tuple[list[Clip], list[str]]:
    """Makes copies safe before a split is drawn.

    Args:
      clips: Prepared clips with `audio_sha256`.
      handling: "group" merges the groups of copies into one, named as the first of them by
        alphabet, and keeps each clip's own group in the column `group_before_merge`; "drop"
        leaves out all copies but the first; "keep" changes nothing.

    Returns:
      The clips, and notes for the summary.

    Raises:
      UserError: The handling is unknown.
    """
    if handling not in HANDLING:
        raise UserError(f"duplicates must be one of {', '.join(HANDLING)}, got {handling!r}")
    found = copies(clips)
    if not found:
        return clips, []
    extra = sum(len(positions) - 1 for positions in found)
    disagree = sum(len({clips[i].label for i in positions}) > 1 for positions in found)
    labels = f"; {disagree} of these recordings have copies with another label" if disagree else ""
    first = f"{extra} clips are exact copies of {len(found)} others"
    if handling == "keep":
        return clips, [f"{first}, kept as they are{labels}"]
    if handling == "drop":
        dropped = {i for positions in found for i in positions[1:]}
        kept = [
            dataclasses.replace(clip, split=LEFT_OUT) if i in dropped else clip
            for i, clip in enumerate(clips)
        ]
        return kept, [f"{first} and left out{labels}"]
    merged = _merged_groups(clips, found)
    changed = [
        dataclasses.replace(
            clip,
            group=merged[clip.group],
            extra=clip.extra | {"group_before_merge": clip.group},
        )
        if clip.group in merged
        else clip
        for clip in clips
    ]
    what = f"{len(merged)} groups became {len(set(merged.values()))}" if merged else "same groups"
    return changed, [f"{first}; {what}{labels}"]


def _merged_groups(clips: Sequence[Clip], found: Sequence[Sequence[int]]) -> dict[str, str]:
    """Maps every group that shares a copy with another one to the name of the joint group."""
    names, group_of = np.unique([clip.group for clip in clips], return_inverse=True)
    pairs = [(group_of[p[0]], group_of[i]) for p in found for i in p[1:]]
    rows, columns = np.array(pairs).T
    graph = coo_array((np.ones(len(rows)), (rows, columns)), shape=(len(names), len(names)))
    _, part = connected_components(graph, directed=False)
    sizes = np.bincount(part)
    first = {p: str(name) for p, name in zip(part[::-1], names[::-1], strict=True)}
    return {str(n): first[p] for n, p in zip(names, part, strict=True) if sizes[p] > 1}
