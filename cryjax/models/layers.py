"""Layers that the encoders share: convolution, convolution with normalisation, pooling."""

from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from cryjax.models.convolution import convolve

Map = Float[Array, "batch time mel channel"]
NewMap = Float[Array, "batch new_time new_mel new_channel"]

# torch's default: U(+-1/sqrt(fan_in)); and Kaiming normal by fan-out, as torchvision's ResNets
TORCH_INIT = nnx.initializers.variance_scaling(1 / 3, "fan_in", "uniform")
KAIMING_INIT = nnx.initializers.variance_scaling(2.0, "fan_out", "normal")


class Conv(nnx.Module):
    """A 2-d convolution with a square kernel, torch's symmetric padding and no bias."""

    def __init__(self, n_in: int, n_out: int, *, kernel: int = 3, stride: int = 1, init=TORCH_INIT,
                 rngs: nnx.Rngs):  # fmt: skip
        self.kernel = nnx.Param(init(rngs.params(), (kernel, kernel, n_in, n_out)))
        self.stride = stride

    def __call__(self, x: Map) -> NewMap:
        """Convolves (batch, time, mel, in) to (batch, time', mel', out)."""
        return convolve(x, self.kernel[...], stride=self.stride)


def batch_norm(features: int, *, rngs: nnx.Rngs) -> nnx.BatchNorm:
    """Batch normalisation with torch's constants: epsilon 1e-5, momentum 0.1 (here 0.9)."""
    return nnx.BatchNorm(features, momentum=0.9, epsilon=1e-5, rngs=rngs)


class ConvNorm(nnx.Module):
    """Convolution, batch normalisation, and ReLU unless told otherwise."""

    def __init__(self, n_in: int, n_out: int, *, kernel: int = 3, stride: int = 1,
                 relu: bool = True, init=TORCH_INIT, rngs: nnx.Rngs):  # fmt: skip
        self.conv = Conv(n_in, n_out, kernel=kernel, stride=stride, init=init, rngs=rngs)
        self.norm = batch_norm(n_out, rngs=rngs)
        self.relu = relu

    def __call__(self, x: Map) -> NewMap:
        """Maps (batch, time, mel, in) to (batch, time', mel', out)."""
        x = self.norm(self.conv(x))
        return nnx.relu(x) if self.relu else x


def linear(n_in: int, n_out: int, *, use_bias: bool = True, rngs: nnx.Rngs) -> nnx.Linear:
    """A dense layer with torch's default initialisation of weight and bias."""
    bound = n_in**-0.5

    def bias_init(key, shape, dtype=jnp.float32, **_):
        return jax.random.uniform(key, shape, dtype, -bound, bound)

    return nnx.Linear(
        n_in, n_out, use_bias=use_bias, kernel_init=TORCH_INIT, bias_init=bias_init, rngs=rngs
    )


def max_pool(x: Map) -> NewMap:
    """Maximum over blocks of 2 by 2; what does not fill a block is dropped.

    Written as maxima of strided slices, whose gradient is faster on a CPU than that of XLA's window
    reduction (benchmarks/convolution.py). Ties share the gradient, which matters only where ReLU
    stops it anyway.
    """
    high, wide = (n // 2 * 2 for n in x.shape[1:3])
    x = x[:, :high, :wide]
    top, bottom = (
        jnp.maximum(x[:, ::2, ::2], x[:, ::2, 1::2]),
        jnp.maximum(x[:, 1::2, ::2], x[:, 1::2, 1::2]),
    )
    return jnp.maximum(top, bottom)


def in_eval_mode(model: Any) -> Any:
    """The same arrays seen by a module that uses running statistics and drops nothing out."""
    return nnx.view(model, use_running_average=True, deterministic=True, raise_if_not_found=False)
