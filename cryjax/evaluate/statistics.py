"""Two uncertainties that are never mixed: over seeds, and over groups of recordings."""

import collections
import warnings
from collections.abc import Callable, Sequence

import numpy as np
from scipy.sparse import csr_array

from cryjax.evaluate.scoring import Scored

FEW = 64  # positives of a class up to which an AUC compares them one by one, so many at once
AT_ONCE = 256  # weightings that an AUC sorts together
Statistic = Callable[[Scored, np.ndarray], dict[str, np.ndarray]]
Intervals = dict[str, tuple[float, float]]
Runs = Sequence[Scored]  # of one fold: the same recordings, scored with different seeds
POOLED = ("balanced_accuracy", "macro_f1")  # means over classes, of decisions
UNKNOWN = (np.nan, np.nan)


def over_seeds(values: Sequence[float]) -> tuple[float, float]:
    """Computes mean and standard error, sd with n - 1 over sqrt n; NaN error for one value."""
    array = np.asarray(values, float)
    error = array.std(ddof=1) / len(array) ** 0.5 if len(array) > 1 else np.nan
    return float(array.mean()), float(error)


def weighted_scores(scored: Scored, weights: np.ndarray) -> dict[str, np.ndarray]:
    """Computes the metrics of `metrics.NAMES` under many weightings of the rows at once.

    Args:
      scored: Predictions of n rows.
      weights: (weightings, n) how often a row counts, not negative.

    Returns:
      (weightings,) values by name; with weights of one they are scikit-learn's. NaN where a
      score is not finite.
    """
    area = np.full(len(weights), np.nan)
    if scored.finite:
        area = _weighted_auc(scored.scores, scored.labels, weights)
    return weighted_decisions(scored, weights) | {"auc": area}


def weighted_decisions(scored: Scored, weights: np.ndarray) -> dict[str, np.ndarray]:
    """Computes accuracy and the metrics of `POOLED`, as `weighted_scores` does."""
    if not scored.finite:
        return {name: np.full(len(weights), np.nan) for name in ("accuracy", *POOLED)}
    classes, right = scored.scores.shape[1], scored.decisions == scored.labels
    true, called = (_sums(weights, of, classes) for of in (scored.labels, scored.decisions))
    hits = _sums(weights, np.where(right, scored.labels, classes), classes + 1)[:, :classes]
    with np.errstate(invalid="ignore", divide="ignore"):
        recall = np.where(true > 0, hits / true, np.nan)
        f1 = np.where(true + called > 0, 2 * hits / (true + called), np.nan)
        return {
            "accuracy": hits.sum(axis=1) / true.sum(axis=1),
            "balanced_accuracy": np.nanmean(recall, axis=1),
            "macro_f1": np.nanmean(f1, axis=1),
        }


def _sums(weights: np.ndarray, index: np.ndarray, n: int) -> np.ndarray:
    """Adds (weightings, rows) weights up by an index of each row, to (weightings, n)."""
    rows = np.arange(len(index))
    return (csr_array((np.ones(len(index)), (index, rows)), shape=(n, len(index))) @ weights.T).T


def weighted_confusion(scored: Scored, weights: np.ndarray) -> np.ndarray:
    """Adds weights up by true and decided class, to (weightings, classes, classes)."""
    classes = scored.scores.shape[1]
    pair = scored.labels * classes + scored.decisions
    return _sums(weights, pair, classes**2).reshape(-1, classes, classes)


