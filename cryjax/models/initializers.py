"""Initial weights: the values of jax.random, from few compiled programs."""

import functools
import math
from typing import Any, Literal

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

Distribution = Literal["uniform", "normal"]
MOST = 1 << 22  # values that are drawn where fewer are needed


def draw(
    distribution: Distribution, key: Any, shape: tuple[int, ...], scale: float, dtype: Any = None
) -> Float[Array, "*shape"]:
    """Draws from U(-1, 1) or N(0, 1), times a scale.

    jax.random compiles a program of 0.3 to 1 s for each shape, and an encoder has a dozen shapes.
    Its values depend on their position alone, so they are cut from flat draws of a power of four.

    Args:
      distribution: "uniform" or "normal".
      key: Key of the draw.
      shape: Shape of the result.
      scale: Factor.
      dtype: Type of the result; float32 by default.
    """
    n, dtype = math.prod(shape), dtype or jnp.float32
    bits = (n - 1).bit_length()
    drawn = max(n, min(1 << bits + bits % 2, MOST))
    if distribution == "uniform":
        values = jax.random.uniform(key, (drawn,), dtype, -1, 1)
    else:
        values = jax.random.normal(key, (drawn,), dtype)
    return _cut(values, jnp.asarray(scale, dtype), shape)


@functools.partial(jax.jit, static_argnames="shape")
def _cut(values: Array, scale: Array, shape: tuple[int, ...]) -> Array:
    return scale * values[: math.prod(shape)].reshape(shape)


def variance_scaling(
    scale: float, fan: Literal["in", "out", "mean"], distribution: Distribution
) -> Any:
    """Makes an initialiser of a kernel (..., in, out) of variance scale / fan, as jax.nn's."""

    def init(key, shape, dtype=None, **_):
        field = math.prod(shape[:-2])
        fans = {"in": field * shape[-2], "out": field * shape[-1]}
        variance = scale / fans.get(fan, sum(fans.values()) / 2)
        deviation = (3 * variance if distribution == "uniform" else variance) ** 0.5
        return draw(distribution, key, shape, deviation, dtype)

    return init


def torch_bias(n_in: int) -> Any:
    """Makes torch's default initialiser of a bias, U(+-1/sqrt(n_in))."""
    return lambda key, shape, dtype=None, **_: draw("uniform", key, shape, n_in**-0.5, dtype)


# torch's default U(+-1/sqrt(fan_in)); Kaiming normal by fan-out, as torchvision's ResNets; Glorot
TORCH = variance_scaling(1 / 3, "in", "uniform")
KAIMING = variance_scaling(2.0, "out", "normal")
XAVIER = variance_scaling(1.0, "mean", "uniform")
