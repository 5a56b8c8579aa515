"""Convolution in the form that is fastest on the platform, with the same numbers everywhere.

XLA's CPU convolution is fast forward on large maps, and slow in three places: the gradient of the
kernel, small maps, and kernels of one position. On a CPU these are written as patches times a
matrix, and the gradient of the input as a convolution forward (benchmarks/convolution.py measures
it); elsewhere XLA's own convolution is used throughout.
"""

import contextlib
import contextvars
import functools
import math
from collections.abc import Iterator

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

LARGE = 64  # new positions from which patches of a whole batch no longer stay in the cache

Image = Float[Array, "batch high wide channel"]
Kernel = Float[Array, "side side in out"]


def _direct(x: Image, kernel: Kernel, stride: int) -> Array:
    """Convolves by XLA with torch's symmetric padding `size // 2`."""
    pad = kernel.shape[0] // 2
    return jax.lax.conv_general_dilated(
        x,
        kernel,
        (stride, stride),
        ((pad, pad), (pad, pad)),
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
    )


def _patches(x: Image, size: int, stride: int) -> Float[Array, "batch new_high new_wide patch"]:
    """Collects every position's neighbourhood, flattened in the order of the kernel's rows."""
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


def _kernel_gradient(
    x: Image, grad: Float[Array, "batch new_high new_wide out"], size: int, stride: int
) -> Kernel:
    """Sums patches times grad over images, one image and one row of the kernel at a time.

    Patches of one row of the kernel are those of the others from another row of the image on, and
    stay in the cache. The batch is cut by device first, because a loop over a sharded axis would
    gather it.
    """
    pad, n_in, (high, wide, n_out) = size // 2, x.shape[-1], grad.shape[1:]
    shards = math.gcd(len(x), jax.device_count())
    x, grad = (a.reshape(shards, -1, *a.shape[1:]) for a in (x, grad))
    rows, columns = stride * (high - 1) + 1, stride * (wide - 1) + 1
    contract = functools.partial(
        jax.lax.dot_general,
        dimension_numbers=(((1,), (1,)), ((0,), (0,))),
        preferred_element_type=jnp.float32,
    )

    def add(i, total):
        image, g = (jax.lax.dynamic_index_in_dim(a, i, 1, keepdims=False) for a in (x, grad))
        image = jnp.pad(image, ((0, 0), (pad, pad), (pad, pad), (0, 0)))
        shifts = [image[:, :, j : j + columns : stride] for j in range(size)]
        patches = jnp.concatenate(shifts, axis=-1)
        g, products = g.reshape(shards, -1, n_out), []
        for j in range(size):
            row = patches[:, j : j + rows : stride].reshape(shards, -1, size * n_in)
            products.append(contract(row, g) if thin else contract(g, row))
        return total + jnp.stack(products, axis=1)

    thin = size * n_in < n_out  # the narrower operand of a product is transposed
    zero = jnp.zeros((shards, size, *((size * n_in, n_out) if thin else (n_out, size * n_in))))
    total = jax.lax.fori_loop(0, x.shape[1], add, zero).sum(axis=0).astype(x.dtype)
    return (total if thin else total.swapaxes(1, 2)).reshape(size, size, n_in, n_out)


def _is_small(x: Image, kernel: Kernel, stride: int) -> bool:
    return kernel.shape[0] == 1 or x.shape[1] * x.shape[2] < LARGE * stride**2


def _product(x: Image, kernel: Kernel, stride: int) -> Array:
    if _is_small(x, kernel, stride):
        return _patches(x, kernel.shape[0], stride) @ kernel.reshape(-1, kernel.shape[-1])
    return _direct(x, kernel, stride)


def _forward(x, kernel, stride):
    return _product(x, kernel, stride), (x, kernel)


def _backward(stride, saved, grad):
    """Barriers keep what stands before and behind from being computed again for every product."""
    (x, kernel), grad = saved, jax.lax.optimization_barrier(grad)
    size, n_out = kernel.shape[0], kernel.shape[-1]
    if _is_small(x, kernel, stride):
        patches, spread = jax.vjp(lambda x: _patches(x, size, stride), x)
        (dx,) = spread(jax.lax.optimization_barrier(grad @ kernel.reshape(-1, n_out).T))
        dkernel = jnp.tensordot(patches, grad, ((0, 1, 2), (0, 1, 2))).reshape(kernel.shape)
        return jax.lax.optimization_barrier(dx), dkernel
    if stride == 1:
        dx = _direct(grad, jnp.flip(kernel, (0, 1)).swapaxes(2, 3), 1)
    else:
        (dx,) = jax.vjp(lambda x: _direct(x, kernel, stride), x)[1](grad)
    return dx, _kernel_gradient(x, grad, size, stride)


_on_cpu = jax.custom_vjp(_product, nondiff_argnums=(2,))
_on_cpu.defvjp(_forward, _backward)


_direct_form = contextvars.ContextVar("_direct_form", default=False)


@contextlib.contextmanager
def direct_form() -> Iterator[None]:
    """Traces convolutions as the one operation, for converters to formats without platforms."""
    token = _direct_form.set(True)
    try:
        yield
    finally:
        _direct_form.reset(token)


def convolve(
    x: Float[Array, "batch high wide in"], kernel: Kernel, *, stride: int = 1
) -> Float[Array, "batch new_high new_wide out"]:
    """Convolves images with a square kernel of odd size, zero-padded by half of it.

    Args:
      x: Images, channels last.
      kernel: (side, side, in, out) weights.
      stride: Step between positions along both axes.
    """
    if _direct_form.get():
        return _direct(x, kernel, stride)
    return jax.lax.platform_dependent(
        x,
        kernel,
        cpu=lambda x, kernel: _on_cpu(x, kernel, stride),
        default=lambda x, kernel: _direct(x, kernel, stride),
    )
