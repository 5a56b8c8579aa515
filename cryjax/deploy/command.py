"""What the commands share: their arguments, their errors, and where a stopped one continues."""

import argparse
import pathlib
import sys
from collections.abc import Callable

from cryjax.data.distribution import import_beam, part_of
from cryjax.deploy.job import Job
from cryjax.deploy.recordings import find
from cryjax.encoder import Encoder
from cryjax.errors import UserError


def add_recordings(parser: argparse.ArgumentParser, out: str) -> None:
    """Adds model, recordings, --out, and what decides where it runs."""
    parser.add_argument("model", metavar="MODEL", help="folder of an encoder or classifier")
    parser.add_argument("recordings", metavar="RECORDINGS", nargs="+", help="folders, files, CSVs")
    parser.add_argument("--out", default=out, help="what is written (default: %(default)s)")
    parser.add_argument(
        "--workers", type=int, default=2, help="processes that decode (default: %(default)s)"
    )
    parser.add_argument(
        "--part",
        default="0/1",
        help="i/n: every n-th recording from the i-th on, for n machines, each of which writes its "
        "own <out>-<i>-of-<n> (default: %(default)s)",
    )
    parser.add_argument(
        "--beam", metavar="RUNNER", help="runner of Apache Beam (DirectRunner, ...) for all of it"
    )
    parser.add_argument(
        "--beam_options", default="", help="its own, such as '--project=P --region=R'"
    )


def out_of(asked: argparse.Namespace) -> pathlib.Path:
    """Returns what is written: --out, or of a part a file of its own beside it."""
    out, (index, count) = pathlib.Path(asked.out), part_of(asked.part)
    return out if count == 1 else out.with_name(f"{out.stem}-{index}-of-{count}{out.suffix}")


def job_of(encoder: Encoder, asked: argparse.Namespace) -> Job:
    """Makes the job of a command; what is done of it is kept beside --out."""
    from cryjax.train import mesh

    mesh.keep_compiled()
    if asked.workers < 1:
        raise UserError(f"--workers must be at least 1, got {asked.workers}")
    out = out_of(asked)
    out.parent.mkdir(parents=True, exist_ok=True)
    kept = out.with_name(out.name + ".unfinished")
    clips, part = find(asked.recordings), part_of(asked.part)
    job = Job(encoder, clips, kept, workers=asked.workers, part=part)
    if asked.beam:
        beam = import_beam("cryjax.deploy.beam")
        source = beam.Source(asked.model, clips, kept, part)
        beam.embed(job, source, asked.beam, asked.beam_options)
    return job


def answer(run: Callable[[], None]) -> int:
    """Runs a command; a refusal is printed in one line and gives status 1."""
    from absl import logging

    logging.set_verbosity(logging.ERROR)  # Orbax warns of what only training checkpoints hold
    try:
        run()
    except (UserError, OSError) as error:
        print(f"cryjax: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("cryjax: stopped; the same command continues", file=sys.stderr)
        return 130
    return 0
