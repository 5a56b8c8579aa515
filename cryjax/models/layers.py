"""Layers that the encoders share: convolution, normalisation, dropout and pooling."""

from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from cryjax.errors import UserError
from cryjax.models.compute import rematerialised
from cryjax.models.initializers import TORCH, torch_bias
from cryjax.types import Buffer

Map = Float[Array, "batch time mel channel"]
NewMap = Float[Array, "batch new_time new_mel new_channel"]
Channels = Float[Array, "*batch channel"]


def convolve(
    x: Map, kernel: Float[Array, "side side channel new_channel"], *, stride: int = 1
) -> NewMap:
    """Convolves images with a square kernel of odd size, zero-padded by half of it.

    XLA's CPU compiler convolves maps smaller than the kernel element by element, as they are or as
    a gradient of the input: these are cut into patches and multiplied by a matrix.

    Args:
      x: Images, channels last.
      kernel: (side, side, in, out) weights.
      stride: Step between positions along both axes.
    """
    side, edges = len(kernel), [(len(kernel) // 2, len(kernel) // 2)] * 2
    high, wide = ((n - 1) // stride + 1 for n in x.shape[1:3])
    if min(high, wide) >= side:
        return jax.lax.conv_general_dilated(
            x, kernel, (stride, stride), edges, dimension_numbers=("NHWC", "HWIO", "NHWC")
        )
    padded = jnp.pad(x, ((0, 0), *edges, (0, 0)))
    taps = [
        padded[:, i : i + stride * high : stride, j : j + stride * wide : stride]
        for i in range(side)
        for j in range(side)
    ]
    return jnp.concatenate(taps, axis=-1) @ kernel.reshape(-1, kernel.shape[-1])


class Conv(nnx.Module):
    """A 2-d convolution with a square kernel and torch's symmetric padding.

    Args:
      n_in: Input channels.
      n_out: Output channels.
      kernel: Side of the kernel, odd.
      stride: Step between positions along both axes.
      init: Initialiser of the kernel.
      use_bias: Whether a bias is added.
      rngs: Generators of the weights.
    """

    def __init__(
        self,
        n_in: int,
        n_out: int,
        *,
        kernel: int = 3,
        stride: int = 1,
        init=TORCH,
        use_bias: bool = False,
        rngs: nnx.Rngs,
    ):
        self.kernel = nnx.Param(init(rngs.params(), (kernel, kernel, n_in, n_out)))
        self.bias = nnx.data(None)
        if use_bias:
            self.bias = nnx.Param(torch_bias(kernel**2 * n_in)(rngs.params(), (n_out,)))
        self.stride, self.dtype = stride, jnp.float32

    def __call__(self, x: Map) -> NewMap:
        """Convolves (batch, time, mel, in) to (batch, time', mel', out), computed in `dtype`."""
        x, kernel = x.astype(self.dtype), self.kernel[...].astype(self.dtype)
        y = convolve(x, kernel, stride=self.stride)
        return y if self.bias is None else y + self.bias[...].astype(self.dtype)[None, None, None]


class BatchNorm(nnx.BatchNorm):
    """Batch normalisation written as x * a + b, with one a and one b for each channel.

    Values, variables and their names are those of `nnx.BatchNorm`, which subtracts the mean first.
    The gradient of this form reads a map in two sums and one pass, that of the other in five: on a
    CPU, where no pass does two things, it is a third faster (benchmarks/convolution.py).
    """

    scale: Any  # both always exist here
    bias: Any

    def __call__(self, x: Channels) -> Channels:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Normalises each channel, the last axis, by the batch or by the running statistics.

        Statistics are float32 at least. The result has the number format `dtype`, or that of x and
        the parameters together where there is none.
        """
        mean, var = self.mean[...], self.var[...]
        if not self.use_running_average:
            wide, axes = x.astype(jnp.promote_types(x.dtype, var.dtype)), range(x.ndim - 1)
            mean, square = wide.mean(axes), jnp.square(wide).mean(axes)
            var = jnp.maximum(0, square - jnp.square(mean))
            for running, now in ((self.mean, mean), (self.var, var)):
                moved = self.momentum * running[...] + (1 - self.momentum) * now
                running[...] = jax.lax.stop_gradient(moved)
        scale = self.scale[...] * jax.lax.rsqrt(var + self.epsilon)
        shift = self.bias[...] - mean * scale
        scale, shift = (jnp.expand_dims(each, range(x.ndim - 1)) for each in (scale, shift))
        y = x * scale + shift
        return y if self.dtype is None else y.astype(self.dtype)


def batch_norm(features: int, *, rngs: nnx.Rngs) -> BatchNorm:
    """Makes batch normalisation with torch's constants: epsilon 1e-5, momentum 0.1 (here 0.9)."""
    return BatchNorm(features, momentum=0.9, epsilon=1e-5, rngs=rngs)


class ConvNorm(nnx.Module):
    """Convolution, batch normalisation and, unless `relu` is false, ReLU; see `Conv`."""

    def __init__(
        self,
        n_in: int,
        n_out: int,
        *,
        kernel: int = 3,
        stride: int = 1,
        relu: bool = True,
        init=TORCH,
        use_bias: bool = False,
        rngs: nnx.Rngs,
    ):
        self.conv = Conv(
            n_in, n_out, kernel=kernel, stride=stride, init=init, use_bias=use_bias, rngs=rngs
        )
        self.norm = batch_norm(n_out, rngs=rngs)
        self.relu, self.remat = relu, False

    @rematerialised
    def __call__(self, x: Map) -> NewMap:
        """Maps (batch, time, mel, in) to (batch, time', mel', out)."""
        x = self.norm(self.conv(x))
        return nnx.relu(x) if self.relu else x


def linear(n_in: int, n_out: int, *, use_bias: bool = True, rngs: nnx.Rngs) -> nnx.Linear:
    """Makes a dense layer with torch's default initialisation of weight and bias."""
    return nnx.Linear(
        n_in, n_out, use_bias=use_bias, kernel_init=TORCH, bias_init=torch_bias(n_in), rngs=rngs
    )


class Dropout(nnx.Module):
    """Dropout with a new mask at every call.

    Key and number of calls are arrays of the module, so that checkpoints hold them and a resumed
    run draws what an uninterrupted one draws.

    Args:
      rate: Share of the values that are set to zero, in [0, 1).
      rngs: Generators of the key.
    """

    def __init__(self, rate: float, *, rngs: nnx.Rngs):
        if not 0 <= rate < 1:
            raise UserError(f"dropout must lie in [0, 1), got {rate}")
        self.rate, self.deterministic = rate, False
        self.key = Buffer(jax.random.key_data(rngs.params()))
        self.calls = Buffer(jnp.zeros((), jnp.int32))

    def set_view(self, deterministic: bool | None = None, **others):
        """Switches between training and evaluation; `nnx.view` calls it."""
        self.deterministic = self.deterministic if deterministic is None else deterministic
        return others

    def __call__(self, x: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
        """Sets a share `rate` of the values to zero and scales up the others, in training only."""
        if self.deterministic or not self.rate:
            return x
        key = jax.random.fold_in(jax.random.wrap_key_data(self.key[...]), self.calls[...])
        self.calls[...] = self.calls[...] + 1
        return jnp.where(jax.random.bernoulli(key, 1 - self.rate, x.shape), x / (1 - self.rate), 0)


def _max_along(x: Map, axis: int, window: int, step: int, pad: int) -> NewMap:
    """Takes the maximum over windows of one axis; positions that fill no window are dropped."""
    edges = [(pad, pad) if i == axis else (0, 0) for i in range(x.ndim)]
    x = jax.lax.optimization_barrier(jnp.pad(x, edges, constant_values=-jnp.inf) if pad else x)
    count = (x.shape[axis] - window) // step + 1
    if step == window:  # the gradient of a split is one concatenation
        x = jax.lax.slice_in_dim(x, 0, count * step, axis=axis)
        x = x.reshape(*x.shape[:axis], count, window, *x.shape[axis + 1 :])
        parts = [part.squeeze(axis + 1) for part in jax.lax.split(x, [1] * window, axis + 1)]
    else:
        last = (count - 1) * step + 1
        parts = [jax.lax.slice_in_dim(x, i, i + last, step, axis) for i in range(window)]
    while len(parts) > 1:
        pairs = [jnp.maximum(a, b) for a, b in zip(parts[::2], parts[1::2], strict=False)]
        parts = pairs + parts[2 * len(pairs) :]
    return parts[0]


def max_pool(
    x: Map, window: tuple[int, int] = (2, 2), *, stride: tuple[int, int] | None = None, pad: int = 0
) -> NewMap:
    """Takes the maximum over windows, side by side by default; incomplete windows are dropped.

    Written as maxima of pairs of strided slices, one axis after the other. On a CPU their gradient
    is faster than that of a reduction (benchmarks/convolution.py), and it is right: for a reduction
    and for a chain of maxima XLA's CPU compiler (jax 0.10.2) computes the input again, rounded
    otherwise, so that no element equals the maximum and its gradient is lost (7 % of CRNN's; see
    tests/models). Equal values share the gradient, which matters only where ReLU stops it.

    Args:
      x: (batch, time, mel, channel).
      window: Length of a window in time and mel.
      stride: Distance between windows; by default the window's length.
      pad: Positions added on both sides of both axes.
    """
    for axis, size, step in zip((1, 2), window, stride or window, strict=True):
        x = _max_along(x, axis, size, step, pad)
    return x


def time_means(x: Map) -> Float[Array, "batch tap"]:
    """Averages over time and flattens (mel, channel), to (batch, mel * channel)."""
    return x.mean(axis=1).reshape(len(x), -1)


def in_eval_mode(model: Any) -> Any:
    """Returns a view of the same arrays that uses running statistics and drops nothing out."""
    return nnx.view(model, use_running_average=True, deterministic=True, raise_if_not_found=False)
