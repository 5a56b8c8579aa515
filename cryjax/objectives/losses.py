"""Losses as pure functions of embeddings or logits."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from cryjax.objectives.contrast import lse_of_others, lse_of_queue, mean_potential
from cryjax.types import Metrics, Scalar

Rows = Float[Array, " batch"]
Embedding = Float[Array, "batch dim"]


def l2_normalise(x: Float[Array, "*batch dim"]) -> Float[Array, "*batch dim"]:
    """Scales every vector to unit length; a zero vector stays zero."""
    square = jnp.sum(x**2, axis=-1, keepdims=True)
    return x * jax.lax.rsqrt(jnp.maximum(square, 1e-24))


def _check_temperature(temperature: float) -> None:
    if temperature <= 0:
        raise ValueError(f"temperature must be positive, got {temperature}")


def _nll(logits: Float[Array, "batch classes"], labels: Int[Array, " batch"]) -> Rows:
    log_prob = jax.nn.log_softmax(logits, axis=-1)
    return -jnp.take_along_axis(log_prob, labels[:, None], axis=-1)[:, 0]


def nt_xent_rows(z1: Embedding, z2: Embedding, *, temperature: float) -> Rows:
    """NT-Xent of each clip, the mean over its two views as anchors; see `nt_xent`."""
    _check_temperature(temperature)
    z = l2_normalise(jnp.stack([z1, z2], axis=1))  # a clip's views side by side, on its device
    lse: Array = lse_of_others(z.reshape(-1, z.shape[-1]), temperature)
    return lse.reshape(-1, 2).mean(axis=1) - (z[:, 0] * z[:, 1]).sum(axis=-1) / temperature


def nt_xent(z1: Embedding, z2: Embedding, *, temperature: float) -> Scalar:
    """Normalized-temperature cross-entropy over both views of a batch.

    Each embedding has one positive, its other view, and `2 * batch - 2` negatives. Under `jit`
    the batch is the global one, whatever its sharding. Reference: Chen et al. 2020,
    https://arxiv.org/abs/2002.05709, eq. 1.

    Args:
      z1: Embeddings of the first views, any length.
      z2: Embeddings of the second views, in the same order.
      temperature: Divisor of the cosine similarities, positive.

    Returns:
      The mean loss in nats; `log(2 * batch - 1)` for embeddings that are all alike.
    """
    return nt_xent_rows(z1, z2, temperature=temperature).mean()


def queue_contrast(
    query: Embedding, key: Embedding, queue: Float[Array, "size dim"], *, temperature: float
) -> Rows:
    """InfoNCE of each query against its own key and a queue of others (He et al. 2020, eq. 1).

    Args:
      query: Of the student, any length.
      key: Of the teacher, any length; no gradient flows to it.
      queue: Unit vectors, the negatives.
      temperature: Divisor of the cosine similarities.

    Returns:
      The loss of each query; `log(1 + size)` where all are alike.
    """
    _check_temperature(temperature)
    query, key = l2_normalise(query), jax.lax.stop_gradient(l2_normalise(key))
    positive = (query * key).sum(axis=-1) / temperature
    return jnp.logaddexp(positive, lse_of_queue(query, queue, temperature)) - positive


def cluster_contrast(
    logits_a: Float[Array, "batch clusters"],
    logits_b: Float[Array, "batch clusters"],
    *,
    temperature: float,
    entropy_weight: float,
) -> Scalar:
    """Contrasts the columns of two views' cluster assignments (Li et al. 2021, eq. 6).

    A cluster is described by what every clip of the batch gives it; its other view is its positive,
    all other clusters of both views are negatives. The entropy term, log(clusters) - H of the mean
    assignment of each view, keeps the clusters filled; SLICER's release leaves it out.
    """
    a, b = jax.nn.softmax(logits_a), jax.nn.softmax(logits_b)
    loss = nt_xent(a.T, b.T, temperature=temperature)
    for y in (a, b):
        p = y.mean(axis=0)
        entropy = -jax.scipy.special.xlogy(p, p).sum()
        loss += entropy_weight * (jnp.log(len(p)) - entropy)
    return loss


def barlow(
    z1: Embedding, z2: Embedding, *, on_weight: float, off_weight: float
) -> tuple[Scalar, Metrics]:
    """Barlow Twins: the views' cross-correlation should be the identity (Zbontar et al. 2021).

    Returns:
      on_weight * sum (c_ii - 1)^2 + off_weight * sum_{i != j} c_ij^2, and both sums.
    """

    def standardised(z):
        centred = z - z.mean(axis=0, keepdims=True)
        return centred * jax.lax.rsqrt(z.var(axis=0, keepdims=True) + 1e-5)

    c = standardised(z1).T @ standardised(z2) / len(z1)
    diagonal = jnp.diagonal(c)
    on = ((diagonal - 1) ** 2).sum()
    off = (c**2).sum() - (diagonal**2).sum()
    return on_weight * on + off_weight * off, {"on_diagonal": on, "off_diagonal": off}


def cosine_distance(prediction: Embedding, target: Embedding) -> Rows:
    """2 - 2 cos of each pair, the target without gradient (BYOL, Grill et al. 2020)."""
    target = jax.lax.stop_gradient(l2_normalise(target))
    return 2 - 2 * (l2_normalise(prediction) * target).sum(axis=-1)


def row_contrast(similarity: Float[Array, "batch batch"]) -> Rows:
    """Cross-entropy of each anchor's row against its own positive: COLA's one-sided loss."""
    return _nll(similarity, jnp.arange(len(similarity)))


def cross_entropy(
    logits: Float[Array, "batch classes"],
    labels: Int[Array, " batch"],
    weights: Float[Array, " classes"],
) -> Scalar:
    """Weighted softmax cross-entropy: sum of w[y] * nll over sum of w[y], as in torch."""
    return (weights[labels] * _nll(logits, labels)).sum() / weights[labels].sum()


def soft_cross_entropy(
    logits: Float[Array, "batch classes"], targets: Float[Array, "batch classes"]
) -> Scalar:
    """Cross-entropy against distributions over the classes."""
    return -(targets * jax.nn.log_softmax(logits)).sum(axis=-1).mean()


def additive_angular_margin(
    cosine: Float[Array, "batch classes"],
    targets: Float[Array, "batch classes"],
    *,
    margin: float,
    scale: float,
) -> Float[Array, "batch classes"]:
    """Logits that ask the true class for an angle smaller by `margin` (Deng et al. 2019).

    Where the angle would pass pi, the cosine falls linearly instead, as in SpeechBrain.
    """
    sine = jnp.sqrt(jnp.clip(1 - cosine**2, 1e-12, 1.0))
    moved = cosine * jnp.cos(margin) - sine * jnp.sin(margin)
    past = cosine <= jnp.cos(jnp.pi - margin)
    moved = jnp.where(past, cosine - jnp.sin(jnp.pi - margin) * margin, moved)
    return scale * (targets * moved + (1 - targets) * cosine)


def health(h: Float[Array, "batch features"], z1: Embedding, z2: Embedding) -> Metrics:
    """Signs of collapse.

    Returns:
      "feature_std": mean standard deviation of unit-length projections, 1/sqrt(dim) at best;
      "effective_rank": participation ratio of the representations' covariance, 1 when collapsed;
      "alignment": mean squared distance of positives (lower is closer); "uniformity": log of the
      mean Gaussian potential of the first views, 0 when collapsed (Wang & Isola 2020).
    """
    h, z1, z2 = (jax.lax.stop_gradient(x.astype(jnp.float32)) for x in (h, z1, z2))
    u1, u2 = l2_normalise(z1), l2_normalise(z2)
    centred = h - h.mean(axis=0, keepdims=True)
    gram = centred @ centred.T if len(h) < h.shape[1] else centred.T @ centred  # equal norms
    rank = jnp.trace(gram) ** 2 / jnp.maximum((gram**2).sum(), 1e-24)
    return {
        "feature_std": u1.std(axis=0).mean(),
        "effective_rank": rank,
        "alignment": ((u1 - u2) ** 2).sum(axis=-1).mean(),
        "uniformity": jnp.log(mean_potential(u1)),
    }
