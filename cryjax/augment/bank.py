"""Mixing with what was seen before: a bank of past patches, by chance or far by k-means."""

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Bool, Float, Int

from cryjax.types import Fixed, Mel, Moved, RngKey, Views

TINY = 1.1920929e-7
SPACES = ("normalised", "raw")
Clusters = Int[Array, " batch"]


def log_mixup_exp(x: Views, z: Views, lam: Float[Array, "batch views"]) -> Views:
    """Mixes natural-log mels in linear power: ln((1 - lam) e^x + lam e^z + 1.19e-7) (BYOL-A)."""
    weight = lam[:, :, None, None]
    return jnp.log((1 - weight) * jnp.exp(x) + weight * jnp.exp(z) + TINY)


class LogMixup(nnx.Module):
    """Log-mixup-exp with partners from a first-in-first-out bank of past patches.

    A batch draws from the bank as the batches before it left it, every view its own partner; then
    the first view of each clip goes in, un-mixed. An empty bank leaves the views.
    """

    def __init__(self, *, frames: int, mels: int, alpha: float = 0.4, size: int = 2048):
        """Args are sizes.

        Args:
          frames: Of a patch.
          mels: Bands of a patch.
          alpha: Upper end of lambda, in [0, 1].
          size: Patches in the bank, at least a batch.
        """
        if not 0 <= alpha <= 1:
            raise ValueError(f"alpha must lie in [0, 1], got {alpha}")
        self.alpha, self.size = alpha, size
        self.items = Moved(jnp.zeros((size, frames, mels), jnp.float16))
        self.count = Moved(jnp.zeros((), jnp.int32))

    @property
    def filled(self) -> Int[Array, ""]:
        """Patches in the bank."""
        return jnp.minimum(self.count[...], self.size)

    def partners(self, key: RngKey, views: Views) -> Int[Array, "batch views"]:
        """Where in the bank each view's partner is."""
        drawn = jax.random.uniform(key, views.shape[:2])
        return (drawn * self.filled).astype(jnp.int32)

    def push(self, mel: Mel) -> Int[Array, " batch"]:
        """Puts patches in, the oldest out; says where."""
        if len(mel) > self.size:
            raise ValueError(f"the bank of {self.size} must hold a batch of {len(mel)}")
        where = (self.count[...] + jnp.arange(len(mel))) % self.size
        self.items[...] = self.items[...].at[where].set(mel.astype(jnp.float16))
        self.count[...] = self.count[...] + len(mel)
        return where

    def __call__(self, key: RngKey, views: Views) -> Views:
        """Mixes every view of a batch."""
        k_lam, k_partner = jax.random.split(key)
        lam = self.alpha * jax.random.uniform(k_lam, views.shape[:2])
        partner = self.items[...][self.partners(k_partner, views)].astype(views.dtype)
        mixed = jnp.where(self.filled > 0, log_mixup_exp(views, partner, lam), views)
        self.push(jax.lax.stop_gradient(views[:, 0]))
        return mixed


def nearest(mean: Float[Array, "batch mels"], centroids: Float[Array, "k mels"]) -> Clusters:
    """The nearest unit centroid: the one with the largest product, whatever the vector's length."""
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
    """Whom k-mix may mix with: the oldest members of the farthest cluster that has any.

    Args:
      query: Cluster of each query.
      clusters: Of each place of the bank.
      centroids: Unit vectors.
      filled: Places in use, from the first on.
      start: Place of the oldest.
      top_k: Candidates at most.

    Returns:
      A mask of the places; empty only where the bank is.
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
    """SLICER's k-mix: partners from the cluster farthest from the view's own (card, section 1.5).

    The centroids are unit vectors of time-averaged mels, fitted once with k-means; until then
    (`fitted` false) training refuses. While the bank holds fewer than `top_k`, any of it will do.

    Attributes:
      space: What the clusters are made of: "normalised" mels, or "raw" ones as LAPE did.
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
        """Args as those of `LogMixup`, and of the clusters.

        Args:
          frames: Of a patch.
          mels: Bands of a patch.
          alpha: Upper end of lambda.
          size: Patches in the bank.
          clusters: Number of k-means clusters.
          top_k: Candidates at most, the oldest.
          space: See above.
        """
        super().__init__(frames=frames, mels=mels, alpha=alpha, size=size)
        if space not in SPACES:
            raise ValueError(f"k_mix.space must be one of {', '.join(SPACES)}, got {space!r}")
        self.top_k, self.space = top_k, space
        self.centroids = Fixed(jnp.zeros((clusters, mels)))
        self.clusters = Moved(jnp.zeros(size, jnp.int32))

    def fit(self, centroids: Float[Array, "k mels"]) -> None:
        """Sets the centroids, scaled to unit length."""
        self.centroids[...] = centroids / jnp.linalg.norm(centroids, axis=1, keepdims=True)

    def partners(self, key: RngKey, views: Views) -> Int[Array, "batch views"]:
        """See `LogMixup.partners`."""
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
        """See `LogMixup.push`."""
        where = super().push(mel)
        found = nearest(mel.mean(axis=1), self.centroids[...])
        self.clusters[...] = self.clusters[...].at[where].set(found)
        return where
