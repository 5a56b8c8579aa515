"""Does anything leak? python -m data_prep.audit --data=DIR; exits with 1 when something does."""

import collections
import sys
from collections.abc import Sequence

from absl import app, flags

_DATA = flags.DEFINE_string("data", None, "A prepared folder.", required=True)
_COLUMNS = flags.DEFINE_list(
    "columns", ["label", "site", "device"], "Columns to tabulate by split."
)


def duplicates(clips) -> list[list]:
    """Sets of clips in different splits whose decoded audio is the same, sample by sample."""
    same = collections.defaultdict(list)
    for clip in clips:
        same[clip.extra["audio_sha256"]].append(clip)
    return [found for found in same.values() if len({clip.split for clip in found}) > 1]


def audit(folder: str, columns: Sequence[str]) -> tuple[str, int]:
    """The report as text and the number of leaks: shared groups and cross-split duplicates."""
    from cryjax.data.shards import load_shards
    from cryjax.data.splits import shared_groups
    from data_prep.summary import by_split

    shards = load_shards(folder)
    clips = shards.clips
    shared, copies = shared_groups(clips), duplicates(clips)
    lines = [f"{folder}: split {shards.info['split_rule']}"]
    lines.append(f"groups ({shards.info['group']}) in more than one split: {len(shared)}")
    lines += [f"  {group}: {', '.join(where)}" for group, where in list(shared.items())[:20]]
    lines.append(f"identical audio in more than one split: {len(copies)}")
    lines += ["  " + " = ".join(f"{c.path} ({c.split})" for c in same) for same in copies[:20]]
    for column in columns:
        if column == "label" or column in clips[0].extra:
            lines += ["", by_split(clips, column)]
    return "\n".join(lines), len(shared) + len(copies)


def _main(argv: Sequence[str]) -> None:
    del argv
    try:
        text, leaks = audit(_DATA.value, _COLUMNS.value)
    except (ValueError, OSError) as error:
        sys.exit(f"audit: {error}")
    print(text)
    if leaks:
        sys.exit(f"audit: {leaks} leaks; scores on this split are not to be trusted")


if __name__ == "__main__":
    app.run(_main)
