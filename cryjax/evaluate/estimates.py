"""A statistic of many runs: mean, standard error over seeds, interval over groups."""

import collections
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from cryjax.evaluate.scoring import Scored
from cryjax.evaluate.statistics import (
    POOLED,
    Runs,
    Statistic,
    are_unlike,
    group_bootstrap,
    over_seeds,
    paired_bootstrap,
    together,
    weighted_decisions,
    weighted_scores,
)


class Run(NamedTuple):
    """Predictions of one seed on one fold."""

    fold: str
    seed: int
    scored: Scored


def by_fold(runs: Sequence[Run]) -> list[Runs]:
    """Collects the runs of every fold by seed, as the bootstrap wants them."""
    folds, in_order = sorted({run.fold for run in runs}), sorted(runs, key=lambda run: run.seed)
    return [[run.scored for run in in_order if run.fold == fold] for fold in folds]


def whole_seeds(runs: Sequence[Run]) -> list[Run]:
    """Leaves out the seeds of which a run diverged on any fold, unless all did.

    Of the others it keeps those with the same folds as the first with most: where a study was
    stopped, the folds that a seed lacks would pass for its spread.
    """
    diverged = {run.seed for run in runs if not run.scored.finite}
    kept = [run for run in runs if run.seed not in diverged] or list(runs)
    folds = collections.defaultdict(set)
    for run in kept:
        folds[run.seed].add(run.fold)
    most = max(folds.values(), key=len)
    return [run for run in kept if folds[run.seed] == most]


def _by_seed(runs: Sequence[Run], statistic: Statistic) -> list[dict[str, float]]:
    """Computes one value for each seed, the mean over its folds; of `POOLED` see `are_unlike`."""
    rows, unlike = [], are_unlike(by_fold(runs))
    for seed in sorted({run.seed for run in runs}):
        mine = [run.scored for run in runs if run.seed == seed]
        values = [statistic(scored, np.ones((1, len(scored.labels)))) for scored in mine]
        row = {name: float(np.mean([v[name][0] for v in values])) for name in values[0]}
        if unlike:
            whole = together(mine)
            pooled = weighted_decisions(whole, np.ones((1, len(whole.labels))))
            row |= {name: float(pooled[name][0]) for name in POOLED if name in row}
        rows.append(row)
    return rows


def estimate(
    runs: Sequence[Run], statistic: Statistic = weighted_scores
) -> dict[str, dict[str, Any]]:
    """Estimates a statistic of `whole_seeds`.

    Returns:
      By name "mean" and "standard_error" over seeds, "interval" over groups, and "by_seed".
    """
    runs = whole_seeds(runs)
    rows, intervals = _by_seed(runs, statistic), group_bootstrap(by_fold(runs), statistic)
    estimates = {}
    for name in rows[0]:
        by_seed = [row[name] for row in rows]
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
    for name, (low, high, p) in drawn.items():
        a, b = (np.mean([row[name] for row in rows]) for rows in means)
        gains[name] = {"mean": float(a - b), "interval": [low, high], "p": p}
    return gains
