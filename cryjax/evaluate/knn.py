"""kNN over windows, the vote over a clip's windows; no training at all."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

CHUNK = 1024  # queries at a time


@functools.partial(jax.jit, static_argnames=("k", "classes", "compat"))
def _votes(
    queries: Float[Array, "queries dim"],
    query_clip: Int[Array, " queries"],
    bank: Float[Array, "bank dim"],
    bank_clip: Int[Array, " bank"],
    bank_label: Int[Array, " bank"],
    *,
    k: int,
    classes: int,
    compat: bool,
) -> Float[Array, "queries classes"]:
    """Share of each class among the k most similar windows of other clips."""
    similarity = jnp.matmul(queries, bank.T, precision=jax.lax.Precision.HIGHEST)
    own = query_clip[:, None] == bank_clip[None]
    _, nearest = jax.lax.top_k(jnp.where(own, -jnp.inf, similarity), k)
    if compat:  # positions among the others, looked up in the whole list
        before = jnp.cumsum(own, axis=1)
        nearest = nearest - jnp.take_along_axis(before, nearest, axis=1)
    return jax.nn.one_hot(bank_label[nearest], classes).mean(axis=1)


def unit(x: np.ndarray) -> np.ndarray:
    """Rows at length one; a row of zeros stays one."""
    return x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), 1e-12)


def knn_votes(
    queries: np.ndarray,
    query_clip: np.ndarray,
    bank: np.ndarray,
    bank_clip: np.ndarray,
    bank_label: np.ndarray,
    *,
    k: int,
    classes: int,
    compat: bool = False,
) -> np.ndarray:
    """Class shares among the k nearest windows by cosine similarity.

    Args:
      queries: (queries, dim) embeddings, any length.
      query_clip: (queries,) clip of each; a clip's own windows are never its neighbours.
      bank: (bank, dim) labelled embeddings.
      bank_clip: (bank,) clip of each, in the same numbering as `query_clip`.
      bank_label: (bank,) class of each.
      k: Neighbours; lowered to what the bank can give every query.
      classes: Number of classes.
      compat: Looks up labels as uclser's release does, at positions in a list without the query's
        own windows: neighbours behind them get another clip's label.

    Returns:
      (queries, classes) shares; rows sum to one. Reference: uclser card, section 6.1, with the
      neighbours' own labels (the release looks some of them up in the wrong place).
    """
    mine = np.isin(query_clip, bank_clip)
    largest = np.unique(bank_clip, return_counts=True)[1].max() if mine.any() else 0
    k = min(k, len(bank) - int(largest))
    if k < 1:
        raise ValueError(f"kNN needs windows of other clips in the bank, got {len(bank)} in all")
    bank_unit = jnp.asarray(unit(bank))
    rows = []
    for first in range(0, len(queries), CHUNK):
        take = np.minimum(np.arange(first, first + CHUNK), len(queries) - 1)
        rows.append(
            np.asarray(
                _votes(
                    jnp.asarray(unit(queries[take])), jnp.asarray(query_clip[take]), bank_unit,
                    jnp.asarray(bank_clip), jnp.asarray(bank_label), k=k, classes=classes,
                    compat=compat,
                )
            )
        )  # fmt: skip
    return np.concatenate(rows)[: len(queries)]


def vote_over_windows(votes: np.ndarray, owner: np.ndarray, clips: int) -> np.ndarray:
    """(clips, classes) share of a clip's windows that vote for each class, ties to the lowest."""
    scores = np.zeros((clips, votes.shape[1]))
    np.add.at(scores, (owner, votes.argmax(axis=1)), 1.0)
    return scores / scores.sum(axis=1, keepdims=True)
