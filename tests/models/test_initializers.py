"""Initial weights are those of jax's initialisers, and few programs draw them."""

from typing import Any

import jax
import numpy as np
import pytest

from cryjax.models import initializers
from cryjax.models.initializers import MOST, draw, torch_bias, variance_scaling

FANS: dict[Any, Any] = {"in": "fan_in", "out": "fan_out", "mean": "fan_avg"}
KEY = jax.random.key(3)


@pytest.mark.parametrize("distribution", ["uniform", "normal"])
@pytest.mark.parametrize("fan", FANS)
@pytest.mark.parametrize("shape", [(1, 1), (48, 5), (3, 3, 16, 24)])
def test_kernels_are_those_of_jax(shape, fan, distribution):
    want = jax.nn.initializers.variance_scaling(1.7, FANS[fan], distribution)(KEY, shape)
    got = variance_scaling(1.7, fan, distribution)(KEY, shape)
    np.testing.assert_allclose(got, want, rtol=1e-6)


@pytest.mark.parametrize("n", [3, 5000, MOST + 1])
def test_biases_are_those_of_jax(n):
    want = jax.random.uniform(KEY, (n,), minval=-0.5, maxval=0.5)
    np.testing.assert_allclose(torch_bias(4)(KEY, (n,)), want, rtol=1e-5, atol=1e-7)


def test_many_shapes_are_cut_from_few_draws(monkeypatch):
    """Each length that is drawn is a program, and takes a third of a second to compile."""
    lengths, uniform = set(), jax.random.uniform

    def counted(key, shape, *others):
        lengths.add(shape)
        return uniform(key, shape, *others)

    monkeypatch.setattr(initializers.jax.random, "uniform", counted)
    for width in range(20, 64):
        assert draw("uniform", KEY, (3, 3, width, width), 1.0).shape == (3, 3, width, width)
    assert lengths == {(1 << 12,), (1 << 14,), (1 << 16,)}
