"""Heads: what stands on a representation while it is trained or judged."""

import itertools

import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from cryjax.models.layers import batch_norm, linear
from cryjax.types import Fixed

Features = Float[Array, "batch features"]
CLASSIFIERS = ("linear", "cosine")


class Projector(nnx.Module):
    """Linear layers with batch norm and ReLU between them: thrown away after pre-training.

    By default uclser's: linear, batch norm, ReLU, linear (card, section 5).

    Attributes:
      settings: All that it takes to build it again, besides `features`.
    """

    def __init__(
        self,
        features: int,
        *,
        hidden: int = 512,
        dim: int = 512,
        layers: int = 2,
        norm: bool = True,
        last_norm: bool = False,
        use_bias: bool = True,
        rngs: nnx.Rngs,
    ):
        """Args are sizes.

        Args:
          features: Of the input.
          hidden: Units of every layer but the last.
          dim: Of the output.
          layers: Number of linear layers; 1 is a single one.
          norm: Batch norm after every layer but the last.
          last_norm: Batch norm after the last one too (Ubenwa).
          use_bias: In every linear layer.
          rngs: For the weights.
        """
        if layers < 1:
            raise ValueError(f"projector.layers must be at least 1, got {layers}")
        self.settings = {
            "hidden": hidden,
            "dim": dim,
            "layers": layers,
            "norm": norm,
            "last_norm": last_norm,
            "use_bias": use_bias,
        }
        sizes = [features, *[hidden] * (layers - 1)]
        pairs = itertools.pairwise(sizes)
        self.hidden = nnx.List([linear(a, b, use_bias=use_bias, rngs=rngs) for a, b in pairs])
        n_norms = layers - 1 if norm else 0
        self.norms = nnx.List([batch_norm(hidden, rngs=rngs) for _ in range(n_norms)])
        self.out = linear(sizes[-1], dim, use_bias=use_bias, rngs=rngs)
        self.last_norm = batch_norm(dim, rngs=rngs) if last_norm else nnx.data(None)

    def __call__(self, h: Features) -> Float[Array, "batch dim"]:
        """Projects representations; losses normalise them to unit length."""
        x = h
        for i, layer in enumerate(self.hidden):
            x = layer(x)
            x = nnx.relu(self.norms[i](x) if len(self.norms) else x)
        x = self.out(x)
        return x if self.last_norm is None else self.last_norm(x)


class Classifier(nnx.Module):
    """One linear layer from standardised representation to logits.

    Attributes:
      mean: Taken out of every feature; 0 until set.
      std: Divides every feature; 1 until set.
    """

    def __init__(self, features: int, classes: int, *, rngs: nnx.Rngs):
        self.mean, self.std = Fixed(jnp.zeros(features)), Fixed(jnp.ones(features))
        self.out = linear(features, classes, rngs=rngs)

    def __call__(self, h: Features) -> Float[Array, "batch classes"]:
        """Scores every class."""
        return self.out((h - self.mean[...][None]) / self.std[...][None])

    def standardise_by(self, h: Float[Array, "samples features"]) -> None:
        """Sets the statistics to those of a sample, so that encoders of any scale compare.

        A feature that hardly varies keeps the scale of the others.
        """
        std = h.std(axis=0)
        self.mean[...], self.std[...] = h.mean(axis=0), jnp.maximum(std, 0.01 * std.mean() + 1e-12)


class CosineClassifier(nnx.Module):
    """The cosine between representation and one weight vector a class (Ubenwa card, section 2)."""

    def __init__(self, features: int, classes: int, *, rngs: nnx.Rngs):
        init = nnx.initializers.xavier_uniform()
        self.kernel = nnx.Param(init(rngs.params(), (features, classes)))

    def __call__(self, h: Features) -> Float[Array, "batch classes"]:
        """Scores every class within [-1, 1], whatever the scale of the representation."""
        unit = lambda x, axis: x / jnp.maximum(jnp.linalg.norm(x, axis=axis, keepdims=True), 1e-12)  # noqa: E731
        return unit(h, 1) @ unit(self.kernel[...], 0)


class Similarity(nnx.Module):
    """COLA's bilinear similarity: a' W p after layer norm and tanh (card, section 5)."""

    def __init__(self, dim: int, *, rngs: nnx.Rngs):
        self.norm = nnx.LayerNorm(dim, epsilon=1e-3, rngs=rngs)
        self.kernel = nnx.Param(0.05 * rngs.params.normal((dim, dim)))

    def __call__(
        self, anchor: Float[Array, "batch dim"], positive: Float[Array, "batch dim"]
    ) -> Float[Array, "batch batch"]:
        """Scores every anchor against every positive."""
        anchor, positive = jnp.tanh(self.norm(anchor)), jnp.tanh(self.norm(positive))
        return anchor @ self.kernel[...] @ positive.T