def _weighted_auc(scores: np.ndarray, labels: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Computes the AUC, binary or macro one-versus-rest over the classes in each weighting.

    Of each class it is the weighted Mann-Whitney statistic; ties count half.
    """
    n = scores.shape[1]
    above = _sums(weights, labels, n)
    below = above @ (1 - np.eye(n))  # exactly zero where all others are
    classes = [1] if n == 2 else np.unique(labels)
    few = np.bincount(labels, minlength=n) <= FEW
    won = _won_one_by_one(scores, labels, weights, np.isin(labels, classes) & few[labels])
    for c in classes:
        if not few[c]:
            won[:, c] = _won_in_order(scores[:, c], labels == c, weights)
    with np.errstate(invalid="ignore", divide="ignore"):
        areas = np.where(above * below > 0, won / (above * below), np.nan)[:, classes]
        return np.nansum(areas, axis=1) / np.isfinite(areas).sum(axis=1)


def _won_one_by_one(
    scores: np.ndarray, labels: np.ndarray, weights: np.ndarray, positive: np.ndarray
) -> np.ndarray:
    """Adds up, by class, the pairs that the chosen rows win against rows of other classes.

    By matrix products over rows of several classes at once: fast where a class has few rows.
    """
    n = scores.shape[1]
    won, rows = np.zeros((len(weights), n)), np.flatnonzero(positive)
    for at in range(0, len(rows), FEW):
        part = rows[at : at + FEW]
        column = labels[part]
        mine, others = scores[part, column], scores[:, column]
        lower = ((others < mine) + 0.5 * (others == mine)) * (labels[:, None] != column)
        won += _sums((weights @ lower) * weights[:, part], column, n)
    return won


def _won_in_order(score: np.ndarray, positive: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Adds up the pairs that positives win, by sorting: linear in the number of rows."""
    order = np.argsort(score, kind="stable")
    first = np.flatnonzero(np.r_[True, np.diff(score[order]) != 0])
    won = np.empty(len(weights))
    for at in range(0, len(weights), AT_ONCE):
        part = weights[at : at + AT_ONCE, order]
        above, below = (
            np.add.reduceat(part * side[order], first, axis=1) for side in (positive, ~positive)
        )
        lower = np.cumsum(below, axis=1) - below
        won[at : at + AT_ONCE] = (above * (lower + below / 2)).sum(axis=1)
    return won


def are_unlike(folds: Sequence[Runs]) -> bool:
    """Tells whether folds test unlike classes: `POOLED` are then of all folds together.

    A mean over the classes of each fold is no mean over all of them: of babies left out one by one,
    each well or ill, guessing had a balanced accuracy far above one half. Decisions of different
    models may be counted together, as Forman and Scholz 2010 do
    (https://doi.org/10.1145/1882471.1882479); scores may not be ranked together.
    """
    return len({tuple(np.unique(runs[0].labels)) for runs in folds}) > 1


def together(runs: Runs) -> Scored:
    """Puts the predictions of several folds below each other."""
    return Scored(*map(np.concatenate, zip(*runs, strict=True)))


def resampled(
    folds: Sequence[Runs],
    statistic: Statistic = weighted_scores,
    resamples: int = 2000,
    seed: int = 0,
) -> dict[str, np.ndarray]:
    """Computes (resamples,) values by name; the draws depend on groups and seed alone.

    So the draws of two models that were scored on the same recordings belong together. Where folds
    `are_unlike`, each has the same seeds in the same order.
    """
    rng = np.random.default_rng(seed)
    owners = [np.unique(runs[0].groups, return_inverse=True)[1] for runs in folds]

    def draw(n: int) -> np.ndarray:  # (resamples, n) how often each of n is drawn
        return rng.multinomial(n, np.full(n, 1 / n), size=resamples)

    of_fold = np.full((resamples, len(folds)), 1 / len(folds))
    weights = [  # of groups; a fold of one group has nothing to draw
        draw(int(owner.max()) + 1)[:, owner].astype(float)
        if owner.any()
        else np.ones((1, len(owner)))
        for owner in owners
    ]
    if not any(owner.any() for owner in owners):
        if len(folds) == 1:  # of one group nothing can be said
            names = statistic(folds[0][0], weights[0])
            return {name: np.full(resamples, np.nan) for name in names}
        of_fold = draw(len(folds)) / len(folds)
    values = collections.defaultdict(list)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # means over no class at all are NaN
        for runs, drawn in zip(folds, weights, strict=True):
            of_runs = [statistic(run, drawn) for run in runs]
            for name in of_runs[0]:
                mean = np.mean([run[name] for run in of_runs], axis=0)
                values[name].append(np.broadcast_to(mean, (resamples,)))
    drawn = {k: np.sum(of_fold * np.stack(v, axis=1), axis=1) for k, v in values.items()}
    if are_unlike(folds):
        parts = [share[:, None] * part for share, part in zip(of_fold.T, weights, strict=True)]
        of_seeds = [
            weighted_decisions(together(seed), np.concatenate(parts, axis=1))
            for seed in zip(*folds, strict=True)
        ]
        drawn |= {k: np.mean([s[k] for s in of_seeds], axis=0) for k in POOLED if k in drawn}
    return drawn


def interval_of(values: np.ndarray) -> tuple[float, float]:
    """Computes the 2.5th and 97.5th percentile; unknown where fewer than half are finite."""
    finite = values[np.isfinite(values)]
    if len(finite) * 2 < len(values):
        return UNKNOWN
    low, high = np.percentile(finite, [2.5, 97.5])
    return float(low), float(high)


def group_bootstrap(
    folds: Sequence[Runs],
    statistic: Statistic = weighted_scores,
    *,
    resamples: int = 2000,
    seed: int = 0,
) -> Intervals:
    """Computes 95 % intervals when groups, not recordings, are drawn anew.

    Args:
      folds: The runs of each test fold. A resample's value is the mean over the runs of a fold,
        then over the folds, so that the spread over seeds is not counted again and scores of
        different models are never ranked together.
      statistic: Function of predictions and (weightings, n) weights to (weightings,) values by
        name.
      resamples: Number of draws. In each fold as many groups are drawn as it has, with
        replacement; where every fold is one group (leave one speaker out) folds are drawn
        instead. A fold of one group among larger ones keeps its score in every draw.
      seed: Seed of the draws.

    Returns:
      The 2.5th and 97.5th percentile by name; NaN where there is one group in all, or where fewer
      than half of the resamples have a value, because a class is missing in them.
    """
    drawn = resampled(folds, statistic, resamples, seed)
    return {name: interval_of(values) for name, values in drawn.items()}


def paired_bootstrap(
    ours: Sequence[Runs],
    theirs: Sequence[Runs],
    statistic: Statistic = weighted_scores,
    *,
    resamples: int = 2000,
    seed: int = 0,
) -> dict[str, tuple[float, float, float]]:
    """Computes 95 % intervals of the difference of two models on the same draws of groups.

    Args:
      ours: See `group_bootstrap`.
      theirs: The same recordings in the same order, scored by another model.
      statistic: See `group_bootstrap`.
      resamples: See `group_bootstrap`.
      seed: See `group_bootstrap`.

    Returns:
      By name the low and the high end, and the two-sided p-value that the difference is zero.

    Raises:
      ValueError: The recordings differ.
    """
    for a, b in zip(ours, theirs, strict=True):
        same = all(np.array_equal(a[0][i], b[0][i]) for i in (1, 2))
        if not same:
            raise ValueError("paired models must be scored on the same recordings in one order")
    a, b = (resampled(folds, statistic, resamples, seed) for folds in (ours, theirs))
    gains = {}
    for name in a:
        gain = a[name] - b[name]
        finite = gain[np.isfinite(gain)]
        tails = [(1 + np.sum(side)) / (1 + len(finite)) for side in (finite <= 0, finite >= 0)]
        gains[name] = (*interval_of(gain), float(min(1.0, 2 * min(tails))))
    return gains
