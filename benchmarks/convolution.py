"""Convolutions and max pooling on a CPU: by YNNPACK, as jax takes it, and by XLA, as commands do.

    python -m benchmarks.convolution [CORES]        2 by default

Forward and both gradients of 3x3 convolutions, on one device of as many threads as cores; then the
gradient of max pooling, XLA's window reduction beside maxima of slices. Medians of five calls in
turns; the numbers are checked equal first.
"""

import statistics
import sys
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from benchmarks.timing import answer_help, in_turns, on_cores
from cryjax.models.layers import convolve, max_pool

BATCH = 32
MAPS = ((101, 96, 32, 32), (50, 48, 32, 64), (50, 48, 64, 64), (25, 24, 64, 128), (26, 24, 64, 64))
# what `convolve_without_ynnpack` asks of a whole process, for one program
BY_XLA: Any = {"xla_cpu_experimental_ynn_fusion_type": "LIBRARY_FUSION_TYPE_INDIVIDUAL_DOT"}


def seconds(programs: list[Any], *args: Any) -> list[float]:
    """Measures the median seconds of compiled programs in turns, after comparing their results."""
    first, *others = (program(*args) for program in programs)
    for other in others:
        np.testing.assert_allclose(other, first, atol=2e-5 * float(jnp.abs(first).max()))
    work = {
        at: lambda run=run: jax.block_until_ready(run(*args)) for at, run in enumerate(programs)
    }
    return [statistics.median(took) for took in in_turns(work, rounds=5).values()]


def by_both(function: Callable[..., Any], *args: Any) -> list[float]:
    """Measures a function as jax compiles it, and without YNNPACK's convolutions."""
    lowered = jax.jit(function).lower(*args)
    return seconds([lowered.compile(compiler_options=how) for how in ({}, BY_XLA)], *args)


def forward(x, kernel, grad):
    """Convolves."""
    return convolve(x, kernel)


def input_gradient(x, kernel, grad):
    """Computes the gradient of the input."""
    return jax.vjp(lambda x: convolve(x, kernel), x)[1](grad)[0]


def kernel_gradient(x, kernel, grad):
    """Computes the gradient of the kernel."""
    return jax.vjp(lambda kernel: convolve(x, kernel), kernel)[1](grad)[0]


def pooled_by_xla(x):
    """Applies XLA's window reduction."""
    return nnx.max_pool(x, (2, 2), strides=(2, 2))


def main() -> None:
    """Prints a block for each direction, then one line for pooling."""
    answer_help()
    on_cores(int(sys.argv[1]) if sys.argv[1:] else 2)
    rng = np.random.default_rng(0)

    def normal(*shape):
        return jnp.asarray(rng.normal(size=shape), jnp.float32)

    for function in (forward, input_gradient, kernel_gradient):
        title = f"{function.__name__.replace('_', ' ')}, 3x3, batch {BATCH}"
        print(f"{title:36}{'YNNPACK':>19}{'XLA':>19}   ratio")
        for high, wide, n_in, n_out in MAPS:
            x, grad = normal(BATCH, high, wide, n_in), normal(BATCH, high, wide, n_out)
            took = by_both(function, x, normal(3, 3, n_in, n_out), grad)
            work = 2 * 9 * n_in * n_out * high * wide * BATCH / 1e9
            row = "".join(f"{each:8.3f} s {work / each:4.0f} GF/s" for each in took)
            print(f"{f'{high}x{wide} {n_in}->{n_out}':36}{row}{took[0] / took[1]:8.1f}")
    x, grad = normal(BATCH, 101, 96, 32), normal(BATCH, 50, 48, 32)
    pools = [
        jax.jit(lambda x, grad, pool=pool: jax.vjp(pool, x)[1](grad)[0])
        for pool in (pooled_by_xla, max_pool)
    ]
    whole, ours = seconds(pools, x, grad)
    print(f"{'max pool gradient 101x96x32':36}{whole:8.3f} s {ours:18.3f} s {whole / ours:12.1f}")


if __name__ == "__main__":
    main()
