"""What a prepared folder holds, as text for the screen, for summary.txt and for the audit."""

import collections
from collections.abc import Iterable, Sequence

from cryjax.data.manifest import Clip
from cryjax.data.shards import ShardSet


def table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Writes rows as aligned text columns."""
    cells = [[str(c) for c in row] for row in (header, *rows)]
    widths = [max(len(row[i]) for row in cells) for i in range(len(header))]
    return "\n".join(
        "  ".join(c.ljust(w) for c, w in zip(r, widths, strict=True)).rstrip() for r in cells
    )


def by_split(clips: Sequence[Clip], column: str) -> str:
    """Counts the clips of every value of a column in every split, as a table."""
    splits = sorted({clip.split for clip in clips})
    counts = collections.Counter((clip.column(column), clip.split) for clip in clips)
    values = sorted({value for value, _ in counts})
    rows = [[v or "(none)", *(counts[v, s] for s in splits)] for v in values]
    return table([column, *splits], rows)


def _totals(clips: Sequence[Clip], split: str) -> list[object]:
    mine = [clip for clip in clips if split in ("all", clip.split)]
    hours = sum(float(clip.extra["seconds"]) for clip in mine) / 3600
    recordings, groups = {clip.recording for clip in mine}, {clip.group for clip in mine}
    return [split, len(mine), len(recordings), len(groups), f"{hours:.2f}"]


def summarise(shards: ShardSet) -> str:
    """Counts clips, hours, groups and classes by split, rates, flags and quarantined files."""
    clips, info = shards.clips, shards.info
    splits = [*sorted({clip.split for clip in clips}), "all"]
    rates = collections.Counter(clip.extra["native_rate_hz"] for clip in clips)
    flags = collections.Counter(f for clip in clips for f in clip.extra["flags"].split())
    lines = [
        f"corpus {info['corpus']}, spec {shards.spec.name}, group = {info['group']}",
        f"split: {info['split_rule']}",
        *(f"  {note}" for note in info.get("notes", [])),
        f"licence: {info['licence']}",
        "",
        table(
            ["split", "clips", "recordings", "groups", "hours"], [_totals(clips, s) for s in splits]
        ),
        "",
        by_split(clips, "label"),
        "",
        "native rates: " + ", ".join(f"{rate} Hz: {n}" for rate, n in sorted(rates.items())),
        "flagged: "
        + ", ".join(
            f"{name} {flags[name]}" for name in ("clipped", "silent", "short", "short_tail")
        ),
        f"quarantined: {info['quarantined']} (quarantine.csv)",
    ]
    return "\n".join(lines)
