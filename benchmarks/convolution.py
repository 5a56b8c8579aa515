"""The kernel's gradient and max pooling on CPU: XLA's own beside ours.

    python -m benchmarks.convolution

Medians of five calls in turns on one device; the numbers are checked equal first.
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


def seconds(xla, ours, *args) -> list[float]:
    """Measures the median seconds of both, jitted, in turns."""
    jitted = map(jax.jit, (xla, ours))
    work = {run: lambda run=run: jax.block_until_ready(run(*args)) for run in jitted}
    return [statistics.median(took) for took in in_turns(work, rounds=5).values()]


def xla_kernel_gradient(x, grad):
    """Computes what autodiff makes of XLA's convolution."""
    kernel = jnp.zeros((3, 3, x.shape[-1], grad.shape[-1]))
    return jax.vjp(lambda k: _direct(x, k, 1), kernel)[1](grad)[0]


def our_kernel_gradient(x, grad):
    """Patches times a matrix, image by image."""
    return _kernel_gradient(x, grad, 3, 1)


def xla_max_pool(x):
    """Applies XLA's window reduction."""
    return nnx.max_pool(x, (2, 2), strides=(2, 2))


def main() -> None:
    """Prints one line a map, then one for pooling."""
    on_cores(1)
    rng = np.random.default_rng(0)

    def normal(*shape):
        return jnp.asarray(rng.normal(size=shape), jnp.float32)

    print(f"kernel gradient, 3x3, batch {BATCH}   {'XLA':>16} {'ours':>18}   ratio")
    for high, wide, n_in, n_out in MAPS:
        x, grad = normal(BATCH, high, wide, n_in), normal(BATCH, high, wide, n_out)
        want, got = xla_kernel_gradient(x, grad), our_kernel_gradient(x, grad)
        np.testing.assert_allclose(got, want, atol=2e-5 * float(jnp.abs(want).max()))
        a, b = seconds(xla_kernel_gradient, our_kernel_gradient, x, grad)
        work = 2 * 9 * n_in * n_out * high * wide * BATCH / 1e9
        row = f"{high}x{wide} {n_in}->{n_out}".ljust(32)
        row += "".join(f"{took:8.3f} s {work / took:4.0f} GF/s" for took in (a, b))
        print(f"{row}{a / b:8.1f}")
    x, grad = normal(BATCH, 101, 96, 32), normal(BATCH, 50, 48, 32)
    a, b = seconds(
        lambda x, g: jax.vjp(xla_max_pool, x)[1](g),
        lambda x, g: jax.vjp(max_pool, x)[1](g),
        x,
        grad,
    )
    print(f"{'max pool gradient 101x96x32':32}{a:8.3f} s {b:18.3f} s {a / b:12.1f}")


if __name__ == "__main__":
    main()
