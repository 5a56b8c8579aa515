"""Recordings to scores and events, by a classifier that an evaluation kept.

    cryjax predict runs/judged/best/linear-seed0 recordings/ --out=scores.csv
    cryjax predict MODEL recordings/ --class=cry --specificity=0.95 --format=csv,audacity,raven

Writes scores.csv (every window: path, start_s, end_s, a probability for each class),
scores.recordings.csv (every recording: recalibrated probabilities, and whether it is of the class
at the operating point that was chosen on validation) and scores.events.csv (adjacent windows of the
class over the threshold); Audacity labels and Raven selection tables beside it where asked for.
Not a medical device.
"""

import argparse
import itertools
import pathlib
import sys
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from cryjax.data.manifest import save_csv
from cryjax.deploy.classifier import Classifier, load
from cryjax.deploy.command import add_recordings, answer, job_of
from cryjax.deploy.recordings import save_quarantine
from cryjax.errors import UserError

FORMATS = ("csv", "audacity", "raven")
RELEASE = 0.8  # share of the threshold below which an event ends


class Event(NamedTuple):
    """A stretch of adjacent windows.

    Attributes:
      start_s: Where it begins in seconds.
      end_s: Where it ends.
      score: Its highest probability.
    """

    start_s: float
    end_s: float
    score: float


def events_of(
    start_s: np.ndarray, end_s: np.ndarray, scores: np.ndarray, threshold: float, least_s: float
) -> list[Event]:
    """Joins windows into events with hysteresis.

    An event begins with a window at or above the threshold and goes on while adjacent windows are
    at or above RELEASE times the threshold.

    Args:
      start_s: (windows,) starts in seconds, rising.
      end_s: (windows,) ends.
      scores: (windows,) probabilities.
      threshold: Where an event begins.
      least_s: Shortest event that is kept.
    """
    found: list[Event] = []
    run: list[int] = []
    for i in range(len(scores)):
        adjacent = not run or start_s[i] <= end_s[run[-1]] + 1e-9
        if scores[i] >= RELEASE * threshold and adjacent:
            run.append(i)
            continue
        found += _closed(run, start_s, end_s, scores, threshold)
        run = [i] if scores[i] >= RELEASE * threshold else []
    found += _closed(run, start_s, end_s, scores, threshold)
    return [event for event in found if event.end_s - event.start_s >= least_s]


def _closed(
    run: list[int], start_s: np.ndarray, end_s: np.ndarray, scores: np.ndarray, threshold: float
) -> list[Event]:
    over = [i for i in run if scores[i] >= threshold]
    if not over:
        return []
    first, last = over[0], run[-1]
    return [Event(float(start_s[first]), float(end_s[last]), float(scores[first : last + 1].max()))]


def by_recording(paths: np.ndarray) -> Iterator[tuple[str, slice]]:
    """Yields every recording and its windows, which stand together."""
    edges = [0, *(np.flatnonzero(paths[1:] != paths[:-1]) + 1), len(paths)]
    for first, last in itertools.pairwise(edges):
        if last > first:
            yield str(paths[first]), slice(first, last)


def chosen_class(model: Classifier, name: str | None) -> str:
    """Decides which class events and decisions are of: the second of two, or the one named.

    Raises:
      UserError: There are several, and none was named.
    """
    if name is None and len(model.classes) == 2:
        return model.classes[1]
    if name not in model.classes:
        raise UserError(f"--class must be one of {', '.join(model.classes)}, got {name}")
    return str(name)


