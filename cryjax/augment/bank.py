"""Mixing with past patches, drawn at random or from a distant cluster (k-mix)."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Bool, Float, Int

from cryjax.augment.steps import Context
from cryjax.errors import UserError
from cryjax.types import Buffer, Constant, Mel, RngKey, Views

TINY = 1.1920929e-7
SPACES = ("normalised", "raw")
ITERATIONS = 20  # of k-means
Clusters = Int[Array, " batch"]


def log_mixup_exp(x: Views, z: Views, lam: Float[Array, "batch views"]) -> Views:
    """Mixes natural-log mels in linear power, ln((1 - lam) e^x + lam e^z + 1.19e-7).

    Niizumi et al. 2021, section III-B.

    Args:
      x: Normalised log-mel views.
      z: Partners of the same shape.
      lam: (batch, views) weight of the partner.
    """
    weight = lam[:, :, None, None]
    return jnp.log((1 - weight) * jnp.exp(x) + weight * jnp.exp(z) + TINY)


class LogMixup(nnx.Module):
    """Log-mixup-exp with partners from a first-in-first-out bank of past patches (BYOL-A).

    A batch draws from the bank as the batches before it left it, a partner for every view; then
    the first view of each clip is put in, un-mixed. An empty bank leaves the views unchanged.

    Args:
      frames: Length of a patch in frames.
      mels: Number of bands of a patch.
      alpha: Upper end of the partner's weight lambda ~ U(0, alpha), in [0, 1].
      size: Number of patches in the bank, at least a batch.
    """

    def __init__(self, *, frames: int, mels: int, alpha: float = 0.4, size: int = 2048):
        if not 0 <= alpha <= 1:
            raise UserError(f"alpha must lie in [0, 1], got {alpha}")
        self.alpha, self.size = alpha, size
        self.items = Buffer(jnp.zeros((size, frames, mels), jnp.float16))
        self.count = Buffer(jnp.zeros((), jnp.int32))

    @property
    def filled(self) -> Int[Array, ""]:
        """Number of patches in the bank."""
        return jnp.minimum(self.count[...], self.size)

    def partners(self, key: RngKey, views: Views) -> Int[Array, "batch views"]:
        """Draws the position in the bank of each view's partner."""
        drawn = jax.random.uniform(key, views.shape[:2])
        return (drawn * self.filled).astype(jnp.int32)

    def push(self, mel: Mel) -> Int[Array, " batch"]:
        """Replaces the oldest patches by these and returns the positions."""
        if len(mel) > self.size:
            raise UserError(f"the bank of {self.size} must hold a batch of {len(mel)}")
        where = (self.count[...] + jnp.arange(len(mel))) % self.size
        self.items[...] = self.items[...].at[where].set(mel.astype(jnp.float16))
        self.count[...] = self.count[...] + len(mel)
        return where

    def __call__(self, key: RngKey, views: Views, context: Context | None = None) -> Views:
        """Mixes every view of a batch with its partner."""
        del context
        k_lam, k_partner = jax.random.split(key)
        lam = self.alpha * jax.random.uniform(k_lam, views.shape[:2])
        partner = self.items[...][self.partners(k_partner, views)].astype(views.dtype)
        mixed = jnp.where(self.filled > 0, log_mixup_exp(views, partner, lam), views)
        self.push(jax.lax.stop_gradient(views[:, 0]))
        return mixed


def nearest(mean: Float[Array, "batch mels"], centroids: Float[Array, "k mels"]) -> Clusters:
    """Finds the nearest unit centroid: that of the largest product, whatever a vector's length."""
    return jnp.argmax(mean @ centroids.T, axis=1)


