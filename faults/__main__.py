"""Kills, fills, truncates and flips, and prints a table: python -m faults [--out=DIR] [NAME ...].

Every fault is injected into a real run of 60 steps with a checkpoint every 6; a run survives when
it ends with the very losses of a run that nothing happened to. Exits with 1 where a promise is
broken.
"""

import pathlib
import sys
import tempfile
import time

from faults import checkpoints, data, deaths
from faults.runs import Hurt, Trial, make_corpus


def table(found: list[Hurt]) -> str:
    """As markdown."""
    rows = [
        "| fault | times | survived | lost steps, at most | promise | seen |",
        "|---|---|---|---|---|---|",
    ]
    for hurt in found:
        lost = "-" if hurt.lost is None else hurt.lost
        cells = (hurt.fault, hurt.times, hurt.survived, lost, hurt.promise, hurt.note)
        rows.append(f"| {' | '.join(map(str, cells))} |")
    return "\n".join(rows)


def main() -> int:
    """Runs all; the folder of all runs is printed first."""
    out = [a.partition("=")[2] for a in sys.argv[1:] if a.startswith("--out=")]
    root = pathlib.Path(out[0] if out else tempfile.mkdtemp(prefix="cryjax-faults-")).absolute()
    print(f"runs and what they said: {root}", flush=True)
    started, corpus = time.monotonic(), make_corpus(root / "corpus")
    straight = Trial(root / "straight", corpus)
    if not straight.finish()[0]:
        sys.exit(f"the run without a fault failed:\n{straight.said[-3000:]}")
    found: list[Hurt] = []
    wanted = [a for a in sys.argv[1:] if not a.startswith("--")]
    for fault in (*deaths.FAULTS, *checkpoints.FAULTS, *data.FAULTS):
        if not wanted or fault.__name__ in wanted:
            found += fault(root, corpus, straight.losses)
    print(f"\n{table(found)}\n\n{time.monotonic() - started:.0f} s in all")
    return int(any(hurt.survived < hurt.times for hurt in found))


if __name__ == "__main__":
    sys.exit(main())
