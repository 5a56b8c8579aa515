"""Heads: the projector of contrastive learning and the classifier."""

import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from cryjax.models.frontend import Fixed
from cryjax.models.layers import batch_norm, linear


class Projector(nnx.Module):
    """Linear, batch norm, ReLU, linear: thrown away after pre-training (uclser card, section 5)."""

    def __init__(
        self, features: int, *, hidden: int = 512, dim: int = 512, norm: bool = True, rngs: nnx.Rngs
    ):
        self.hidden = linear(features, hidden, rngs=rngs)
        self.norm = batch_norm(hidden, rngs=rngs) if norm else nnx.data(None)
        self.out = linear(hidden, dim, rngs=rngs)

    def __call__(self, h: Float[Array, "batch features"]) -> Float[Array, "batch dim"]:
        """Projects representations; the loss normalises them to unit length."""
        x = self.hidden(h)
        x = x if self.norm is None else self.norm(x)
        return self.out(nnx.relu(x))


class Classifier(nnx.Module):
    """One linear layer from standardised representation to logits.

    Attributes:
      mean: Taken out of every feature; 0 until set.
      std: Divides every feature; 1 until set.
    """

    def __init__(self, features: int, classes: int, *, rngs: nnx.Rngs):
        self.mean, self.std = Fixed(jnp.zeros(features)), Fixed(jnp.ones(features))
        self.out = linear(features, classes, rngs=rngs)

    def __call__(self, h: Float[Array, "batch features"]) -> Float[Array, "batch classes"]:
        """Scores every class."""
        return self.out((h - self.mean[...][None]) / self.std[...][None])

    def standardise_by(self, h: Float[Array, "samples features"]) -> None:
        """Sets the statistics to those of a sample, so that encoders of any scale compare.

        A feature that hardly varies keeps the scale of the others.
        """
        std = h.std(axis=0)
        self.mean[...], self.std[...] = h.mean(axis=0), jnp.maximum(std, 0.01 * std.mean() + 1e-12)
