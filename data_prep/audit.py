"""Does anything leak? python -m data_prep.audit --data=DIR tells.

Ends with OK (status 0), LEAK (1) or CANNOT KNOW (2), where recordings have no groups.
"""

import argparse
import sys
from collections.abc import Sequence

from cryjax.data.leaks import LEAK, OK, UNKNOWN, audit
from cryjax.data.shards import load_shards
from data_prep.summary import by_split

STATUS = {OK: 0, LEAK: 1, UNKNOWN: 2}
MOST_SHOWN = 20


def describe(folder: str, columns: Sequence[str]) -> tuple[str, str]:
    """Writes what was looked at and found; returns the text and the verdict."""
    shards = load_shards(folder)
    clips, found = shards.clips, audit(shards.clips)
    lines = [f"{folder}: split {shards.info['split_rule']}"]
    lines.append(f"groups ({shards.info['group']}) in more than one split: {len(found.shared)}")
    shown = list(found.shared.items())[:MOST_SHOWN]
    lines += [f"  {group}: {', '.join(where)}" for group, where in shown]
    lines.append(f"identical audio in more than one split: {len(found.twice)}")
    lines += [
        "  " + " = ".join(f"{c.path} ({c.split})" for c in same)
        for same in found.twice[:MOST_SHOWN]
    ]
    for column in columns:
        if column == "label" or column in clips[0].extra:
            lines += ["", by_split(clips, column)]
    lines += ["", f"{found.verdict}: {found.reason}"]
    return "\n".join(lines), found.verdict


def main() -> int:
    """Runs the command; returns its status."""
    parser = argparse.ArgumentParser(
        "python -m data_prep.audit",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--data", required=True, help="a prepared folder")
    parser.add_argument(
        "--columns",
        default="label,site,device",
        help="columns to count by split (default: %(default)s)",
    )
    asked = parser.parse_args()
    try:
        text, verdict = describe(asked.data, asked.columns.split(","))
    except (ValueError, OSError) as error:
        print(f"audit: {error}", file=sys.stderr)
        return STATUS[LEAK]
    print(text)
    return STATUS[verdict]


if __name__ == "__main__":
    sys.exit(main())
