"""Does anything leak? python -m data_prep.audit --data=DIR; exits with 1 when something does."""

import sys
from collections.abc import Sequence

from absl import app, flags

from cryjax.data.duplicates import copies
from cryjax.data.manifest import LEFT_OUT, Clip

_DATA = flags.DEFINE_string("data", None, "A prepared folder.", required=True)
_COLUMNS = flags.DEFINE_list(
    "columns", ["label", "site", "device"], "Columns to tabulate by split."
)


def duplicates(clips: Sequence[Clip]) -> list[list[Clip]]:
    """Lists sets of clips in different splits whose decoded audio is the same."""
    kept = [clip for clip in clips if clip.split != LEFT_OUT]
    same = [[kept[i] for i in positions] for positions in copies(kept)]
    return [clips for clips in same if len({clip.split for clip in clips}) > 1]


def audit(folder: str, columns: Sequence[str]) -> tuple[str, int]:
    """Writes the report and counts leaks: shared groups, and copies in different splits."""
    from cryjax.data.shards import load_shards
    from cryjax.data.splits import shared_groups
    from data_prep.summary import by_split

    shards = load_shards(folder)
    clips = shards.clips
    shared, twice = shared_groups(clips), duplicates(clips)
    lines = [f"{folder}: split {shards.info['split_rule']}"]
    lines.append(f"groups ({shards.info['group']}) in more than one split: {len(shared)}")
    lines += [f"  {group}: {', '.join(where)}" for group, where in list(shared.items())[:20]]
    lines.append(f"identical audio in more than one split: {len(twice)}")
    lines += ["  " + " = ".join(f"{c.path} ({c.split})" for c in same) for same in twice[:20]]
    for column in columns:
        if column == "label" or column in clips[0].extra:
            lines += ["", by_split(clips, column)]
    return "\n".join(lines), len(shared) + len(twice)


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