def main(arguments: list[str] | None = None) -> int:
    """Runs the command; returns its status."""
    parser = argparse.ArgumentParser(
        "cryjax predict", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_recordings(parser, "scores.csv")
    parser.add_argument("--class", dest="name", help="class of events and decisions")
    parser.add_argument(
        "--specificity",
        type=float,
        default=0.9,
        help="what the stored threshold kept on validation (default: %(default)s)",
    )
    parser.add_argument("--threshold", type=float, help="a probability instead")
    parser.add_argument(
        "--least_s", type=float, default=0.0, help="shortest event in seconds (default: 0)"
    )
    parser.add_argument(
        "--format", default="csv", help=f"of events: {', '.join(FORMATS)} (default: csv)"
    )
    asked = parser.parse_args(arguments)
    return answer(lambda: _run(asked))


def _run(asked: argparse.Namespace) -> None:
    out, formats = pathlib.Path(asked.out), asked.format.split(",")
    if out.suffix != ".csv" or not set(formats) <= set(FORMATS):
        raise UserError(f"--out must end in .csv, and --format be of {', '.join(FORMATS)}")
    model = load(asked.model)
    if not isinstance(model, Classifier):
        raise UserError(
            f"{asked.model} holds an encoder without a classifier; evaluate it with "
            "configs/transfer.py, then give best/<mode>-seed<k> of that workdir"
        )
    name = chosen_class(model, asked.name)
    threshold = asked.threshold
    if threshold is None:
        threshold = model.threshold(name, asked.specificity)
    job, index = job_of(model, asked), model.classes.index(name)
    windows, recordings, events, bad = [], [], [], []
    parts = list(job)
    for _, failed in parts:
        bad += failed
    paths, start_s, end_s, h = (np.concatenate([p[0][i] for p in parts]) for i in range(4))
    scores = model.score_windows(h)
    for path, mine in by_recording(paths):
        overall = model.score_recording(scores[mine])
        named = dict(zip(model.classes, (f"{p:.6f}" for p in overall), strict=True))
        recordings.append({"path": path, **named, f"is {name}": str(overall[index] >= threshold)})
        for start, end, row in zip(start_s[mine], end_s[mine], scores[mine], strict=True):
            values = dict(zip(model.classes, (f"{p:.6f}" for p in row), strict=True))
            windows.append(
                {"path": path, "start_s": f"{start:.3f}", "end_s": f"{end:.3f}"} | values
            )
        found = events_of(start_s[mine], end_s[mine], scores[mine, index], threshold, asked.least_s)
        events += [(path, event) for event in found]
    save_csv(out, windows, ("path", "start_s", "end_s", *model.classes))
    save_csv(out.with_suffix(".recordings.csv"), recordings, ("path", *model.classes, f"is {name}"))
    _save_events(out, events, name, formats)
    save_quarantine(out.with_name(out.name + ".quarantine.csv"), bad)
    job.close()
    called = sum(row[f"is {name}"] == "True" for row in recordings)
    print(
        f"{called} of {len(recordings)} recordings are {name!r} at a threshold of {threshold:.3f}; "
        f"{len(events)} events, {len(windows)} windows; {len(bad)} stretches could not be read\n"
        f"{out}, {out.with_suffix('.recordings.csv').name}, {out.with_suffix('.events.csv').name}"
    )


def _save_events(
    out: pathlib.Path, events: list[tuple[str, Event]], name: str, formats: list[str]
) -> None:
    """Writes events as a table, and per recording as Audacity labels or Raven selections."""
    rows: list[dict[str, Any]] = [
        {
            "path": path,
            "start_s": f"{event.start_s:.3f}",
            "end_s": f"{event.end_s:.3f}",
            "label": name,
            "score": f"{event.score:.6f}",
        }
        for path, event in events
    ]
    save_csv(out.with_suffix(".events.csv"), rows, ("path", "start_s", "end_s", "label", "score"))
    folder = out.with_suffix("")
    for path in dict.fromkeys(path for path, _ in events):
        mine = [event for other, event in events if other == path]
        safe = path.replace("/", "_").replace("\\", "_").lstrip("._")
        if "audacity" in formats:
            lines = [f"{e.start_s:.6f}\t{e.end_s:.6f}\t{name} {e.score:.2f}" for e in mine]
            folder.mkdir(exist_ok=True)
            (folder / f"{safe}.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
        if "raven" in formats:
            head = "Selection\tView\tChannel\tBegin Time (s)\tEnd Time (s)\tAnnotation\tScore"
            lines = [
                f"{i}\tSpectrogram 1\t1\t{e.start_s:.6f}\t{e.end_s:.6f}\t{name}\t{e.score:.4f}"
                for i, e in enumerate(mine, 1)
            ]
            folder.mkdir(exist_ok=True)
            raven = folder / f"{safe}.selections.txt"
            raven.write_text("\n".join([head, *lines]) + "\n", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
