"""Several evaluations of the same test recordings, side by side, by their predictions alone."""

import csv
import pathlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from cryjax.data.manifest import save_csv
from cryjax.errors import UserError
from cryjax.evaluate.estimates import Run, by_fold, difference, estimate
from cryjax.evaluate.metrics import NAMES
from cryjax.evaluate.report import html, plots
from cryjax.evaluate.report.cautions import cautions_in
from cryjax.evaluate.report.tables import (
    PREDICTIONS,
    Table,
    cell,
    from_spreadsheet,
    gain_cell,
    note_of,
)
from cryjax.evaluate.scoring import Scored
from cryjax.evaluate.statistics import are_unlike
from cryjax.files import replacing

KEYS = ("fold", "path", "start_s", "group", "label")
Predicted = dict[str, dict[tuple[str, int, int], dict[tuple[str, ...], list[str]]]]


def load_runs(folder: pathlib.Path) -> tuple[dict[str, list[Run]], frozenset[tuple[str, ...]]]:
    """Reads the predictions that an evaluation left.

    Returns:
      Runs by mode, each on recordings in one order, and what was tested: fold, path, start, group
      and label of every recording.

    Raises:
      UserError: There are none, or they are not what an evaluation writes.
    """
    path = folder / PREDICTIONS
    if not path.is_file():
        raise UserError(f"{path} is not there: {folder} is no workdir of an evaluation")
    found: Predicted = {}
    try:
        with path.open(newline="", encoding="utf-8") as file:
            reader = csv.DictReader(file)
            scores = [name for name in reader.fieldnames or () if name.startswith("p_")]
            for given in reader:
                row = {key: from_spreadsheet(text) for key, text in given.items()}
                of = row.get("pretraining") or row["seed"]  # what spread is over
                run = row["fold"], int(of), int(row["seed"])
                one = found.setdefault(row["mode"], {}).setdefault(run, {})
                one[tuple(row[k] for k in KEYS)] = [row["predicted"], *(row[n] for n in scores)]
        classes = [name.removeprefix("p_") for name in scores]
        runs = {mode: _runs(of_mode, classes) for mode, of_mode in found.items()}
    except (KeyError, ValueError, TypeError) as error:
        raise UserError(f"{path} is not what an evaluation writes ({error})") from error
    if not runs:
        raise UserError(f"{path} holds no prediction")
    tested = frozenset(k for of_mode in found.values() for one in of_mode.values() for k in one)
    return runs, tested


def _runs(of_mode: dict[tuple[str, int, int], Any], classes: list[str]) -> list[Run]:
    runs = []
    for (fold, of, _), rows in sorted(of_mode.items()):
        keys = sorted(rows)
        scores = np.array([[float(x) for x in rows[key][1:]] for key in keys])
        labels = np.array([classes.index(key[4]) for key in keys])
        decisions = np.array([classes.index(rows[key][0]) for key in keys])
        groups = np.array([key[3] for key in keys])
        runs.append(Run(fold, of, Scored(scores, labels, groups, decisions)))
    return runs


def compare(
    folders: Sequence[pathlib.Path], modes: Sequence[str], metric: str
) -> list[dict[str, Any]]:
    """Estimates every run's modes, and their differences to the first run's on the same groups.

    Args:
      folders: Workdirs of evaluations; the first is what the others are compared with.
      modes: Modes that are shown; all that the runs share where it is empty.
      metric: Metric of the differences.

    Returns:
      A row for each mode and run: "mode", "run", the metrics, "cautions", and "difference" with
      mean, interval and p, which is None for the first run.

    Raises:
      UserError: Runs tested other recordings, or lack a mode.
    """
    if metric not in NAMES:
        raise UserError(f"--metric must be one of {', '.join(NAMES)}, got {metric!r}")
    loaded = [load_runs(folder) for folder in folders]
    first, tested = loaded[0]
    for folder, (_, theirs) in zip(folders, loaded, strict=True):
        if theirs != tested:
            raise UserError(
                f"{folder} and {folders[0]} tested other recordings, or other folds of them: "
                f"{len(theirs & tested)} of {len(tested)} are shared; evaluate on the same split"
            )
    shared = [mode for mode in first if all(mode in runs for runs, _ in loaded)]
    shown = list(modes) or shared
    if missing := [mode for mode in shown if mode not in shared]:
        raise UserError(f"not every run has {', '.join(missing)}; all have {', '.join(shared)}")
    names = _names(folders)
    rows = []
    for mode in shown:
        for name, folder, (runs, _) in zip(names, folders, loaded, strict=True):
            row: dict[str, Any] = {"mode": mode, "run": name, **estimate(runs[mode])}
            row["pooled"] = are_unlike(by_fold(runs[mode]))
            row["cautions"] = cautions_in(folder)
            row["difference"] = (
                None if name == names[0] else difference(runs[mode], first[mode])[metric]
            )
            rows.append(row)
    return rows


def _names(folders: Sequence[pathlib.Path]) -> list[str]:
    """Names runs by the last part of their path that tells them apart."""
    for depth in range(1, 8):
        names = ["/".join(folder.absolute().parts[-depth:]) for folder in folders]
        if len(set(names)) == len(names):
            return names
    raise UserError(f"a run is named twice: {', '.join(map(str, folders))}")


def save(rows: list[dict[str, Any]], metric: str, out: pathlib.Path) -> str:
    """Writes <out>.md, .csv and .html; returns the table in Markdown."""
    reference = rows[0]["run"]
    header = ["mode", "run", *NAMES, f"{metric} against {reference}"]
    cells = [
        [row["mode"], row["run"], *(cell(row[name]) for name in NAMES), _gain(row["difference"])]
        for row in rows
    ]
    note = (
        f"{note_of(rows)} Differences are paired by group: where the interval holds 0, the data do "
        "not tell the two apart."
    )
    table = Table(f"Comparison with {reference}", header, cells, note, rows)
    said = list(dict.fromkeys(f"{row['run']}: {one}" for row in rows for one in row["cautions"]))
    text = "\n\n".join([table.as_markdown(), *(f"- {line}" for line in said)])
    save_csv(
        out.with_suffix(".csv"), [dict(zip(header, line, strict=True)) for line in cells], header
    )
    points = [
        {"task": metric, "row": row["run"], "column": row["mode"], **row[metric]} for row in rows
    ]
    drawn = html.image(plots.study(points, metric), "means, seeds, and 95 % intervals over groups")
    page = html.page(
        table.title, html.listed(said) + drawn, [("Table", html.table(header, cells, note))]
    )
    for ending, content in ((".md", text + "\n"), (".html", page)):
        with replacing(out.with_suffix(ending)) as temporary:
            temporary.write_text(content, encoding="utf-8")
    return text


def _gain(found: dict[str, Any] | None) -> str:
    return "" if found is None else f"{gain_cell(found)}, p = {found['p']:.3f}"
