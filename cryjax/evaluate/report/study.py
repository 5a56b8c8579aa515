"""The table, the figure and the verdict of a study, from the outcomes of all its parts."""

import dataclasses
import functools
import os
import pathlib
import platform
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from scipy.stats import permutation_test, rankdata, spearmanr

from cryjax.data.manifest import save_csv
from cryjax.evaluate.estimates import Run, by_fold, difference, estimate, whole_seeds
from cryjax.evaluate.outcomes import Outcome
from cryjax.evaluate.report import crossings, plots
from cryjax.evaluate.report.tables import (
    Table,
    cell,
    for_spreadsheet,
    learnt,
    unique_runs,
    with_why_pooled,
)
from cryjax.evaluate.statistics import POOLED, are_unlike, interval_of, resampled
from cryjax.files import load_json, save_json

NOTE = (
    "Per cent: mean over pre-trainings ± standard error over pre-trainings [95 % interval over "
    "groups of the test part]. Intervals, of differences too, are of these trained networks: other "
    "pre-trainings differ by what ± says. Empty cells were not evaluated."
)
Key = tuple[str, str, str]  # task, row and column
Cells = Mapping[Key, Sequence[Outcome]]
Drawn = Callable[[Key], np.ndarray]
Folds = Mapping[Key, frozenset[str]]


