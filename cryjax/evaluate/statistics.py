"""Two uncertainties, never mixed: over seeds, and over people."""

import collections
import warnings
from collections.abc import Callable, Sequence

import numpy as np


def over_seeds(values: Sequence[float]) -> tuple[float, float]:
    """Mean and standard error (sd with n - 1, over sqrt n); NaN error for a single seed."""
    array = np.asarray(values, float)
    error = array.std(ddof=1) / len(array) ** 0.5 if len(array) > 1 else np.nan
    return float(array.mean()), float(error)


def weighted_scores(
    scores: np.ndarray, labels: np.ndarray, weights: np.ndarray
) -> dict[str, np.ndarray]:
    """The metrics of `metrics.NAMES` under many weightings of the rows at once.

    Args:
      scores: (n, classes).
      labels: (n,).
      weights: (weightings, n), not negative; how often a row counts.

    Returns:
      (weightings,) values by name; with weights of one they are scikit-learn's.
    """
    table = weighted_confusion(scores, labels, weights)
    hits, true, called = (table.diagonal(axis1=1, axis2=2), table.sum(axis=2), table.sum(axis=1))
    with np.errstate(invalid="ignore", divide="ignore"):
        recall = np.where(true > 0, hits / true, np.nan)
        seen = true + called > 0
        f1 = np.where(seen, 2 * hits / (true + called), np.nan)
        return {
            "accuracy": hits.sum(axis=1) / true.sum(axis=1),
            "balanced_accuracy": np.nanmean(recall, axis=1),
            "macro_f1": np.nanmean(f1, axis=1),
            "auc": _weighted_auc(scores, labels, weights),
        }


def weighted_confusion(scores: np.ndarray, labels: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """(weightings, true classes, predicted classes) sums of weights."""
    classes = scores.shape[1]
    pair = labels * classes + scores.argmax(axis=1)
    return (weights @ np.eye(classes**2)[pair]).reshape(-1, classes, classes)


def _weighted_auc(scores: np.ndarray, labels: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Binary, or macro one-vs-rest over the classes that occur in each weighting."""
    classes = [1] if scores.shape[1] == 2 else range(scores.shape[1])
    values = [_one_auc(scores[:, c], labels == c, weights) for c in classes]
    return np.nanmean(values, axis=0) if len(values) > 1 else values[0]


def _one_auc(score: np.ndarray, positive: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Weighted Mann-Whitney statistic, ties count half; NaN where a side has no weight."""
    order = np.argsort(score, kind="stable")
    first = np.flatnonzero(np.r_[True, np.diff(score[order]) != 0])
    above, below = (
        np.add.reduceat(weights[:, order] * side[order], first, axis=1)
        for side in (positive, ~positive)
    )
    lower = np.cumsum(below, axis=1) - below
    pairs = above.sum(axis=1) * below.sum(axis=1)
    return np.where(pairs > 0, (above * (lower + below / 2)).sum(axis=1) / pairs, np.nan)


Part = tuple[np.ndarray, np.ndarray, np.ndarray]
Statistic = Callable[[np.ndarray, np.ndarray, np.ndarray], dict[str, np.ndarray]]
Intervals = dict[str, tuple[float, float]]
UNKNOWN = (np.nan, np.nan)


def _resampled(
    parts: Sequence[Part], statistic: Statistic, resamples: int, seed: int
) -> dict[str, np.ndarray]:
    """(resamples,) values by name; the draws depend on the groups and the seed alone."""
    rng = np.random.default_rng(seed)
    owners = [np.unique(groups, return_inverse=True)[1] for _, _, groups in parts]

    def draw(n: int) -> np.ndarray:  # (resamples, n) how often each of n is drawn
        return rng.multinomial(n, np.full(n, 1 / n), size=resamples)

    of_fold = np.full((resamples, len(parts)), 1 / len(parts))
    if all(owner.any() for owner in owners):  # every fold has a second group
        weights = [draw(int(owner.max()) + 1)[:, owner].astype(float) for owner in owners]
    elif len(parts) > 1:
        weights = [np.ones((1, len(owner))) for owner in owners]
        of_fold = draw(len(parts)) / len(parts)
    else:  # of one group nothing can be said
        runs, labels, groups = parts[0]
        names = statistic(runs[0], labels, np.ones((1, len(groups))))
        return {name: np.full(resamples, np.nan) for name in names}
    values = collections.defaultdict(list)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # means over no class at all are NaN
        for (runs, labels, _), drawn in zip(parts, weights, strict=True):
            scored = [statistic(run, labels, drawn) for run in runs]
            for name in scored[0]:
                values[name].append(np.mean([s[name] for s in scored], axis=0))
    return {k: np.sum(of_fold * np.stack(v, axis=1), axis=1) for k, v in values.items()}


def interval_of(values: np.ndarray) -> tuple[float, float]:
    """2.5th and 97.5th percentile of resamples; unknown where fewer than half are finite."""
    there = values[np.isfinite(values)]
    if len(there) * 2 < len(values):
        return UNKNOWN
    low, high = np.percentile(there, [2.5, 97.5])
    return float(low), float(high)


def group_bootstrap(
    parts: Sequence[Part],
    statistic: Statistic = weighted_scores,
    *,
    resamples: int = 2000,
    seed: int = 0,
) -> Intervals:
    """95 % intervals when people, not recordings, are drawn anew.

    Args:
      parts: One a test fold: (runs, n, classes) scores, (n,) labels, (n,) groups. A resample's
        value is the mean over the runs (seeds) of a fold, then over the folds, so that seed
        noise is not counted again and scores of different models are never ranked together.
      statistic: (scores, labels, (weightings, n) weights) to (weightings,) values by name.
      resamples: Draws, in each fold, of as many groups as it has, with replacement. Where a fold
        is a single group (leave one speaker out) the folds are drawn instead.
      seed: Of the draws.

    Returns:
      The 2.5th and 97.5th percentile by metric; NaN where there is one group in all, or a metric
      exists in fewer than half of the resamples (a class may be missing).
    """
    drawn = _resampled(parts, statistic, resamples, seed)
    return {name: interval_of(values) for name, values in drawn.items()}


def paired_bootstrap(
    ours: Sequence[Part],
    theirs: Sequence[Part],
    statistic: Statistic = weighted_scores,
    *,
    resamples: int = 2000,
    seed: int = 0,
) -> dict[str, tuple[float, float, float]]:
    """95 % intervals of the difference of two models, judged on the same draws of people.

    Args:
      ours: See `group_bootstrap`.
      theirs: The same recordings, in the same order, scored by another model.
      statistic: See `group_bootstrap`.
      resamples: See `group_bootstrap`.
      seed: See `group_bootstrap`.

    Returns:
      By metric: low, high, and the two-sided bootstrap p-value that the difference is zero.
    """
    for (_, labels, groups), (_, other_labels, other_groups) in zip(ours, theirs, strict=True):
        if not (np.array_equal(labels, other_labels) and np.array_equal(groups, other_groups)):
            raise ValueError("paired models must be scored on the same recordings in one order")
    a, b = (_resampled(parts, statistic, resamples, seed) for parts in (ours, theirs))
    found = {}
    for name in a:
        gain = a[name] - b[name]
        there = gain[np.isfinite(gain)]
        tails = [(1 + np.sum(side)) / (1 + len(there)) for side in (there <= 0, there >= 0)]
        found[name] = (*interval_of(gain), float(min(1.0, 2 * min(tails))))
    return found
