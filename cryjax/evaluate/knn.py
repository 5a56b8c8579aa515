"""kNN over windows, and the vote over a clip's windows; no training at all.

On the host: numpy's product is as fast as XLA's there, and its selection twice as fast.
"""

import dataclasses
from concurrent.futures import ThreadPoolExecutor

import joblib
import numpy as np

from cryjax.errors import UserError
from cryjax.evaluate.scoring import average_over

MOST_EACH = 16  # columns of a part, of which only the largest is looked at first
CHUNK = 1024  # queries that are compared at a time
BANKS = ("train", "within")
FEATURES = ("h", "z")


@dataclasses.dataclass(frozen=True)
class KnnSettings:
    """How the nearest neighbours vote.

    Attributes:
      k: Number of neighbouring windows.
      features: "h", the representation, or "z", its projection by the head of pre-training.
      released_lookup: Looks labels up at shifted positions, as the code of Fonseca et al. 2021
        does; to repeat their figures.
    """

    k: int = 20
    features: str = "h"
    released_lookup: bool = False

    def __post_init__(self):
        if self.features not in FEATURES:
            raise UserError(f"knn.features must be 'h' or 'z', got {self.features!r}")
        if self.k < 1:
            raise UserError(f"knn.k must be at least 1, got {self.k}")


def unit(x: np.ndarray) -> np.ndarray:
    """Scales rows to unit length; a row of zeros stays zero."""
    return x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-12)


def largest(values: np.ndarray, k: int) -> np.ndarray:
    """Finds the columns of the k largest values of each row, in no order.

    The k-th largest of the maxima of disjoint parts of a row is no larger than its k-th largest
    value, so that what is below is left out in one pass. Parts are strided, because neighbours,
    such as the windows of one recording, tend to be large together.

    Args:
      values: (rows, columns) without NaN, of which k of each row are finite.
      k: At most the number of columns.

    Returns:
      (rows, k) columns.
    """
    rows, columns = values.shape
    each = min(MOST_EACH, columns // (4 * k))
    if each < 2:
        return np.argpartition(values, -k, axis=1)[:, -k:]
    parts = values[:, : columns // each * each].reshape(rows, each, -1)
    least = np.partition(parts.max(axis=1), -k, axis=1)[:, -k, None]
    row, column = np.divmod(np.flatnonzero(values >= least), columns)
    count = np.bincount(row, minlength=rows)
    place = np.arange(len(row)) - np.repeat(np.cumsum(count) - count, count)
    candidates = np.zeros((rows, count.max()), int)
    candidates[row, place] = column
    found = np.full(candidates.shape, -np.inf, values.dtype)
    found[row, place] = values[row, column]
    best = np.argpartition(found, -k, axis=1)[:, -k:]
    return np.take_along_axis(candidates, best, axis=1)


def _nearest(similarity: np.ndarray, k: int) -> np.ndarray:
    """Finds the (rows, k) columns of the largest values of each row, in no order."""
    cores = joblib.cpu_count()
    with ThreadPoolExecutor(cores) as pool:
        parts = pool.map(lambda part: largest(part, k), np.array_split(similarity, cores))
        return np.concatenate(list(parts))


def knn_shares(
    queries: np.ndarray,
    query_clip: np.ndarray,
    bank: np.ndarray,
    bank_clip: np.ndarray,
    bank_label: np.ndarray,
    settings: KnnSettings,
    *,
    classes: int,
) -> np.ndarray:
    """Computes class shares among the k nearest windows by cosine similarity.

    Args:
      queries: (queries, dim) embeddings of any length.
      query_clip: (queries,) clip of each; a clip's own windows are never its neighbours.
      bank: (bank, dim) labelled embeddings.
      bank_clip: (bank,) clip of each, in the numbering of `query_clip`.
      bank_label: (bank,) class of each.
      settings: `k` is lowered to what the bank can give every query.
      classes: Number of classes.

    Returns:
      (queries, classes) shares; rows sum to one.

    Raises:
      UserError: The bank holds no other clip, or an embedding is not finite.
    """
    if not (np.isfinite(queries).all() and np.isfinite(bank).all()):
        raise UserError("kNN: embeddings are not finite; the encoder or its input has diverged")
    overlap = np.isin(query_clip, bank_clip).any()
    most = np.unique(bank_clip, return_counts=True)[1].max() if overlap else 0
    k = min(settings.k, len(bank) - int(most))
    if k < 1:
        raise UserError(f"kNN needs windows of other clips in the bank, got {len(bank)} in all")
    bank_unit, queries, found = unit(bank).T, unit(queries), []
    for first in range(0, len(queries), CHUNK):
        similarity = queries[first : first + CHUNK] @ bank_unit
        own = query_clip[first : first + CHUNK, None] == bank_clip[None] if overlap else None
        if own is not None:
            similarity[own] = -np.inf
        nearest = _nearest(similarity, k)
        if settings.released_lookup and own is not None:
            # positions among the others, looked up in the whole list
            nearest = nearest - np.take_along_axis(np.cumsum(own, axis=1), nearest, axis=1)
        found.append(bank_label[nearest])
    labels = np.concatenate(found) + classes * np.arange(len(queries))[:, None]
    votes = np.bincount(labels.ravel(), minlength=classes * len(queries))
    return votes.reshape(len(queries), classes) / k


def vote(shares: np.ndarray, window_to_clip: np.ndarray, clips: int) -> tuple[np.ndarray, ...]:
    """Turns the shares of windows into scores and decisions of clips.

    A clip is decided by the majority of its windows, each of which votes for its largest share;
    ties go to the lowest class (Fonseca et al. 2021). It is ranked by its mean shares, because
    votes are too coarse to rank by.

    Args:
      shares: (windows, classes).
      window_to_clip: (windows,) position of each window's clip.
      clips: Number of clips.

    Returns:
      (clips, classes) mean shares, and (clips,) decided classes.
    """
    votes = np.zeros((clips, shares.shape[1]))
    np.add.at(votes, (window_to_clip, shares.argmax(axis=1)), 1.0)
    return average_over(shares, window_to_clip, clips), votes.argmax(axis=1)
