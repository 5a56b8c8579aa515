"""Outcomes of many protocols, seeds and folds as one table with both uncertainties."""

import csv
import dataclasses
import html
import json
import pathlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from cryjax.data.corpus import Corpus
from cryjax.data.manifest import save_csv
from cryjax.evaluate.estimates import by_fold, estimate
from cryjax.evaluate.metrics import NAMES
from cryjax.evaluate.outcomes import Outcome, runs_of
from cryjax.evaluate.statistics import are_unlike

FORMULA = ("=", "+", "-", "@", "\t", "\r")  # what a formula of a spreadsheet begins with
PREDICTIONS = "predictions.csv"
LEVELS = ("recording", "group")
UNDEFINED = "—"
NOTE = (
    "Per cent: mean over seeds ± standard error over seeds [95 % interval over groups]; without ± "
    "there is one run: of one seed, or because every seed gives the same."
)
WHY_UNDEFINED = (
    f"{UNDEFINED}: not defined, because the test part, or a fold of it, holds one class (AUC) or "
    "every run diverged."
)
WHY_POOLED = (
    "Test folds hold unlike classes: balanced accuracy and macro F1 are those of the decisions of "
    "all folds together. Where a fold is one group, guessing can fall below one half: what is left "
    "out for the test is missing among the labels that are trained on."
)


@dataclasses.dataclass(frozen=True)
class Table:
    """Cells for people, and the numbers behind them for programs.

    Attributes:
      title: Heading.
      header: Names of the columns.
      rows: Cells.
      note: What the numbers are.
      raw: One dictionary for each row.
    """

    title: str
    header: Sequence[str]
    rows: Sequence[Sequence[Any]]
    note: str
    raw: Sequence[dict[str, Any]]

    def as_markdown(self) -> str:
        """Writes title, note and cells."""
        lines = [f"| {' | '.join(map(as_text, row))} |" for row in (self.header, *self.rows)]
        body = "\n".join([lines[0], f"|{'---|' * len(self.header)}", *lines[1:]])
        return f"**{as_text(self.title)}**\n\n{self.note}\n\n{body}"


def as_text(value: Any) -> str:
    """Writes a value such that Markdown shows it: no tag, no column and no line of its own."""
    return html.escape(str(value).replace("\n", " "), quote=False).replace("|", "\\|")


def for_spreadsheet(value: Any) -> Any:
    """Puts an apostrophe before a text that a spreadsheet would run as a formula."""
    return f"'{value}" if isinstance(value, str) and value.startswith(FORMULA) else value


def from_spreadsheet(text: str) -> str:
    """Takes off the apostrophe that `for_spreadsheet` has put."""
    return text[1:] if text[:1] == "'" and text[1:].startswith(FORMULA) else text


def unique_runs(outcomes: Sequence[Outcome]) -> list[Outcome]:
    """Keeps one of outcomes that are the same run: one fit with the same encoder is one fit."""
    seen: dict[tuple, Outcome] = {}
    for o in outcomes:
        seen.setdefault((o.mode, o.fold, o.key or o.seed), o)
    return list(seen.values())


def summarise(outcomes: Sequence[Outcome], level: str = "recording") -> list[dict[str, Any]]:
    """Computes one row for each protocol.

    With several folds a seed's value is the mean over its folds. Runs that diverged are counted as
    "diverged" and left out of the mean.
    """
    rows = []
    for mode in dict.fromkeys(outcome.mode for outcome in outcomes):
        runs = runs_of(outcomes, mode, level)
        row: dict[str, Any] = {"mode": mode, "level": level}
        folds = by_fold(runs)
        row["seeds"] = len({run.seed for run in runs})
        row["folds"] = len(folds)
        row["groups"] = sum(len(np.unique(fold[0].groups)) for fold in folds)
        row["pooled"] = are_unlike(folds)
        row["diverged"] = sum(not run.scored.finite for run in runs)
        row["runs"] = len(runs)
        rows.append(row | estimate(runs))
    return rows


def learnt(outcomes: Sequence[Outcome]) -> dict[str, str]:
    """States by mode the accuracy of the last updates, where all runs train step by step.

    Far from 100 % a longer training may know more; a linear classifier may have nothing to learn.
    """
    known: dict[str, list[float]] = {}
    for o in unique_runs(outcomes):
        known.setdefault(o.mode, []).append(100 * o.train_accuracy)
    means = {mode: np.mean(values) for mode, values in known.items()}
    words = ", ".join(f"{mode} {mean:.1f}" for mode, mean in means.items() if np.isfinite(mean))
    what = "per cent of their labelled recordings, augmented as they are trained on"
    return {"accuracy of the last updates": f"{words} ({what})"} if words else {}


def mode_cell(row: dict[str, Any]) -> str:
    """Names the protocol of a row, and how many of its runs diverged."""
    if not row["diverged"]:
        return row["mode"]
    return f"{row['mode']} ({row['diverged']} of {row['runs']} runs diverged)"


