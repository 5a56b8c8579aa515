"""From windows to recordings to groups: scores are averaged, one level at a time."""

from typing import NamedTuple

import numpy as np


def softmax(logits: np.ndarray) -> np.ndarray:
    """Probabilities over the last axis, in float64."""
    shifted = np.exp(logits.astype(np.float64) - logits.max(axis=-1, keepdims=True))
    return shifted / shifted.sum(axis=-1, keepdims=True)


def average_over(scores: np.ndarray, owner: np.ndarray, n: int) -> np.ndarray:
    """(n, classes) mean of the rows that belong to each owner 0..n-1; every owner has one."""
    total = np.zeros((n, scores.shape[1]))
    np.add.at(total, owner, scores)
    return total / np.bincount(owner, minlength=n)[:, None]


def to_groups(
    scores: np.ndarray, labels: np.ndarray, groups: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean score of each (group, label) pair; a baby with two kinds of cries counts as two.

    Returns:
      Scores, labels and group names of the pairs.
    """
    pairs, owner = np.unique(np.stack([groups, labels.astype(str)]), axis=1, return_inverse=True)
    owner = owner.ravel()
    merged = average_over(scores, owner, pairs.shape[1])
    return merged, pairs[1].astype(int), pairs[0]


class Scored(NamedTuple):
    """Predictions beside the truth.

    Attributes:
      scores: (n, classes), rows sum to one.
      labels: (n,).
      groups: (n,).
    """

    scores: np.ndarray
    labels: np.ndarray
    groups: np.ndarray

    def at(self, level: str) -> "Scored":
        """Of recordings, or averaged by group."""
        return self if level == "recording" else Scored(*to_groups(*self))
