"""Outcomes of many modes, seeds and folds, as one table with both uncertainties."""

import csv
import dataclasses
import json
import pathlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from cryjax.evaluate.metrics import NAMES, score
from cryjax.evaluate.scoring import Scored
from cryjax.evaluate.statistics import group_bootstrap, over_seeds

LEVELS = ("recording", "group")


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
        mine = [outcome for outcome in outcomes if outcome.mode == mode]
        folds = {
            f: [o.test.at(level) for o in mine if o.fold == f]
            for f in sorted({o.fold for o in mine})
        }
        parts = [
            (np.stack([scores for scores, _, _ in runs]), *runs[0][1:]) for runs in folds.values()
        ]
        seeds = sorted({o.seed for o in mine})
        values = {
            seed: [score(*o.test.at(level)[:2]) for o in mine if o.seed == seed] for seed in seeds
        }
        intervals = group_bootstrap(parts)
        row: dict[str, Any] = {
            "mode": mode,
            "level": level,
            "seeds": len(seeds),
            "folds": len(folds),
        }
        row["groups"] = sum(len(np.unique(groups)) for _, _, groups in parts)
        for name in NAMES:
            by_seed = [float(np.mean([v[name] for v in values[seed]])) for seed in seeds]
            mean, error = over_seeds(by_seed)
            low, high = intervals[name]
            row[name] = {"mean": mean, "standard_error": error, "interval": [low, high],
                         "by_seed": by_seed}  # fmt: skip
        rows.append(row)
    return rows


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
    lines = [
        f"**{title}**", "",
        "Per cent: mean over seeds ± standard error over seeds [95 % interval over groups].", "",
        "| mode | " + " | ".join(NAMES) + " | seeds |", "|---" * (len(NAMES) + 2) + "|",
    ]  # fmt: skip
    for row in rows:
        cells = " | ".join(cell(row[name]) for name in NAMES)
        lines.append(f"| {row['mode']} | {cells} | {row['seeds']} |")
    return "\n".join(lines)


def save(
    workdir: pathlib.Path, outcomes: Sequence[Outcome], corpus: Any, about: dict
) -> list[dict]:
    """Writes metrics.json, results.md and predictions.csv; returns the recording-level rows."""
    tables = {level: summarise(outcomes, level) for level in LEVELS}
    (workdir / "metrics.json").write_text(
        json.dumps({"about": about, "table": tables}, indent=2) + "\n", encoding="utf-8"
    )
    text = [as_markdown(tables[level], f"{about['title']}, by {level}") for level in LEVELS]
    notes = [f"- {key}: {in_words(value)}" for key, value in about.items() if key != "title"]
    body = "\n\n".join([*text, "\n".join(notes)])
    (workdir / "results.md").write_text(body + "\n", encoding="utf-8")
    with (workdir / "predictions.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        head = ["mode", "seed", "fold", "path", "start_s", "group", "label", "predicted"]
        writer.writerow(head + [f"p_{name}" for name in corpus.classes])
        for o in outcomes:
            for row, p, y in zip(o.rows, o.test.scores, o.test.labels, strict=True):
                clip, guess = corpus.clips[row], corpus.classes[p.argmax()]
                fixed = [clip.path, clip.start_s, clip.group, corpus.classes[y], guess]
                writer.writerow([o.mode, o.seed, o.fold, *fixed, *(f"{x:.6f}" for x in p)])
    return tables["recording"]