def cell(value: dict[str, Any]) -> str:
    """Writes `mean ± standard error [interval]` in per cent; — is not defined."""
    if np.isnan(value["mean"]):
        return UNDEFINED
    low, high = (100 * x for x in value["interval"])
    spread = "" if np.isnan(value["standard_error"]) else f" ± {100 * value['standard_error']:.1f}"
    interval = "[-]" if np.isnan(low) else f"[{low:.1f}, {high:.1f}]"
    return f"{100 * value['mean']:.1f}{spread} {interval}"


def gain_cell(value: dict[str, Any]) -> str:
    """Writes a paired difference as `+mean [interval]` in points."""
    low, high = (100 * x for x in value["interval"])
    return f"{100 * value['mean']:+.1f} [{low:.1f}, {high:.1f}]"


def restrictions(licence: str) -> list[str]:
    """Lists what a licence forbids: NC (commercial use), ND (changed copies)."""
    return [flag for flag in ("NC", "ND") if flag in licence.replace("-", " ").split()]


def in_words(value: Any) -> str:
    """Writes a fact for people, such as `train 10, val 2` for a dictionary."""
    pairs = value.items() if isinstance(value, dict) else ()
    return ", ".join(f"{k} {v}" for k, v in pairs) or str(value)


def note_of(rows: Sequence[dict[str, Any]]) -> str:
    """Explains the cells of the metrics: what ± and [] are, and what these rows need besides."""
    undefined = any(np.isnan(row[name]["mean"]) for row in rows for name in NAMES)
    return with_why_pooled(" ".join([NOTE, *[WHY_UNDEFINED] * undefined]), rows)


def with_why_pooled(note: str, rows: Sequence[dict[str, Any]]) -> str:
    """Adds to a note why some rows are of the decisions of all folds together, if any are."""
    return f"{note} {WHY_POOLED}" if any(row["pooled"] for row in rows) else note


def main_table(rows: Sequence[dict[str, Any]], title: str) -> Table:
    """Makes the table of the metrics, one row for each protocol."""
    cells = [[mode_cell(row), *(cell(row[name]) for name in NAMES), row["seeds"]] for row in rows]
    return Table(title, ["mode", *NAMES, "seeds"], cells, note_of(rows), rows)


def save(
    workdir: pathlib.Path,
    outcomes: Sequence[Outcome],
    corpus: Corpus,
    facts: dict[str, Any],
    more: Sequence[Table] = (),
) -> list[dict[str, Any]]:
    """Writes metrics.json, results.md, results.csv and predictions.csv.

    Args:
      workdir: Where they are written.
      outcomes: Predictions of every protocol, seed and fold.
      corpus: What was evaluated on.
      facts: What the numbers are; "title" is the heading.
      more: Further tables.

    Returns:
      The rows of the table by recording.
    """
    tables = {level: summarise(outcomes, level) for level in LEVELS}
    metrics = {"about": facts, "table": tables, "more": {t.title: t.raw for t in more}}
    text = json.dumps(metrics, indent=2)
    (workdir / "metrics.json").write_text(text + "\n", encoding="utf-8")
    main = [main_table(tables[level], f"{facts['title']}, by {level}") for level in LEVELS]
    notes = [
        f"- {key}: {as_text(in_words(value))}" for key, value in facts.items() if key != "title"
    ]
    body = "\n\n".join([*(t.as_markdown() for t in (*main, *more)), "\n".join(notes)])
    (workdir / "results.md").write_text(body + "\n", encoding="utf-8")
    flat = [row for level in LEVELS for row in _flat(tables[level])]
    save_csv(workdir / "results.csv", [{k: for_spreadsheet(v) for k, v in r.items()} for r in flat])
    _save_predictions(workdir, outcomes, corpus)
    return tables["recording"]


def _flat(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Makes one row for each protocol and metric."""
    keys = ("mode", "level", "seeds", "folds", "groups", "diverged")
    return [
        {key: row[key] for key in keys}
        | {"metric": name, "mean": row[name]["mean"], "standard_error": row[name]["standard_error"]}
        | dict(zip(("low", "high"), row[name]["interval"], strict=True))
        for row in rows
        for name in NAMES
    ]


def _save_predictions(workdir: pathlib.Path, outcomes: Sequence[Outcome], corpus: Corpus) -> None:
    with (workdir / PREDICTIONS).open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        head = ["mode", "pretraining", "seed", "fold", "path", "start_s", "group", "label"]
        writer.writerow([*head, "predicted", *(f"p_{name}" for name in corpus.classes)])
        for o in outcomes:
            for row, p, y, decided in zip(
                o.rows, o.test.scores, o.test.labels, o.test.decisions, strict=True
            ):
                clip, guess = corpus.clips[row], corpus.classes[decided]
                fixed = [clip.path, clip.start_s, clip.group, corpus.classes[y], guess]
                shown = map(for_spreadsheet, [o.mode, o.pretraining, o.seed, o.fold, *fixed])
                writer.writerow([*shown, *(repr(float(x)) for x in p)])
