"""Several evaluations in one table and one figure, with differences paired by group.

    cryjax compare runs/judged runs/judged_adapted --modes=linear,finetune --metric=auc

Each RUN is the workdir of an evaluation of the same test recordings; the first is what the others
are compared with. Written are comparison.md, .csv and .html.
"""

import argparse
import pathlib
import sys

from cryjax.deploy.command import answer
from cryjax.errors import UserError


def main(arguments: list[str] | None = None) -> int:
    """Runs the command; returns its status."""
    parser = argparse.ArgumentParser(
        "cryjax compare", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("runs", metavar="RUN", nargs="+", help="workdirs of evaluations")
    parser.add_argument("--modes", default="", help="modes that are shown (default: all shared)")
    parser.add_argument(
        "--metric", default="balanced_accuracy", help="of differences (default: %(default)s)"
    )
    parser.add_argument(
        "--out", default="comparison", help="files' name without ending (default: %(default)s)"
    )
    asked = parser.parse_args(arguments)
    return answer(lambda: _run(asked))


def _run(asked: argparse.Namespace) -> None:
    from cryjax.evaluate.report.compare import compare, save

    if len(asked.runs) < 2:
        raise UserError("a comparison needs two runs at least")
    out = pathlib.Path(asked.out)
    modes = [mode for mode in asked.modes.split(",") if mode]
    rows = compare([pathlib.Path(run) for run in asked.runs], modes, asked.metric)
    print(save(rows, asked.metric, out))
    print(f"{out.with_suffix('.html')}, .md and .csv")


if __name__ == "__main__":
    sys.exit(main())
