"""Losses: pure functions of embeddings or logits, in nats."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from cryjax.errors import UserError
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
        raise UserError(f"temperature must be positive, got {temperature}")


def _nll(logits: Float[Array, "batch classes"], labels: Int[Array, " batch"]) -> Rows:
    log_prob = jax.nn.log_softmax(logits, axis=-1)
    return -jnp.take_along_axis(log_prob, labels[:, None], axis=-1)[:, 0]


def nt_xent_rows(z1: Embedding, z2: Embedding, *, temperature: float) -> Rows:
    """Computes `nt_xent` of each clip, the mean over its two views as anchors, (batch,)."""
    _check_temperature(temperature)
    z = l2_normalise(jnp.stack([z1, z2], axis=1))  # a clip's views side by side, on its device
    lse: Array = lse_of_others(z.reshape(-1, z.shape[-1]), temperature)
    return lse.reshape(-1, 2).mean(axis=1) - (z[:, 0] * z[:, 1]).sum(axis=-1) / temperature


def nt_xent(z1: Embedding, z2: Embedding, *, temperature: float) -> Scalar:
    """Computes the normalised-temperature cross-entropy over both views of a batch.

    Each embedding has one positive, its other view, and 2 * batch - 2 negatives. Under `jit` the
    batch is the global one, whatever its sharding. Chen et al. 2020,
    https://arxiv.org/abs/2002.05709, equation 1.

    Args:
      z1: (batch, dim) embeddings of the first views, of any length.
      z2: (batch, dim) embeddings of the second views, in the same order.
      temperature: Divisor of the cosine similarities, positive.

    Returns:
      The mean loss; log(2 * batch - 1) for embeddings that are all alike.
    """
    return nt_xent_rows(z1, z2, temperature=temperature).mean()


def info_nce_with_queue(
    query: Embedding, key: Embedding, queue: Float[Array, "size dim"], *, temperature: float
) -> Rows:
    """Computes InfoNCE of each query against its own key and a queue of negatives.

    He et al. 2020, equation 1.

    Args:
      query: (batch, dim) embeddings of the student, of any length.
      key: (batch, dim) embeddings of the teacher, of any length; no gradient flows to them.
      queue: (size, dim) unit vectors, the negatives.
      temperature: Divisor of the cosine similarities, positive.

    Returns:
      (batch,) losses; log(1 + size) where all embeddings are alike.
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
    """Contrasts the columns of two views' cluster assignments (Li et al. 2021, equation 6).

    A cluster is described by the probabilities that the clips of the batch give it. Its other view
    is its positive; all other clusters of both views are negatives. The entropy term, log(clusters)
    minus the entropy of each view's mean assignment, keeps clusters filled; SLICER's release leaves
    it out.

    Args:
      logits_a: (batch, clusters) logits of the first view.
      logits_b: (batch, clusters) logits of the second view.
      temperature: Divisor of the cosine similarities, positive.
      entropy_weight: Weight of the entropy term.
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
    """Compares the cross-correlation of two views with the identity (Zbontar et al. 2021).

    Args:
      z1: (batch, dim) embeddings of the first views.
      z2: (batch, dim) embeddings of the second views.
      on_weight: Weight of sum (c_ii - 1)^2.
      off_weight: Weight of sum of c_ij^2 over i != j.

    Returns:
      The weighted sum, and both sums for the log.
    """

    def standardised(z):
        centred = z - z.mean(axis=0, keepdims=True)
        return centred * jax.lax.rsqrt(z.var(axis=0, keepdims=True) + 1e-5)

    a, b, n = standardised(z1), standardised(z2), len(z1)
    diagonal = (a * b).mean(axis=0)
    # all squares of a'b add up to the products of aa' and bb', which are small in a small batch
    products = (a @ a.T) * (b @ b.T) if n < z1.shape[1] else (a.T @ b) ** 2
    on = ((diagonal - 1) ** 2).sum()
    off = products.sum() / n**2 - (diagonal**2).sum()
    return on_weight * on + off_weight * off, {"on_diagonal": on, "off_diagonal": off}


def cosine_distance(prediction: Embedding, target: Embedding) -> Rows:
    """Computes 2 - 2 cos of each pair, (batch,); no gradient flows to the target (BYOL)."""
    target = jax.lax.stop_gradient(l2_normalise(target))
    return 2 - 2 * (l2_normalise(prediction) * target).sum(axis=-1)


def info_nce(similarity: Float[Array, "batch batch"]) -> Rows:
    """Computes InfoNCE of each anchor, a row, against its own positive on the diagonal.

    One-sided, as COLA: positives do not look for their anchor among the others.
    """
    return _nll(similarity, jnp.arange(len(similarity)))


def cross_entropy(
    logits: Float[Array, "batch classes"],
    labels: Int[Array, " batch"],
    weights: Float[Array, " classes"],
) -> Scalar:
    """Computes weighted softmax cross-entropy: sum of w[y] * nll over sum of w[y], as torch."""
    return (weights[labels] * _nll(logits, labels)).sum() / weights[labels].sum()


def soft_cross_entropy(
    logits: Float[Array, "batch classes"], targets: Float[Array, "batch classes"]
) -> Scalar:
    """Computes the mean cross-entropy against distributions over the classes."""
    return -(targets * jax.nn.log_softmax(logits)).sum(axis=-1).mean()


def additive_angular_margin(
    cosine: Float[Array, "batch classes"],
    targets: Float[Array, "batch classes"],
    *,
    margin: float,
    scale: float,
) -> Float[Array, "batch classes"]:
    """Computes logits that ask the true class for a smaller angle (Deng et al. 2019).

    Where the angle would pass pi, the cosine falls linearly instead, as in SpeechBrain.

    Args:
      cosine: (batch, classes) cosines.
      targets: (batch, classes) one-hot or soft targets.
      margin: Angle in radians that is added for the true class.
      scale: Factor of all logits.
    """
    sine = jnp.sqrt(jnp.clip(1 - cosine**2, 1e-12, 1.0))
    moved = cosine * jnp.cos(margin) - sine * jnp.sin(margin)
    past = cosine <= jnp.cos(jnp.pi - margin)
    moved = jnp.where(past, cosine - jnp.sin(jnp.pi - margin) * margin, moved)
    return scale * (targets * moved + (1 - targets) * cosine)


def collapse_metrics(h: Float[Array, "batch features"], z1: Embedding, z2: Embedding) -> Metrics:
    """Measures whether representations collapse; no gradient flows through it.

    Args:
      h: (batch, features) representations of the first views.
      z1: (batch, dim) projections of the first views.
      z2: (batch, dim) projections of the second views.

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
