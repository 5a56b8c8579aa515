"""All benchmarks of this machine, one after another, into a table that keeps other machines'.

    python -m benchmarks.all [RECORDINGS] [name ...]     needs torch and pillow; 29 to 45 minutes

RECORDINGS is a folder with esc10, esc50 and donateacry, for the rows that read real files; names
choose rows. Every row states what bounds it on this processor, measured in turns with it, as a
share: 50 % is half of what could be. Results are kept in docs/benchmarks/<processor>.json, and the
table in docs/benchmarks.md is written anew from all files there.
"""

import json
import os
import pathlib
import re
import statistics
import subprocess
import sys
import tempfile
import time
from typing import Any

from benchmarks.timing import LIMIT, RECORDS, answer_help, processor

DOCS = pathlib.Path(__file__).parent.parent / "docs"
MARKS = ("<!-- written by benchmarks.all -->", "<!-- end -->")
ROWS: dict[str, tuple[str, ...]] = {  # {} stands for RECORDINGS
    "logmel": ("logmel",),
    "augmentation": ("augmentation",),
    "batches": ("batches",),
    "neighbours": ("neighbours",),
    "simclr": ("simclr", "resnet18", "vgg", "crnn"),
    "probes": ("probes",),
    "ntxent": ("ntxent", "4096"),
    "preparation": ("preparation", "{}/esc10"),
    "preparation 2000": ("preparation", "{}/esc10", "2000"),
    "preparation wav": ("preparation", "{}/donateacry"),
    "embed": ("embed", "{}/esc50", "vgg"),
    "accuracy": ("accuracy", "{}/esc50"),
}


def measured(command: tuple[str, ...], recordings: str) -> list[dict[str, Any]]:
    """Runs a benchmark and returns the records of its reports; one that fails says so."""
    with tempfile.NamedTemporaryFile("r", suffix=".jsonl") as file:
        name, *given = (part.format(recordings) for part in command)
        done = subprocess.run(
            [sys.executable, "-m", f"benchmarks.{name}", *given],
            env={**os.environ, RECORDS: file.name},
            check=False,
        )
        if done.returncode:
            print(f"{' '.join(command)} failed", flush=True)
        return [json.loads(line) for line in file.read().splitlines()]


def cell(record: dict[str, Any]) -> str:
    """Writes a record as "ours; beside: ratio, …; share of its limit"."""
    middle = {name: statistics.median(took) for name, took in record["seconds"].items()}
    ours = next(iter(middle.values()))
    low, high = (end(next(iter(record["seconds"].values()))) for end in (min, max))
    parts = [f"{ours:.3g} s ({low:.3g} to {high:.3g})"]
    for name, took in list(middle.items())[1:]:
        if name.startswith(LIMIT):
            parts.append(f"{100 * took / ours:.0f} % of {name.removeprefix(LIMIT)}")
        else:
            parts.append(f"**{took / ours:.2f} x** {name}")
    return "; ".join(parts) + f" ({record['date']})"


def table(kept: dict[str, dict[str, list[dict[str, Any]]]]) -> str:
    """Writes a Markdown table: a line for each report, a column for each processor."""
    titles = {
        (name, record["title"]): None
        for rows in kept.values()
        for name, records in rows.items()
        for record in records
    }
    lines = [
        f"| `python -m benchmarks.` | work | {' | '.join(kept)} |",
        "|---" * (2 + len(kept)) + "|",
    ]
    for name, title in titles:
        cells = []
        for rows in kept.values():
            found = [r for r in rows.get(name, []) if r["title"] == title]
            cells.append(cell(found[-1]) if found else "")
        command = " ".join(ROWS[name]).format("DIR") if name in ROWS else name
        lines.append(f"| `{command}` | {title} | {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> None:
    """Runs as the module's docstring describes."""
    answer_help()
    recordings = next(iter(sys.argv[1:]), "")
    chosen = sys.argv[2:] or list(ROWS)
    name = processor()
    path = DOCS / "benchmarks" / f"{re.sub('[^a-z0-9]+', '-', name.lower()).strip('-')}.json"
    path.parent.mkdir(exist_ok=True)
    rows = json.loads(path.read_text(encoding="utf-8"))["rows"] if path.exists() else {}
    started = time.perf_counter()
    for row in chosen:
        if not recordings and any("{}" in part for part in ROWS[row]):
            print(f"{row}: left out, it reads RECORDINGS")
            continue
        if records := measured(ROWS[row], recordings):
            rows[row] = records
        path.write_text(
            json.dumps({"processor": name, "rows": rows}, indent=1) + "\n", encoding="utf-8"
        )
    files = [json.loads(p.read_text(encoding="utf-8")) for p in sorted(path.parent.glob("*.json"))]
    text, page = table({f["processor"]: f["rows"] for f in files}), DOCS / "benchmarks.md"
    before, _, rest = page.read_text(encoding="utf-8").partition(MARKS[0])
    after = rest.partition(MARKS[1])[2]
    page.write_text(f"{before}{MARKS[0]}\n\n{text}\n\n{MARKS[1]}{after}", encoding="utf-8")
    print(f"{page}: {len(chosen)} rows in {time.perf_counter() - started:.0f} s")


if __name__ == "__main__":
    main()