def far_candidates(
    query: Clusters,
    clusters: Int[Array, " size"],
    centroids: Float[Array, "k mels"],
    filled: Int[Array, ""],
    start: Int[Array, ""],
    *,
    top_k: int,
) -> Bool[Array, "batch size"]:
    """Finds the partners that k-mix may draw: the oldest members of the farthest filled cluster.

    Args:
      query: (batch,) cluster of each query.
      clusters: (size,) cluster of each place of the bank.
      centroids: (clusters, mels) unit vectors.
      filled: Number of places in use, from the first on.
      start: Place of the oldest patch.
      top_k: Largest number of candidates.

    Returns:
      A (batch, size) mask of places; a row is empty only where the bank is.
    """
    size = len(clusters)
    distance = jnp.linalg.norm(centroids[:, None] - centroids[None], axis=-1)
    rank = jnp.argsort(jnp.argsort(-distance, axis=1, stable=True), axis=1)  # 0: the farthest
    used = jnp.arange(size) < filled
    ranks = jnp.where(used[None], rank[query][:, clusters], len(centroids))
    member = (ranks == ranks.min(axis=1, keepdims=True)) & used[None]
    in_order = (start + jnp.arange(size)) % size
    first = jnp.cumsum(member[:, in_order], axis=1) <= top_k
    return member & jnp.zeros_like(member).at[:, in_order].set(first)


class KMix(LogMixup):
    """Mixes with partners from the cluster farthest from the view's own (Seth et al. 2023).

    The centroids are unit vectors of time-averaged log-mels, fitted once with k-means before
    training (`fit_banks`). While the bank holds fewer than `top_k` patches, any of them may be
    drawn.

    Args:
      frames: Length of a patch in frames.
      mels: Number of bands of a patch.
      alpha: Upper end of the partner's weight, in [0, 1].
      size: Number of patches in the bank.
      clusters: Number of k-means clusters.
      top_k: Largest number of candidates, the oldest.
      space: What is clustered: "normalised" log-mels, or "raw" ones as LAPE's release does.
    """

    def __init__(
        self,
        *,
        frames: int,
        mels: int,
        alpha: float = 0.4,
        size: int = 2048,
        clusters: int = 4,
        top_k: int = 128,
        space: str = "normalised",
    ):
        super().__init__(frames=frames, mels=mels, alpha=alpha, size=size)
        if space not in SPACES:
            raise UserError(f"k_mix.space must be one of {', '.join(SPACES)}, got {space!r}")
        self.top_k, self.space = top_k, space
        self.centroids = Constant(jnp.zeros((clusters, mels)))
        self.clusters = Buffer(jnp.zeros(size, jnp.int32))

    def fit(self, mean: Float[Array, "patches mels"], *, seed: int) -> None:
        """Fits the centroids by spherical k-means: 20 iterations, the best of four starts.

        Args:
          mean: Time-averaged log-mels of random patches, in the space that is clustered.
          seed: Seed of the starts.
        """
        from sklearn.cluster import KMeans

        unit = np.array(mean / jnp.maximum(jnp.linalg.norm(mean, axis=1, keepdims=True), 1e-12))
        k = self.centroids.shape[0]
        means: Any = {"n_init": 4, "max_iter": ITERATIONS}
        found = jnp.asarray(KMeans(k, **means, random_state=seed).fit(unit).cluster_centers_)
        found = found.astype(jnp.float32)
        self.centroids[...] = found / jnp.linalg.norm(found, axis=1, keepdims=True)

    def partners(self, key: RngKey, views: Views) -> Int[Array, "batch views"]:
        """Draws as `LogMixup.partners` does, among the candidates."""
        query = nearest(views.mean(axis=2).reshape(-1, views.shape[-1]), self.centroids[...])
        start = jnp.where(self.count[...] > self.size, self.count[...] % self.size, 0)
        far = far_candidates(
            query, self.clusters[...], self.centroids[...], self.filled, start, top_k=self.top_k
        )
        few = self.filled < self.top_k
        mask = jnp.where(few, (jnp.arange(self.size) < self.filled)[None], far)
        logits = jnp.where(mask, 0.0, -jnp.inf).at[:, 0].max(jnp.where(self.filled, -jnp.inf, 0.0))
        return jax.random.categorical(key, logits, axis=1).reshape(views.shape[:2])

    def push(self, mel: Mel) -> Int[Array, " batch"]:
        """Does what `LogMixup.push` does, and remembers the clusters."""
        where = super().push(mel)
        found = nearest(mel.mean(axis=1), self.centroids[...])
        self.clusters[...] = self.clusters[...].at[where].set(found)
        return where
