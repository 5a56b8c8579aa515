"""Recordings to scores and events, by a classifier that an evaluation kept.

    cryjax predict runs/judged/best/linear-seed0 recordings/ --out=scores.csv
    cryjax predict MODEL recordings/ --class=cry --specificity=0.95 --format=csv,audacity,raven

Writes scores.csv (every window: path, start_s, end_s, a probability for each class),
scores.recordings.csv (every recording: probabilities, and whether it is of the class at the
operating point that was chosen on validation) and scores.events.csv (adjacent windows of the class
over the threshold); Audacity labels and Raven selection tables beside it where asked for. All
probabilities are recalibrated on validation, as the threshold is. Not a medical device.
"""

import argparse
import hashlib
import itertools
import pathlib
import sys
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import numpy as np

from cryjax.data.manifest import save_csv, save_rows
from cryjax.deploy.classifier import Classifier, load
from cryjax.deploy.command import add_recordings, answer, job_of, out_of
from cryjax.deploy.recordings import Embedded, joined, save_quarantine
from cryjax.errors import UserError

FORMATS = ("csv", "audacity", "raven")
EVENT = ("path", "start_s", "end_s", "label", "score")
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
        adjacent = not run or start_s[i] <= end_s[run].max() + 1e-9
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
    kept = slice(over[0], run[-1] + 1)
    return [Event(float(start_s[over[0]]), float(end_s[kept].max()), float(scores[kept].max()))]


def by_recording(parts: Iterable[Embedded]) -> Iterator[Embedded]:
    """Yields the windows of every recording together, from parts in which they stand in order."""
    held: list[Embedded] = []
    for part in parts:
        edges = [0, *(np.flatnonzero(part.path[1:] != part.path[:-1]) + 1), len(part.path)]
        for first, last in itertools.pairwise(edges):
            piece = Embedded(*(column[first:last] for column in part))
            if held and len(piece.path) and held[0].path[0] != piece.path[0]:
                yield joined(held)
                held = []
            held += [piece] if len(piece.path) else []
    if held:
        yield joined(held)


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
    out, formats = out_of(asked), asked.format.split(",")
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
    job, bad = job_of(model, asked), []
    found = _Results(model, name, threshold, asked.least_s, out.with_suffix(""), formats)
    parts = (_noted(part, failed, bad) for part, failed in job)
    lines = (line for one in by_recording(parts) for line in found.add(one))
    windows = save_rows(out, lines, ("path", "start_s", "end_s", *model.classes))
    save_csv(
        out.with_suffix(".recordings.csv"), found.recordings, ("path", *model.classes, f"is {name}")
    )
    save_csv(out.with_suffix(".events.csv"), found.events, EVENT)
    save_quarantine(out.with_name(out.name + ".quarantine.csv"), bad)
    job.close()
    called = sum(row[f"is {name}"] == "True" for row in found.recordings)
    print(
        f"{called} of {len(found.recordings)} recordings are {name!r} at a threshold of "
        f"{threshold:.3f}; {len(found.events)} events, {windows} windows; {len(bad)} stretches "
        f"could not be read\n"
        f"{out}, {out.with_suffix('.recordings.csv').name}, {out.with_suffix('.events.csv').name}"
    )


def _noted(part: Embedded, failed: list[dict[str, str]], bad: list[dict[str, str]]) -> Embedded:
    bad += failed
    return part


class _Results:
    """Collects recordings and events, and writes a recording's events for other programs."""

    def __init__(
        self,
        model: Classifier,
        name: str,
        threshold: float,
        least_s: float,
        folder: pathlib.Path,
        formats: list[str],
    ):
        self._model, self._name, self._threshold = model, name, threshold
        self._least_s, self._folder, self._formats = least_s, folder, formats
        self._files: dict[str, str] = {}  # recording by the name of its files
        self.recordings: list[dict[str, Any]] = []
        self.events: list[dict[str, Any]] = []

    def add(self, one: Embedded) -> Iterator[dict[str, Any]]:
        """Takes the windows of a recording; yields a row for each."""
        model, name, path = self._model, self._name, str(one.path[0])
        index, raw = model.classes.index(name), model.score_windows(one.h)
        overall, scores = model.score_recording(raw), model.recalibrate(raw)
        row = {"path": path, **_percents(model.classes, overall)}
        self.recordings.append(row | {f"is {name}": str(overall[index] >= self._threshold)})
        found = events_of(one.start_s, one.end_s, scores[:, index], self._threshold, self._least_s)
        for event in found:
            times = (f"{event.start_s:.3f}", f"{event.end_s:.3f}")
            values = (path, *times, name, f"{event.score:.6f}")
            self.events.append(dict(zip(EVENT, values, strict=True)))
        self._save_for_others(path, found)
        for start, end, p in zip(one.start_s, one.end_s, scores, strict=True):
            times = {"start_s": f"{start:.3f}", "end_s": f"{end:.3f}"}
            yield {"path": path} | times | _percents(model.classes, p)

    def _save_for_others(self, path: str, events: list[Event]) -> None:
        """Writes events as Audacity labels and Raven selections; without events there is no file.

        What an earlier run left of the recording is removed. Recordings whose names differ in their
        separators alone have files that differ in a hash.
        """
        safe = path.replace("/", "_").replace("\\", "_").lstrip("._")
        if self._files.setdefault(safe, path) != path:
            safe += f"-{hashlib.sha256(path.encode(errors='replace')).hexdigest()[:8]}"
        name, texts = self._name, dict[str, list[str]]()
        if "audacity" in self._formats:
            lines = [f"{e.start_s:.6f}\t{e.end_s:.6f}\t{name} {e.score:.2f}" for e in events]
            texts[f"{safe}.txt"] = lines
        if "raven" in self._formats:
            head = "Selection\tView\tChannel\tBegin Time (s)\tEnd Time (s)\tAnnotation\tScore"
            lines = [
                f"{i}\tSpectrogram 1\t1\t{e.start_s:.6f}\t{e.end_s:.6f}\t{name}\t{e.score:.4f}"
                for i, e in enumerate(events, 1)
            ]
            texts[f"{safe}.selections.txt"] = [head, *lines]
        for file, lines in texts.items():
            if events:
                self._folder.mkdir(exist_ok=True)
                (self._folder / file).write_text("\n".join(lines) + "\n", encoding="utf-8")
            else:
                (self._folder / file).unlink(missing_ok=True)


def _percents(classes: list[str], scores: np.ndarray) -> dict[str, str]:
    return dict(zip(classes, (f"{p:.6f}" for p in scores), strict=True))


if __name__ == "__main__":
    sys.exit(main())
