"""Kills, fills, truncates and flips, and prints a table.

Every fault is injected into a real run of 60 steps with a checkpoint every 6; a run survives when
it ends with the very losses of a run that nothing happened to. Exits with 1 where a promise is
broken.
"""

import argparse
import pathlib
import sys
import tempfile
import time

from faults import checkpoints, data, deaths, folders
from faults.runs import Hurt, Trial, make_corpus


def table(found: list[Hurt]) -> str:
    """Writes the faults as a table in Markdown."""
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
    """Injects all faults, or those named; the folder of the runs is printed first."""
    every = (deaths, checkpoints, data, folders)
    faults = {fault.__name__: fault for module in every for fault in module.FAULTS}
    names = ", ".join(faults)
    parser = argparse.ArgumentParser("python -m faults", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"all, or of {names}")
    parser.add_argument("--out", help="folder of the runs; a temporary one by default")
    asked = parser.parse_args()
    if unknown := set(asked.names) - set(faults):
        parser.error(f"no fault is called {', '.join(unknown)}; there are: {names}")
    root = pathlib.Path(asked.out or tempfile.mkdtemp(prefix="cryjax-faults-")).absolute()
    print(f"runs and what they said: {root}", flush=True)
    started, corpus = time.monotonic(), make_corpus(root / "corpus")
    straight = Trial(root / "straight", corpus)
    if not straight.finish()[0]:
        sys.exit(f"the run without a fault failed:\n{straight.said[-3000:]}")
    found: list[Hurt] = []
    for name in asked.names or faults:
        found += faults[name](root, corpus, straight.losses)
    print(f"\n{table(found)}\n\n{time.monotonic() - started:.0f} s in all")
    return int(any(hurt.survived < hurt.times for hurt in found))


if __name__ == "__main__":
    sys.exit(main())
