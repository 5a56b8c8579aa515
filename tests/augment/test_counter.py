"""The cheap noise: Gaussian to the eye, the same everywhere, nothing twice."""

import jax
import numpy as np
from jax.sharding import AxisType, NamedSharding, PartitionSpec
from scipy import stats

from cryjax.augment.counter import cheap_normal


def test_its_moments_and_tails_are_a_gaussians():
    x = np.asarray(cheap_normal(jax.random.key(3), (64, 101, 96)), np.float64).ravel()
    assert abs(x.mean()) < 5e-3
    np.testing.assert_allclose(x.std(), 1, atol=5e-3)
    assert abs(stats.skew(x)) < 0.02
    assert abs(stats.kurtosis(x)) < 0.15
    share = [(np.abs(x) > sigma).mean() / (2 * stats.norm.sf(sigma)) for sigma in (1, 2, 3)]
    np.testing.assert_allclose(share[:2], 1, rtol=0.02)
    assert 0.5 < share[2] < 1  # as its docstring says
    assert np.abs(x).max() < 4


def test_neighbours_keys_and_rows_have_nothing_in_common():
    a, b = (np.asarray(cheap_normal(jax.random.key(k), (32, 101, 96))) for k in (0, 1))
    flat = a.reshape(len(a), -1)
    pairs = {
        "keys": (a, b),
        "time": (a[:, 1:], a[:, :-1]),
        "bands": (a[..., 1:], a[..., :-1]),
        "rows": (flat[1:], flat[:-1]),
    }
    for name, (x, y) in pairs.items():
        assert abs(np.corrcoef(x.ravel(), y.ravel())[0, 1]) < 0.01, name
    between = np.corrcoef(flat) - np.eye(len(flat))
    assert np.abs(between).max() < 0.06
    spectrum = np.abs(np.fft.rfft(flat, axis=1)).mean(axis=0)[1:]
    assert spectrum.max() < 1.8 * spectrum.mean()


def test_eight_devices_draw_what_one_draws():
    mesh = jax.make_mesh((8,), ("data",), axis_types=(AxisType.Auto,))
    split = NamedSharding(mesh, PartitionSpec("data"))
    draw = lambda key: cheap_normal(key, (16, 9, 7))  # noqa: E731
    one = jax.jit(draw)(jax.random.key(5))
    np.testing.assert_array_equal(jax.jit(draw, out_shardings=split)(jax.random.key(5)), one)
