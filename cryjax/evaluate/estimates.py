"""A statistic of many runs: mean, standard error over seeds, interval over groups."""

import collections
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from cryjax.evaluate.scoring import Scored
from cryjax.evaluate.statistics import (
    UNKNOWN,
    Runs,
    Statistic,
    group_bootstrap,
    over_seeds,
    paired_bootstrap,
    weighted_scores,
)

OVER_CLASSES = ("balanced_accuracy", "macro_f1")  # means over the classes of a fold


class Run(NamedTuple):
    """Predictions of one seed on one fold."""

    fold: str
    seed: int
    scored: Scored


def by_fold(runs: Sequence[Run]) -> list[Runs]:
    """Collects the runs of every fold, as the bootstrap wants them."""
    folds = sorted({run.fold for run in runs})
    return [[run.scored for run in runs if run.fold == fold] for fold in folds]


def whole_seeds(runs: Sequence[Run]) -> list[Run]:
    """Leaves out the seeds of which a run diverged on any fold, unless all did.

    Of the others it keeps those with most folds: where a study was stopped, the folds that a seed
    lacks would pass for its spread.
    """
    diverged = {run.seed for run in runs if not run.scored.finite}
    kept = [run for run in runs if run.seed not in diverged] or list(runs)
    folds = collections.Counter(run.seed for run in kept)
    return [run for run in kept if folds[run.seed] == max(folds.values())]


def have_unlike_classes(runs: Sequence[Run]) -> bool:
    """Tells whether folds test unlike classes.

    Then a mean over the classes of each fold is no mean over all of them: of babies left out one by
    one, each well or ill, guessing has a balanced accuracy far above one half.
    """
    return len({tuple(np.unique(run.scored.labels)) for run in runs}) > 1


def _by_seed(runs: Sequence[Run], statistic: Statistic) -> list[dict[str, float]]:
    """Computes one value for each seed, the mean over its folds."""
    rows = []
    for seed in sorted({run.seed for run in runs}):
        mine = [run.scored for run in runs if run.seed == seed]
        values = [statistic(scored, np.ones((1, len(scored.labels)))) for scored in mine]
        rows.append({name: float(np.mean([v[name][0] for v in values])) for name in values[0]})
    return rows


def estimate(
    runs: Sequence[Run], statistic: Statistic = weighted_scores
) -> dict[str, dict[str, Any]]:
    """Estimates a statistic of `whole_seeds`.

    Returns:
      By name "mean" and "standard_error" over seeds, "interval" over groups, and "by_seed"; NaN
      for `OVER_CLASSES` where folds test unlike classes.
    """
    runs = whole_seeds(runs)
    rows, intervals = _by_seed(runs, statistic), group_bootstrap(by_fold(runs), statistic)
    estimates, unlike = {}, have_unlike_classes(runs)
    for name in rows[0]:
        by_seed = [row[name] for row in rows]
        if unlike and name in OVER_CLASSES:
            by_seed, intervals[name] = [np.nan] * len(rows), UNKNOWN
        mean, error = over_seeds(by_seed)
        estimates[name] = {
            "mean": mean,
            "standard_error": error,
            "interval": list(intervals[name]),
            "by_seed": by_seed,
        }
    return estimates


def difference(ours: Sequence[Run], theirs: Sequence[Run]) -> dict[str, dict[str, Any]]:
    """Estimates ours minus theirs on the same test recordings of the same folds.

    Returns:
      By metric the "mean" difference, its 95 % "interval" over groups, and its p-value "p".
    """
    ours, theirs = whole_seeds(ours), whole_seeds(theirs)
    means = [_by_seed(runs, weighted_scores) for runs in (ours, theirs)]
    drawn, gains = paired_bootstrap(by_fold(ours), by_fold(theirs)), {}
    unlike = have_unlike_classes([*ours, *theirs])
    for name, (low, high, p) in drawn.items():
        a, b = (np.mean([row[name] for row in rows]) for rows in means)
        gains[name] = {"mean": float(a - b), "interval": [low, high], "p": p}
        if unlike and name in OVER_CLASSES:
            gains[name] = {"mean": np.nan, "interval": list(UNKNOWN), "p": np.nan}
    return gains
