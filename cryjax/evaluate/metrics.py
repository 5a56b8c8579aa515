"""Scores of predictions, through scikit-learn."""

from typing import Any

import numpy as np
from sklearn import metrics as sk

from cryjax.evaluate.scoring import Scored

NAMES = ("accuracy", "balanced_accuracy", "macro_f1", "auc")


def score(scored: Scored) -> dict[str, float]:
    """Computes accuracy, balanced accuracy, macro-F1 and AUC.

    Args:
      scored: Predictions beside the truth.

    Returns:
      The four of `NAMES`. AUC is binary, or macro one-versus-rest over the classes that occur, and
      NaN where fewer than two do. All are NaN where a score is not finite.
    """
    if not scored.finite:
        return dict.fromkeys(NAMES, float("nan"))
    labels, decisions = scored.labels, scored.decisions
    zero: Any = 0  # the stubs of scikit-learn know texts alone
    recalls = [(decisions[labels == c] == c).mean() for c in np.unique(labels)]
    return {
        "accuracy": float(sk.accuracy_score(labels, decisions)),
        "balanced_accuracy": float(np.mean(recalls)),
        "macro_f1": float(sk.f1_score(labels, decisions, average="macro", zero_division=zero)),
        "auc": auc(scored.scores, labels),
    }


def auc(scores: np.ndarray, labels: np.ndarray) -> float:
    """Computes the area under the ROC curve; see `score`."""
    there = np.unique(labels)
    if len(there) < 2:
        return float("nan")
    if scores.shape[1] == 2:
        return float(sk.roc_auc_score(labels, scores[:, 1]))
    return float(np.mean([sk.roc_auc_score(labels == c, scores[:, c]) for c in there]))


def log_loss(scores: np.ndarray, labels: np.ndarray) -> float:
    """Averages the negative log-probability of the true class, in nats, capped at 1e-12."""
    return float(-np.log(np.maximum(scores[np.arange(len(labels)), labels], 1e-12)).mean())


def confusion(scored: Scored) -> np.ndarray:
    """Counts (true classes, decided classes)."""
    every = np.arange(scored.scores.shape[1])
    return sk.confusion_matrix(scored.labels, scored.decisions, labels=every)
