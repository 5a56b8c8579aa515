"""Scores of predictions, through scikit-learn."""

from typing import Any

import numpy as np
from sklearn import metrics as sk

NAMES = ("accuracy", "balanced_accuracy", "macro_f1", "auc")


def score(scores: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    """Accuracy, balanced accuracy, macro-F1 and AUC.

    Args:
      scores: (n, classes), rows sum to one.
      labels: (n,) class indices.

    Returns:
      The four in `NAMES`; AUC is binary, or macro one-vs-rest over the classes that occur, and
      NaN where fewer than two do.
    """
    predicted = scores.argmax(axis=1)
    zero: Any = 0  # the stubs of scikit-learn know the strings alone
    recalls = [(predicted[labels == c] == c).mean() for c in np.unique(labels)]
    return {
        "accuracy": float(sk.accuracy_score(labels, predicted)),
        "balanced_accuracy": float(np.mean(recalls)),
        "macro_f1": float(sk.f1_score(labels, predicted, average="macro", zero_division=zero)),
        "auc": auc(scores, labels),
    }


def auc(scores: np.ndarray, labels: np.ndarray) -> float:
    """Area under the ROC curve; see `score`."""
    there = np.unique(labels)
    if len(there) < 2:
        return float("nan")
    if scores.shape[1] == 2:
        return float(sk.roc_auc_score(labels, scores[:, 1]))
    return float(np.mean([sk.roc_auc_score(labels == c, scores[:, c]) for c in there]))


def log_loss(scores: np.ndarray, labels: np.ndarray) -> float:
    """Mean negative log-probability of the true class, in nats; capped at 1e-12."""
    return float(-np.log(np.maximum(scores[np.arange(len(labels)), labels], 1e-12)).mean())


def confusion(scores: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """(classes, classes) counts, rows are the true classes."""
    every = np.arange(scores.shape[1])
    return sk.confusion_matrix(labels, scores.argmax(axis=1), labels=every)
