"""Scores of predictions, as scikit-learn defines them; its import alone would take a second."""

import numpy as np

from cryjax.evaluate.scoring import Scored

NAMES = ("accuracy", "balanced_accuracy", "macro_f1", "auc")


def score(scored: Scored) -> dict[str, float]:
    """Computes accuracy, balanced accuracy, macro-F1 and AUC.

    Args:
      scored: Predictions beside the truth.

    Returns:
      The four of `NAMES`. Balanced accuracy is the mean recall of the classes that occur; macro-F1
      the mean over those that occur or are decided for, 0 where none of a class is found. AUC is
      binary, or macro one-versus-rest over the classes that occur, and NaN where fewer than two
      do. All are NaN where a score is not finite.
    """
    if not scored.finite:
        return dict.fromkeys(NAMES, float("nan"))
    labels, decisions = scored.labels, scored.decisions
    table = confusion(scored)
    hits, true, decided = np.diag(table), table.sum(axis=1), table.sum(axis=0)
    return {
        "accuracy": float((labels == decisions).mean()),
        "balanced_accuracy": float((hits / np.maximum(true, 1))[true > 0].mean()),
        "macro_f1": float((2 * hits / np.maximum(true + decided, 1))[true + decided > 0].mean()),
        "auc": auc(scored.scores, labels),
    }


def auc(scores: np.ndarray, labels: np.ndarray) -> float:
    """Computes the area under the ROC curve; see `score`."""
    there = np.unique(labels)
    if len(there) < 2:
        return float("nan")
    if scores.shape[1] == 2:
        return _area(labels == 1, scores[:, 1])
    return float(np.mean([_area(labels == c, scores[:, c]) for c in there]))


def _area(truth: np.ndarray, score: np.ndarray) -> float:
    """Computes the share of pairs of the two sides that are ranked right; ties count one half."""
    _, place, count = np.unique(score, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(count) - (count - 1) / 2)[place]
    n = int(truth.sum())
    return float((ranks[truth].sum() - n * (n + 1) / 2) / (n * (len(truth) - n)))


def log_loss(scores: np.ndarray, labels: np.ndarray) -> float:
    """Averages the negative log-probability of the true class, in nats, capped at 1e-12."""
    return float(-np.log(np.maximum(scores[np.arange(len(labels)), labels], 1e-12)).mean())


def confusion(scored: Scored) -> np.ndarray:
    """Counts (true classes, decided classes)."""
    n = scored.scores.shape[1]
    return np.bincount(n * scored.labels + scored.decisions, minlength=n * n).reshape(n, n)
