"""Convolutions and max pooling on a CPU: by YNNPACK, as jax takes it, and by XLA, as commands do.

    python -m benchmarks.convolution [CORES]        2 by default

Forward and both gradients of 3x3 convolutions, on one device of as many threads as cores; then
max pooling and batch normalisation with their gradients, XLA's window reduction and Flax's layer
beside ours. Medians of five calls in turns; the numbers are checked equal first.
"""

import functools
import statistics
import sys
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from benchmarks.timing import answer_help, in_turns, on_cores
from cryjax.models.layers import BatchNorm, convolve, max_pool

BATCH = 32
MAPS = ((101, 96, 32, 32), (50, 48, 32, 64), (50, 48, 64, 64), (25, 24, 64, 128), (26, 24, 64, 64))
# what `convolve_without_ynnpack` asks of a whole process, for one program
BY_XLA: Any = {"xla_cpu_experimental_ynn_fusion_type": "LIBRARY_FUSION_TYPE_INDIVIDUAL_DOT"}


def seconds(programs: list[Any], *args: Any) -> list[float]:
    """Measures the median seconds of compiled programs in turns, after comparing their results."""
    first, *others = (jax.tree.leaves(program(*args)) for program in programs)
    for array, *same in zip(first, *others, strict=True):
        for other in same:
            np.testing.assert_allclose(other, array, atol=2e-5 * float(jnp.abs(array).max()))
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


def normalised_by(layer: type[nnx.BatchNorm]) -> Callable:
    """Makes the function that normalises a batch by a new layer."""
    return lambda x: layer(x.shape[-1], rngs=nnx.Rngs(0))(x)


def value_and_gradient(function: Callable, x: Any, grad: Any) -> tuple[Any, Any]:
    """Computes a function and the gradient of its input."""
    y, pull = jax.vjp(function, x)
    return y, pull(grad)


def line(title: str, functions: tuple[Callable, Callable], x: Any, grad: Any) -> None:
    """Prints what two functions take to compute their value and the gradient of their input."""
    programs = [jax.jit(functools.partial(value_and_gradient, each)) for each in functions]
    theirs, ours = seconds(programs, x, grad)
    print(f"{title:36}{theirs:8.3f} s {ours:18.3f} s {theirs / ours:12.1f}")


def main() -> None:
    """Prints a block for each direction, then a line for pooling and one for normalisation."""
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
    print(f"{'with gradient, 101x96x32':36}{'XLA or Flax':>19}{'ours':>19}   ratio")
    x = normal(BATCH, 101, 96, 32)
    line("max pool", (pooled_by_xla, max_pool), x, normal(BATCH, 50, 48, 32))
    norms = (normalised_by(nnx.BatchNorm), normalised_by(BatchNorm))
    line("batch normalisation", norms, x, normal(*x.shape))


if __name__ == "__main__":
    main()
