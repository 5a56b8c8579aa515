"""Outcomes of many modes, seeds and folds, as one table with both uncertainties."""

import csv
import dataclasses
import json
import pathlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from cryjax.data.manifest import save_csv
from cryjax.evaluate.estimates import Found, estimate, parts_of
from cryjax.evaluate.metrics import NAMES
from cryjax.evaluate.scoring import Scored

LEVELS = ("recording", "group")
NOTE = "Per cent: mean over seeds ± standard error over seeds [95 % interval over groups]."


@dataclasses.dataclass(frozen=True)
class Outcome:
    """Test predictions of one mode with one seed on one fold.

    Attributes:
      mode: How the encoder was judged.
      seed: Of the run.
      fold: Test splits, comma-separated.
      rows: (n,) clip numbers.
      test: Predictions of these clips.
      val: Predictions of the validation part, which thresholds and temperatures are chosen on.
    """

    mode: str
    seed: int
    fold: str
    rows: np.ndarray
    test: Scored
    val: Scored | None = None


def summarise(outcomes: Sequence[Outcome], level: str = "recording") -> list[dict[str, Any]]:
    """One row a mode: mean over seeds, standard error over seeds, 95 % interval over groups.

    With several folds a seed's value is the mean over its folds.
    """
    rows = []
    for mode in dict.fromkeys(outcome.mode for outcome in outcomes):
        found = runs_of(outcomes, mode, level)
        row: dict[str, Any] = {"mode": mode, "level": level}
        row["seeds"] = len({seed for _, seed, _ in found})
        row["folds"] = len({fold for fold, _, _ in found})
        row["groups"] = sum(len(np.unique(groups)) for _, _, groups in parts_of(found))
        rows.append(row | estimate(found))
    return rows


@dataclasses.dataclass(frozen=True)
class Table:
    """Cells for people, the numbers behind them for programs.

    Attributes:
      title: Heading.
      header: Of the columns.
      rows: Cells.
      note: What the numbers are.
      raw: One dictionary a row.
    """

    title: str
    header: Sequence[str]
    rows: Sequence[Sequence[Any]]
    note: str
    raw: Sequence[dict[str, Any]]

    def as_markdown(self) -> str:
        """Title, note and cells."""
        head = f"| {' | '.join(self.header)} |\n|{'---|' * len(self.header)}"
        body = "\n".join(f"| {' | '.join(map(str, row))} |" for row in self.rows)
        return f"**{self.title}**\n\n{self.note}\n\n{head}\n{body}"


def runs_of(outcomes: Sequence[Outcome], mode: str, level: str = "recording") -> Found:
    """(fold, seed, test predictions) of every run of a mode."""
    return [(o.fold, o.seed, o.test.at(level)) for o in outcomes if o.mode == mode]


def cell(value: dict[str, Any]) -> str:
    """`mean ± standard error over seeds [interval over groups]`, in per cent; [-]: unknown."""
    low, high = (100 * x for x in value["interval"])
    spread = "" if np.isnan(value["standard_error"]) else f" ± {100 * value['standard_error']:.1f}"
    interval = "[-]" if np.isnan(low) else f"[{low:.1f}, {high:.1f}]"
    return f"{100 * value['mean']:.1f}{spread} {interval}"


def in_words(value: Any) -> str:
    """A fact for people: `train 10, val 2` for a dictionary."""
    pairs = value.items() if isinstance(value, dict) else ()
    return ", ".join(f"{k} {v}" for k, v in pairs) or str(value)


def as_markdown(rows: Sequence[dict[str, Any]], title: str) -> str:
    """The table for people; says what the numbers are."""
    cells = [[row["mode"], *(cell(row[name]) for name in NAMES), row["seeds"]] for row in rows]
    return Table(title, ["mode", *NAMES, "seeds"], cells, NOTE, rows).as_markdown()


def save(
    workdir: pathlib.Path,
    outcomes: Sequence[Outcome],
    corpus: Any,
    about: dict,
    more: Sequence[Table] = (),
) -> list[dict]:
    """Writes metrics.json, results.md, results.csv and predictions.csv.

    Args:
      workdir: Where to.
      outcomes: Predictions of every mode, seed and fold.
      corpus: That was judged on.
      about: What the numbers are.
      more: Further tables.

    Returns:
      The rows by recording.
    """
    tables = {level: summarise(outcomes, level) for level in LEVELS}
    found = {"about": about, "table": tables, "more": {t.title: t.raw for t in more}}
    text = json.dumps(found, indent=2)
    (workdir / "metrics.json").write_text(text + "\n", encoding="utf-8")
    text = [as_markdown(tables[level], f"{about['title']}, by {level}") for level in LEVELS]
    notes = [f"- {key}: {in_words(value)}" for key, value in about.items() if key != "title"]
    body = "\n\n".join([*text, *(t.as_markdown() for t in more), "\n".join(notes)])
    (workdir / "results.md").write_text(body + "\n", encoding="utf-8")
    save_csv(workdir / "results.csv", [r for level in LEVELS for r in _flat(tables[level])])
    _save_predictions(workdir, outcomes, corpus)
    return tables["recording"]


def _flat(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """One row a mode and metric."""
    keys = ("mode", "level", "seeds", "folds", "groups")
    return [
        {key: row[key] for key in keys}
        | {"metric": name, "mean": row[name]["mean"], "standard_error": row[name]["standard_error"]}
        | dict(zip(("low", "high"), row[name]["interval"], strict=True))
        for row in rows
        for name in NAMES
    ]


def _save_predictions(workdir: pathlib.Path, outcomes: Sequence[Outcome], corpus: Any) -> None:
    with (workdir / "predictions.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        head = ["mode", "seed", "fold", "path", "start_s", "group", "label", "predicted"]
        writer.writerow(head + [f"p_{name}" for name in corpus.classes])
        for o in outcomes:
            for row, p, y in zip(o.rows, o.test.scores, o.test.labels, strict=True):
                clip, guess = corpus.clips[row], corpus.classes[p.argmax()]
                fixed = [clip.path, clip.start_s, clip.group, corpus.classes[y], guess]
                writer.writerow([o.mode, o.seed, o.fold, *fixed, *(f"{x:.6f}" for x in p)])
