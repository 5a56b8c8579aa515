"""Convolution as the platform likes it best; one definition, the same numbers everywhere.

XLA's CPU convolution is fast forward and backward to the input, and falls off a cliff in two
places: the gradient of the kernel on large maps, and maps with fewer positions than the kernel. On
a CPU both are written as patches times a matrix (benchmarks/convolution.py measures it); elsewhere
XLA's own convolution is used throughout.
"""

import functools
import math

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

LARGE = 128  # positions from which the kernel's gradient is taken patch by patch

Image = Float[Array, "batch high wide channel"]
Kernel = Float[Array, "side side in out"]


def _direct(x: Image, kernel: Kernel, stride: int) -> Array:
    """XLA's convolution with torch's symmetric padding `size // 2`."""
    pad = kernel.shape[0] // 2
    return jax.lax.conv_general_dilated(
        x, kernel, (stride, stride), ((pad, pad), (pad, pad)),
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
    )  # fmt: skip


def _patches(x: Image, size: int, stride: int) -> Float[Array, "batch new_high new_wide patch"]:
    """Every position's neighbourhood, flattened in the order of the kernel's rows."""
    pad = size // 2
    high, wide = ((n + 2 * pad - size) // stride + 1 for n in x.shape[1:3])
    x = jnp.pad(x, ((0, 0), (pad, pad), (pad, pad), (0, 0)))
    rows, columns = stride * (high - 1) + 1, stride * (wide - 1) + 1
    shifts = [
        x[:, i : i + rows : stride, j : j + columns : stride]
        for i in range(size)
        for j in range(size)
    ]
    return jnp.concatenate(shifts, axis=-1)


def _as_patches(x: Image, kernel: Kernel, stride: int) -> Array:
    return _patches(x, kernel.shape[0], stride) @ kernel.reshape(-1, kernel.shape[-1])


def _kernel_gradient(
    x: Image, grad: Float[Array, "batch new_high new_wide out"], size: int, stride: int
) -> Kernel:
    """Sum over images of patches^T grad, one image at a time so that patches stay in the cache.

    The batch is cut by device first: a scan over a sharded axis would gather it.
    """
    shards = math.gcd(len(x), jax.device_count())
    x, grad = (a.reshape(shards, -1, 1, *a.shape[1:]) for a in (x, grad))

    def add(total, image_and_grad):
        image, g = image_and_grad
        patches = _patches(image, size, stride)
        patches, g = patches.reshape(-1, patches.shape[-1]), g.reshape(-1, g.shape[-1])
        return total + jnp.matmul(patches.T, g, preferred_element_type=total.dtype), None

    def one_shard(x, grad):
        zero = jnp.zeros((size * size * x.shape[-1], grad.shape[-1]))  # summed in float32
        return jax.lax.scan(add, zero, (x, grad))[0]

    total = jax.vmap(one_shard)(x, grad).sum(axis=0).astype(x.dtype)
    return total.reshape(size, size, x.shape[-1], grad.shape[-1])


@functools.partial(jax.custom_vjp, nondiff_argnums=(2,))
def _on_cpu(x: Image, kernel: Kernel, stride: int) -> Array:
    return _direct(x, kernel, stride)


def _forward(x, kernel, stride):
    return _direct(x, kernel, stride), (x, kernel)


def _backward(stride, saved, grad):
    x, kernel = saved
    (dx,) = jax.vjp(lambda x: _direct(x, kernel, stride), x)[1](grad)
    return dx, _kernel_gradient(x, grad, kernel.shape[0], stride)


_on_cpu.defvjp(_forward, _backward)


def convolve(
    x: Float[Array, "batch high wide in"], kernel: Kernel, *, stride: int = 1
) -> Float[Array, "batch new_high new_wide out"]:
    """Convolves images with a square kernel of odd size, zero-padded by half of it.

    Args:
      x: Images, channels last.
      kernel: Weights.
      stride: Step between positions.
    """
    positions, size = x.shape[1] * x.shape[2], kernel.shape[0]
    if jax.default_backend() != "cpu":
        return _direct(x, kernel, stride)
    if positions < size**2:
        return _as_patches(x, kernel, stride)
    if positions >= LARGE * stride**2 and size > 1:
        return _on_cpu(x, kernel, stride)
    return _direct(x, kernel, stride)
