"""Recordings to representations, window by window.

    cryjax embed runs/mine recordings/ --out=embeddings.parquet
    cryjax embed runs/mine "in/**/*.wav" more.csv --out=embeddings.npz

MODEL is the workdir of a training run, an export or a kept classifier. The ending of --out chooses
.parquet, .npz or .csv: path, start_s, end_s and one column (or a matrix h) of features. Recordings
that cannot be read are listed in <out>.quarantine.csv. Stopped, the same command continues.
--format=hoplite writes a database of perch-hoplite into the folder --out instead.
"""

import argparse
import sys

from cryjax.deploy.classifier import load
from cryjax.deploy.command import add_recordings, answer, job_of, out_of
from cryjax.deploy.hoplite import save_hoplite
from cryjax.deploy.recordings import joined, save_quarantine
from cryjax.deploy.table import ENDINGS, save
from cryjax.errors import UserError


def main(arguments: list[str] | None = None) -> int:
    """Runs the command; returns its status."""
    parser = argparse.ArgumentParser(
        "cryjax embed", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_recordings(parser, "embeddings.parquet")
    parser.add_argument(
        "--format", choices=["table", "hoplite"], default="table", help="hoplite: see above"
    )
    asked = parser.parse_args(arguments)
    return answer(lambda: _run(asked))


def _run(asked: argparse.Namespace) -> None:
    out = out_of(asked)
    if asked.format == "table" and out.suffix not in ENDINGS:
        raise UserError(f"--out must end in {', '.join(ENDINGS)}, got {out}")
    encoder = load(asked.model)
    job = job_of(encoder, asked)
    parts, bad = [], []
    for embedded, failed in job:
        parts.append(embedded)
        bad += failed
    if asked.format == "hoplite":
        save_hoplite(out, joined(parts), encoder)
    else:
        save(out, parts)
    save_quarantine(out.with_name(out.name + ".quarantine.csv"), bad)
    job.close()
    windows = sum(len(part.h) for part in parts)
    print(f"{windows} windows in {out}; {len(bad)} stretches could not be read")


if __name__ == "__main__":
    sys.exit(main())
