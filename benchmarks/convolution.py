"""Convolutions and max pooling on CPU: XLA's own beside other forms.

    python -m benchmarks.convolution

Of the kernel's gradient and of pooling, XLA's beside what the package does, and what bounds it: the
gradient's products alone, of patches made before. Of the convolution forward, where the package
takes XLA's, XLA's beside patches times a matrix, image by image. Medians of five calls in turns on
one device; the numbers are checked equal first.
"""

import statistics

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from benchmarks.timing import in_turns, on_cores
from cryjax.models.convolution import _direct, _kernel_gradient
from cryjax.models.layers import max_pool

BATCH = 32
MAPS = ((101, 96, 32, 32), (50, 48, 32, 64), (50, 48, 64, 64), (25, 24, 64, 128), (26, 24, 64, 64))


def seconds(functions, *args) -> list[float]:
    """Measures the median seconds of each function, jitted, in turns."""
    jitted = map(jax.jit, functions)
    work = {run: lambda run=run: jax.block_until_ready(run(*args)) for run in jitted}
    return [statistics.median(took) for took in in_turns(work, rounds=5).values()]


def xla_kernel_gradient(x, grad):
    """Computes what autodiff makes of XLA's convolution."""
    kernel = jnp.zeros((3, 3, x.shape[-1], grad.shape[-1]))
    return jax.vjp(lambda k: _direct(x, k, 1), kernel)[1](grad)[0]


def our_kernel_gradient(x, grad):
    """Patches times a matrix, image by image."""
    return _kernel_gradient(x, grad, 3, 1)


def products_alone(patches, grad):
    """Sums products of a third of the kernel gradient's work over images: its limit."""

    def add(i, total):
        return total + jnp.einsum("po,pi->oi", grad[i], patches[i])

    return jax.lax.fori_loop(0, BATCH, add, jnp.zeros((grad.shape[-1], patches.shape[-1])))


def xla_forward(x, kernel):
    """Convolves by XLA."""
    return _direct(x, kernel, 1)


def forward_by_rows(x, kernel):
    """Convolves image by image: one row of the kernel after another times patches of a row."""
    n_in, n_out = kernel.shape[2:]

    def one(image):
        high, wide = image.shape[:2]
        image = jnp.pad(image, ((1, 1), (1, 1), (0, 0)))
        patches = jnp.concatenate([image[:, j : j + wide] for j in range(3)], -1)
        rows = [patches[i : i + high].reshape(-1, 3 * n_in) for i in range(3)]
        first, second, third = (
            row @ k for row, k in zip(rows, kernel.reshape(3, -1, n_out), strict=True)
        )
        return (first + second + third).reshape(high, wide, n_out)

    return jax.lax.map(one, x)


def xla_max_pool(x):
    """Applies XLA's window reduction."""
    return nnx.max_pool(x, (2, 2), strides=(2, 2))


def main() -> None:
    """Prints one line a map, then one for pooling."""
    on_cores(1)
    rng = np.random.default_rng(0)

    def normal(*shape):
        return jnp.asarray(rng.normal(size=shape), jnp.float32)

    def compare(title, name, xla, other, operand):
        print(f"{f'{title}, 3x3, batch {BATCH}':32}{'XLA':>19}{name:>19}   ratio")
        for high, wide, n_in, n_out in MAPS:
            x, y = normal(BATCH, high, wide, n_in), normal(*operand(high, wide, n_in, n_out))
            want = xla(x, y)
            np.testing.assert_allclose(other(x, y), want, atol=2e-5 * float(jnp.abs(want).max()))
            a, b = seconds((xla, other), x, y)
            work = 2 * 9 * n_in * n_out * high * wide * BATCH / 1e9
            row = f"{high}x{wide} {n_in}->{n_out}".ljust(32)
            row += "".join(f"{took:8.3f} s {work / took:4.0f} GF/s" for took in (a, b))
            print(f"{row}{a / b:8.1f}")

    compare(
        "kernel gradient",
        "ours",
        xla_kernel_gradient,
        our_kernel_gradient,
        lambda high, wide, n_in, n_out: (BATCH, high, wide, n_out),
    )
    print("its products alone")
    for high, wide, n_in, n_out in MAPS:
        x, grad = (normal(BATCH, high * wide, channels) for channels in (3 * n_in, n_out))
        (took,) = seconds([products_alone], x, grad)
        rate = 2 * x.size * n_out / 1e9 / took
        print(f"{f'{high}x{wide} {n_in}->{n_out}':32}{rate:29.0f} GF/s")
    compare(
        "forward",
        "by rows",
        xla_forward,
        forward_by_rows,
        lambda high, wide, n_in, n_out: (3, 3, n_in, n_out),
    )
    x, grad = normal(BATCH, 101, 96, 32), normal(BATCH, 50, 48, 32)
    a, b = seconds(
        [lambda x, g, pool=pool: jax.vjp(pool, x)[1](g) for pool in (xla_max_pool, max_pool)],
        x,
        grad,
    )
    print(f"{'max pool gradient 101x96x32':32}{a:8.3f} s {b:18.3f} s {a / b:12.1f}")


if __name__ == "__main__":
    main()
