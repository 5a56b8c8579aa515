"""Does a prepared split leak: groups or identical recordings on both sides, or nobody knows."""

import collections
import pathlib
from collections.abc import Sequence
from typing import NamedTuple

from cryjax.data.duplicates import copies
from cryjax.data.manifest import LEFT_OUT, Clip
from cryjax.data.splits import shared_groups

OK, LEAK, UNKNOWN = "OK", "LEAK", "CANNOT KNOW"


class Audit(NamedTuple):
    """What is known about leaks between the splits of a prepared folder.

    Attributes:
      verdict: OK, LEAK or CANNOT KNOW.
      reason: Why, in a sentence.
      shared: Splits by each group that is in several.
      twice: Sets of clips in different splits whose decoded audio is the same.
    """

    verdict: str
    reason: str
    shared: dict[str, list[str]]
    twice: list[list[Clip]]


def duplicates(clips: Sequence[Clip]) -> list[list[Clip]]:
    """Lists sets of clips in different splits whose decoded audio is the same."""
    kept = [clip for clip in clips if clip.split != LEFT_OUT]
    same = [[kept[i] for i in positions] for positions in copies(kept)]
    return [clips for clips in same if len({clip.split for clip in clips}) > 1]


def _alone(clips: Sequence[Clip]) -> list[bool]:
    """Tells of each clip whether its group says no more than its file's name."""
    recordings = collections.defaultdict(set)
    for clip in clips:
        recordings[clip.group].add(clip.recording)
    found = []
    for clip in clips:
        path = pathlib.PurePosixPath(clip.path)
        named = clip.group in (clip.recording, clip.path, path.name, path.stem)
        found.append(named and len(recordings[clip.group]) == 1)
    return found


def has_groups(clips: Sequence[Clip]) -> bool:
    """Tells whether a group is anywhere more than a recording, whatever it is called."""
    return not all(_alone(clips))


def audit(clips: Sequence[Clip]) -> Audit:
    """Looks for groups and for identical recordings in more than one split.

    Where no group is more than a recording, or some recordings have no group, nothing is known
    about who is on both sides, however clean the rest is.
    """
    shared, twice = shared_groups(clips), duplicates(clips)
    alone = sum(_alone(clips))
    verdict, reason = OK, "no group and no identical recording is in more than one split"
    if shared or twice:
        found = f"{len(shared)} groups and {len(twice)} recordings are in more than one split"
        verdict, reason = LEAK, f"{found}; scores on this split are not to be trusted"
    elif alone == len(clips):
        verdict, reason = UNKNOWN, "no recording has a group: who is on both sides is not known"
    elif alone:
        reason = f"{alone} of {len(clips)} clips have no group: who they are of is not known"
        verdict = UNKNOWN
    return Audit(verdict, reason, shared, twice)
