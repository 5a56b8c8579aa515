"""Predictions beside the truth, and the way from windows to recordings to groups."""

from typing import NamedTuple

import numpy as np


def softmax(logits: np.ndarray) -> np.ndarray:
    """Computes probabilities over the last axis, in float64."""
    shifted = np.exp(logits.astype(np.float64) - logits.max(axis=-1, keepdims=True))
    return shifted / shifted.sum(axis=-1, keepdims=True)


def average_over(values: np.ndarray, owner: np.ndarray, n: int) -> np.ndarray:
    """Averages the rows that belong to each owner.

    Args:
      values: (rows, columns).
      owner: (rows,) owner of each row, 0 to n - 1; every owner has at least one.
      n: Number of owners.

    Returns:
      (n, columns) float64 means.
    """
    total = np.zeros((n, values.shape[1]))
    np.add.at(total, owner, values)
    return total / np.bincount(owner, minlength=n)[:, None]


class Scored(NamedTuple):
    """Predictions beside the truth.

    Attributes:
      scores: (n, classes) scores by which recordings are ranked; rows sum to one, or are NaN
        where a run diverged.
      labels: (n,) class indices.
      groups: (n,) names of groups.
      decisions: (n,) class that each row is assigned to.
    """

    scores: np.ndarray
    labels: np.ndarray
    groups: np.ndarray
    decisions: np.ndarray

    @classmethod
    def of(
        cls,
        scores: np.ndarray,
        labels: np.ndarray,
        groups: np.ndarray,
        decisions: np.ndarray | None = None,
    ) -> "Scored":
        """Builds predictions; without decisions the class of the highest score is decided for."""
        chosen = scores.argmax(axis=1) if decisions is None else decisions
        return cls(scores, labels, groups, chosen)

    @property
    def finite(self) -> bool:
        """Whether all scores are finite."""
        return bool(np.isfinite(self.scores).all())

    def select(self, rows: np.ndarray) -> "Scored":
        """Selects some rows by position or mask."""
        return Scored(*(array[rows] for array in self))

    def at(self, level: str) -> "Scored":
        """Returns the predictions of recordings, or those averaged by group."""
        return self if level == "recording" else _by_group(self)


def _by_group(scored: Scored) -> Scored:
    """Averages the scores of each (group, label) pair: a baby with two kinds of cries is two."""
    keys = np.stack([scored.groups, scored.labels.astype(str)])
    pairs, owner = np.unique(keys, axis=1, return_inverse=True)
    means = average_over(scored.scores, owner.ravel(), pairs.shape[1])
    return Scored.of(means, pairs[1].astype(int), pairs[0])
