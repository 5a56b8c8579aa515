"""Heads: small networks on a representation, for training and for evaluation."""

import dataclasses
import itertools

import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from cryjax.errors import UserError
from cryjax.models.initializers import XAVIER, draw
from cryjax.models.layers import batch_norm, linear
from cryjax.types import Constant

Features = Float[Array, "batch features"]


@dataclasses.dataclass(frozen=True)
class ProjectorSettings:
    """Sizes of a projector; the default is that of Fonseca et al. 2021.

    Attributes:
      hidden: Units of every layer but the last.
      dim: Length of the output.
      layers: Number of linear layers.
      norm: Batch norm after every layer but the last.
      last_norm: Batch norm after the last layer too (Gorin et al. 2023).
      use_bias: Whether linear layers have a bias.
      last_bias: Whether the last of them has one; None is as the others.
    """

    hidden: int = 512
    dim: int = 512
    layers: int = 2
    norm: bool = True
    last_norm: bool = False
    use_bias: bool = True
    last_bias: bool | None = None

    def __post_init__(self):
        if self.layers < 1:
            raise UserError(f"projector.layers must be at least 1, got {self.layers}")


class Projector(nnx.Module):
    """Linear layers with batch norm and ReLU between them, thrown away after pre-training.

    Args:
      features: Length of the input.
      settings: Sizes.
      rngs: Generators of the weights.

    Attributes:
      settings: Sizes, to build it again.
    """

    def __init__(
        self, features: int, settings: ProjectorSettings = ProjectorSettings(), *, rngs: nnx.Rngs
    ):
        self.settings, hidden = settings, settings.hidden
        sizes = [features, *[hidden] * (settings.layers - 1)]
        use_bias = settings.use_bias
        self.hidden = nnx.List(
            [linear(a, b, use_bias=use_bias, rngs=rngs) for a, b in itertools.pairwise(sizes)]
        )
        n_norms = settings.layers - 1 if settings.norm else 0
        self.norms = nnx.List([batch_norm(hidden, rngs=rngs) for _ in range(n_norms)])
        last = use_bias if settings.last_bias is None else settings.last_bias
        self.out = linear(sizes[-1], settings.dim, use_bias=last, rngs=rngs)
        self.last_norm = nnx.data(None)
        if settings.last_norm:
            self.last_norm = batch_norm(settings.dim, rngs=rngs)

    def __call__(self, h: Features) -> Float[Array, "batch dim"]:
        """Projects (batch, features) to (batch, dim); losses scale it to unit length."""
        x = h
        for i, layer in enumerate(self.hidden):
            x = layer(x)
            x = nnx.relu(self.norms[i](x) if len(self.norms) else x)
        x = self.out(x)
        return x if self.last_norm is None else self.last_norm(x)


class Classifier(nnx.Module):
    """One linear layer from a standardised representation to logits.

    Args:
      features: Length of the representation.
      classes: Number of classes.
      rngs: Generators of the weights.

    Attributes:
      mean: (features,) subtracted from every representation; 0 until set.
      std: (features,) divides every representation; 1 until set.
    """

    def __init__(self, features: int, classes: int, *, rngs: nnx.Rngs):
        self.mean, self.std = Constant(jnp.zeros(features)), Constant(jnp.ones(features))
        self.out = linear(features, classes, rngs=rngs)

    def __call__(self, h: Features) -> Float[Array, "batch classes"]:
        """Scores every class, (batch, classes)."""
        return self.out((h - self.mean[...][None]) / self.std[...][None])

    def standardise_by(self, h: Float[Array, "samples features"]) -> None:
        """Sets the statistics to those of a sample, so that encoders of any scale can be compared.

        The scale of a feature that hardly varies is bounded by that of the others.
        """
        std = h.std(axis=0)
        self.mean[...], self.std[...] = h.mean(axis=0), jnp.maximum(std, 0.01 * std.mean() + 1e-12)


class CosineClassifier(nnx.Module):
    """The cosine between a representation and one weight vector for each class.

    Gorin et al. 2023 use it with an additive angular margin; it has no bias.
    """

    def __init__(self, features: int, classes: int, *, rngs: nnx.Rngs):
        self.kernel = nnx.Param(XAVIER(rngs.params(), (features, classes)))

    def __call__(self, h: Features) -> Float[Array, "batch classes"]:
        """Scores every class in [-1, 1], whatever the scale of the representation."""
        unit = lambda x, axis: x / jnp.maximum(jnp.linalg.norm(x, axis=axis, keepdims=True), 1e-12)  # noqa: E731
        return unit(h, 1) @ unit(self.kernel[...], 0)


class Similarity(nnx.Module):
    """Bilinear similarity a' W p after layer norm and tanh (Saeed et al. 2021)."""

    def __init__(self, dim: int, *, rngs: nnx.Rngs):
        self.norm = nnx.LayerNorm(dim, epsilon=1e-3, rngs=rngs)
        self.kernel = nnx.Param(draw("normal", rngs.params(), (dim, dim), 0.05))

    def __call__(
        self, anchor: Float[Array, "batch dim"], positive: Float[Array, "batch dim"]
    ) -> Float[Array, "batch batch"]:
        """Scores every anchor against every positive, (batch, batch)."""
        anchor, positive = jnp.tanh(self.norm(anchor)), jnp.tanh(self.norm(positive))
        return anchor @ self.kernel[...] @ positive.T
