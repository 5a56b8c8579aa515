"""A statistic of many runs as mean, standard error over seeds and interval over groups."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from cryjax.evaluate.scoring import Scored
from cryjax.evaluate.statistics import (
    Part,
    Statistic,
    group_bootstrap,
    over_seeds,
    paired_bootstrap,
    weighted_scores,
)

Found = Sequence[tuple[str, int, Scored]]  # (fold, seed, predictions) of every run


def parts_of(found: Found) -> list[Part]:
    """The runs of every fold together, as the bootstrap wants them."""
    folds = [[s for f, _, s in found if f == fold] for fold in sorted({f for f, _, _ in found})]
    return [(np.stack([s.scores for s in runs]), *runs[0][1:]) for runs in folds]


def _by_seed(found: Found, statistic: Statistic) -> list[dict[str, float]]:
    """One value a seed: the mean over its folds."""
    rows = []
    for seed in sorted({seed for _, seed, _ in found}):
        runs = [s for _, its, s in found if its == seed]
        values = [statistic(*s[:2], np.ones((1, len(s.labels)))) for s in runs]
        rows.append({name: float(np.mean([v[name][0] for v in values])) for name in values[0]})
    return rows


def estimate(found: Found, statistic: Statistic = weighted_scores) -> dict[str, dict[str, Any]]:
    """By name: "mean" and "standard_error" over seeds, "interval" over groups, "by_seed"."""
    rows, intervals = _by_seed(found, statistic), group_bootstrap(parts_of(found), statistic)
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


def difference(ours: Found, theirs: Found) -> dict[str, dict[str, Any]]:
    """By metric: ours minus theirs, its 95 % interval over groups and p-value; same test rows."""
    means = [_by_seed(found, weighted_scores) for found in (ours, theirs)]
    drawn, gains = paired_bootstrap(parts_of(ours), parts_of(theirs)), {}
    for name, (low, high, p) in drawn.items():
        a, b = (np.mean([row[name] for row in rows]) for rows in means)
        gains[name] = {"mean": float(a - b), "interval": [low, high], "p": p}
    return gains