@dataclasses.dataclass
class StudyReport:
    """Writes what a study has found so far.

    Attributes:
      study: Name of the files.
      question: What is asked.
      metric: Metric of the cells.
      compare: Comparisons, as "row/column > row/column".
      published: Figures of the source by row, in per cent.
      ranks: Column by which rows are ranked over all tasks; "" for none.
      crossings: Rows of which one reaches another, or a cell of it, as "row > row" or
        "row > row/column", where columns are shares of labels.
    """

    study: str
    question: str
    metric: str
    compare: Sequence[str] = ()
    published: Mapping[str, float] = dataclasses.field(default_factory=dict)
    ranks: str = ""
    crossings: Sequence[str] = ()

    def save(
        self,
        workdir: pathlib.Path,
        cells: Cells,
        about: dict[str, Any],
        cautions: Iterable[str] = (),
    ) -> str:
        """Writes <study>.md, .csv, .json and .png; returns the text of the first.

        Args:
          workdir: Where they are written.
          cells: Outcomes by task, row and column.
          about: What the numbers are: facts for the reader by name.
          cautions: What speaks against the numbers; it stands before all else.
        """
        named = (
            dataclasses.replace(outcome, mode=f"{task}: {row}/{column}")
            for (task, row, column), outcomes in cells.items()
            for outcome in outcomes
        )
        about = about | learnt(list(named)) | {"machine": machine()}
        every = {key: _runs(outcomes) for key, outcomes in cells.items()}
        runs = {key: whole_seeds(mine) for key, mine in every.items()}
        rows: list[dict[str, Any]] = [
            {"task": task, "row": row, "column": column, "seeds": len({r.seed for r in mine})}
            | {"folds": len({r.fold for r in mine}), "groups": _groups(mine)}
            | {"pooled": self.metric in POOLED and are_unlike(by_fold(mine))}
            | estimate(mine)[self.metric]
            for (task, row, column), mine in runs.items()
        ]
        means = {(r["task"], r["row"], r["column"]): r["mean"] for r in rows}
        drawn = functools.cache(lambda key: resampled(by_fold(runs[key]))[self.metric])
        folds = {key: frozenset(run.fold for run in mine) for key, mine in runs.items()}
        verdicts = [*cautions, *self._differences(runs), *self._correlation(rows)]
        verdicts += [*self._ranks(means, drawn, folds), *self._crossings(means, drawn, folds)]
        for (task, row, column), mine in every.items():
            if lost := sum(not run.scored.finite for run in mine):
                verdicts.append(f"{task}: of {row}/{column} {lost} of {len(mine)} runs diverged")
        parts = [f"## {self.study}: {self.question}", *(f"- {text}" for text in verdicts)]
        parts += [self._table(task, rows) for task in dict.fromkeys(row["task"] for row in rows)]
        parts.append("\n".join(f"- {name}: {value}" for name, value in about.items()))
        body = "\n\n".join(parts).replace("\n\n- ", "\n- ")
        (workdir / f"{self.study}.md").write_text(body + "\n", encoding="utf-8")
        flat = [
            {k: for_spreadsheet(v) for k, v in row.items() if k not in ("interval", "by_seed")}
            | dict(zip(("low", "high"), row["interval"], strict=True))
            for row in rows
        ]
        save_csv(workdir / f"{self.study}.csv", flat)
        record = {"question": self.question, "about": about, "verdicts": verdicts, "rows": rows}
        save_json(workdir / f"{self.study}.json", record)
        curves = all(crossings.share_of(row["column"]) for row in rows)
        figure = (plots.shares if curves else plots.study)(rows, self.metric)
        figure.savefig(workdir / f"{self.study}.png", dpi=110, bbox_inches="tight")
        plots.close(figure)
        return body

    def _table(self, task: str, rows: list[dict[str, Any]]) -> str:
        mine = {(row["row"], row["column"]): row for row in rows if row["task"] == task}
        names, columns = (list(dict.fromkeys(key[i] for key in mine)) for i in (0, 1))
        theirs = bool(self.published)
        head = ["", *columns, *(["as published (other data)"] if theirs else [])]
        cells = []
        for name in names:
            found = [mine.get((name, column)) for column in columns]
            line = [name, *(cell(row) if row else "" for row in found)]
            cells.append(line + ([str(self.published.get(name, ""))] if theirs else []))
        counts = sorted({row["groups"] for row in mine.values()})
        groups = " to ".join(map(str, [counts[0], *counts[1:][-1:]]))
        title = f"{task}, {self.metric.replace('_', ' ')}"
        note = with_why_pooled(f"{NOTE} {groups} groups.", list(mine.values()))
        return Table(title, head, cells, note, rows).as_markdown()

    def _differences(self, runs: Mapping[Key, list[Run]]) -> list[str]:
        """Compares cells on the same test recordings, in every task that has both."""
        said = []
        named = {(task, f"{row}/{column}"): r for (task, row, column), r in runs.items()}
        for pair in self.compare:
            ours, theirs = (side.strip() for side in pair.split(">"))
            for task in dict.fromkeys(key[0] for key in runs):
                a, b = named.get((task, ours)), named.get((task, theirs))
                if not (a and b and {r.fold for r in a} == {r.fold for r in b}):
                    continue
                gain = difference(a, b)[self.metric]
                low, high = (100 * x for x in gain["interval"])
                if np.isnan(gain["mean"]):
                    said.append(f"{task}: {ours} > {theirs}: {self.metric} is not defined")
                    continue
                clear = "above" if low > 0 else "below" if high < 0 else "not told apart from"
                said.append(
                    f"{task}: {ours} is {clear} {theirs}, "
                    f"{100 * gain['mean']:+.1f} points [{low:.1f}, {high:.1f}]"
                )
        return said

    def _correlation(self, rows: list[dict[str, Any]]) -> list[str]:
        """Compares the order of the rows with that of the source, by each protocol."""
        cells: dict[tuple[str, str], list[tuple[float, float]]] = {}
        for row in rows:
            if (theirs := self.published.get(row["row"])) is not None:
                cells.setdefault((row["task"], row["column"]), []).append((row["mean"], theirs))
        said = []
        for (task, column), pairs in cells.items():
            if len(pairs) >= 3:
                rho, p = _rank_correlation(*np.array(pairs).T)
                said.append(
                    f"{task}: {column}'s rank correlation (Spearman) with the source's "
                    f"{len(pairs)} rows: {rho:.2f} (one-sided permutation p = {p:.3f})"
                )
        return said

    def _crossings(self, means: Mapping[Key, float], drawn: Drawn, folds: Folds) -> list[str]:
        """Says at which share of labels a row reaches another, or a cell of it, on equal folds."""
        said = []
        for pair in self.crossings:
            ours, theirs = (side.strip() for side in pair.split(">"))
            row, _, fixed = theirs.partition("/")
            for task in dict.fromkeys(key[0] for key in means):
                columns = [column for t, r, column in means if (t, r) == (task, ours)]
                columns.sort(key=crossings.share_of)
                against = [(task, row, fixed or column) for column in columns]
                if len(columns) < 2 or not set(against) <= means.keys():
                    continue
                cells = [((task, ours, c), b) for c, b in zip(columns, against, strict=True)]
                if len({folds[key] for pair in cells for key in pair}) > 1:
                    continue
                found = crossings.describe(
                    np.array([crossings.share_of(column) for column in columns]),
                    np.array([means[a] - means[b] for a, b in cells]),
                    np.array([drawn(a) - drawn(b) for a, b in cells]),
                )
                said.append(f"{task}: {ours} reaches {theirs} {found}")
        return said

    def _ranks(self, means: Mapping[Key, float], drawn: Drawn, folds: Folds) -> list[str]:
        """Ranks rows by their mean rank over the tasks, with the interval over groups.

        Nothing is said while some rows of a task lack folds that others have.
        """
        if not self.ranks:
            return []
        tasks = list(dict.fromkeys(key[0] for key in means))
        rows = [row for _, row, column in means if column == self.ranks]
        every = [
            row for row in dict.fromkeys(rows) if all((t, row, self.ranks) in means for t in tasks)
        ]
        unlike = [t for t in tasks if len({folds[t, row, self.ranks] for row in every}) > 1]
        if len(every) < 2 or unlike:
            return []
        ranks = []
        for task in tasks:
            keys = [(task, row, self.ranks) for row in every]
            both = np.array([[means[key], *drawn(key)] for key in keys])
            last = np.nan_to_num(-both, nan=np.inf)  # what diverged
            ranks.append(rankdata(last, axis=0))  # equals share their mean rank
        mean = np.mean(ranks, axis=0)
        order = np.argsort(mean[:, 0])
        said = []
        for i in order:
            low, high = interval_of(mean[i, 1:])
            said.append(f"{every[i]} {mean[i, 0]:.1f} [{low:.1f}, {high:.1f}]")
        return [f"mean rank by {self.ranks} over {len(tasks)} tasks: {'; '.join(said)}"]


