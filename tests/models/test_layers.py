"""Layers that encoders share, against independent ones."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from cryjax.models.compute import ComputeSettings, set_compute
from cryjax.models.layers import BatchNorm, ConvNorm, in_eval_mode

LAYERS = (BatchNorm, nnx.BatchNorm)


def pair(features, dtype=jnp.float32):
    """Makes our normalisation and Flax's with the same scales, some negative, and biases."""
    made: list[Any] = [layer(features, rngs=nnx.Rngs(0)) for layer in LAYERS]
    for norm in made:
        norm.scale[...] = jnp.linspace(-2, 3, features, dtype="float32")
        norm.bias[...] = jnp.linspace(1, -1, features, dtype="float32")
        nnx.update(norm, jax.tree.map(lambda x: x.astype(dtype), nnx.state(norm)))
    return made


def value_and_gradients(norm, x, grad):
    """Computes values, running statistics and the gradients of input, scale and bias."""
    graphdef, params, statistics = nnx.split(norm, nnx.Param, ...)

    def run(params, x):
        layer = nnx.merge(graphdef, params, statistics, copy=True)
        y = layer(x)
        return (y * grad).sum(), (y, layer.mean[...], layer.var[...])

    (_, values), (params, of_x) = jax.value_and_grad(run, (0, 1), has_aux=True)(params, x)
    return [*values, of_x, params["scale"][...], params["bias"][...]]


@pytest.mark.parametrize("shape", [(8, 5), (4, 7, 6, 5)])
def test_batch_normalisation_is_that_of_flax_with_all_gradients(shape):
    with jax.enable_x64(True):
        rng = np.random.default_rng(0)
        # channels far from zero, one of them constant
        x = jnp.asarray(rng.normal(3.0, 2.0, shape) * [1, 2, 0.1, 5, 0])
        grad = jnp.asarray(rng.normal(size=shape))
        ours, theirs = (value_and_gradients(norm, x, grad) for norm in pair(shape[-1], jnp.float64))
        for got, want in zip(ours, theirs, strict=True):
            np.testing.assert_allclose(got, want, rtol=1e-9, atol=1e-9)


def test_batch_normalisation_by_running_statistics_is_that_of_flax():
    x = jnp.asarray(np.random.default_rng(0).normal(2.0, 3.0, (6, 4)), jnp.float32)
    ours, theirs = pair(4)
    for norm in (ours, theirs):
        norm(x)
    got, want = (in_eval_mode(norm)(x) for norm in (ours, theirs))
    np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-5)
    np.testing.assert_array_equal(ours.mean[...], theirs.mean[...])  # evaluation moves nothing


def test_batch_normalisation_takes_statistics_in_float32_where_it_computes_in_bfloat16():
    layer = ConvNorm(3, 4, relu=False, rngs=nnx.Rngs(0))
    set_compute(layer, ComputeSettings("bfloat16"))
    x = jnp.asarray(np.random.default_rng(0).normal(size=(16, 9, 9, 3)), jnp.float32)
    y = layer(x)
    assert (y.dtype, layer.norm.var.dtype) == (jnp.bfloat16, jnp.float32)
    # a mean of 1,296 values rounded to bfloat16 keeps what rounding to the nearest leaves
    np.testing.assert_allclose(y.astype(jnp.float32).mean((0, 1, 2)), 0, atol=1e-3)