def _rank_correlation(ours: np.ndarray, theirs: np.ndarray) -> tuple[float, float]:
    """Computes Spearman's correlation of figures of (rows,), and p of one as large by chance."""

    def rho(x: np.ndarray) -> float:
        found: Any = spearmanr(x, theirs)
        return float(found.statistic)

    drawn = permutation_test(
        (ours,),
        rho,
        permutation_type="pairings",
        alternative="greater",
        n_resamples=9999,
        rng=np.random.default_rng(0),
    )
    return float(drawn.statistic), float(drawn.pvalue)


def _runs(outcomes: Sequence[Outcome]) -> list[Run]:
    return [outcome.as_run(outcome.test) for outcome in unique_runs(outcomes)]


def _groups(runs: Sequence[Run]) -> int:
    return sum(len(np.unique(fold[0].groups)) for fold in by_fold(runs))


def machine() -> str:
    """Describes processor and cores, for whoever reads a duration."""
    try:
        lines = pathlib.Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    except OSError:
        names = []
    return f"{os.cpu_count()} cores, {(names or [platform.processor() or platform.machine()])[0]}"


def add_seconds(path: pathlib.Path, name: str, seconds: float) -> dict[str, float]:
    """Keeps the longest time that a part of a study took; parts read from disk take next to none.

    Raises:
      UserError: The file is damaged.
    """
    known = load_json(path, "remove it") if path.exists() else {}
    known[name] = round(max(seconds, known.get(name, 0.0)), 1)
    save_json(path, known)
    return known
