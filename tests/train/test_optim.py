"""Schedules and optimisers."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from cryjax.train.optim import OptimSettings, build_optimiser, make_schedule


def test_schedules_reach_their_values():
    step = make_schedule(OptimSettings(learning_rate=1.0, boundaries=(0.5, 0.8)), 10)
    np.testing.assert_allclose(
        [np.asarray(step(i)) for i in (0, 4, 5, 8)], [1, 1, 0.1, 0.01], rtol=1e-6
    )
    cosine = make_schedule(OptimSettings(learning_rate=1.0, schedule="cosine", warmup=0.2), 10)
    np.testing.assert_allclose(
        [np.asarray(cosine(i)) for i in (0, 1, 2, 6, 10)], [0, 1, 1, 0.5, 0], atol=1e-6
    )
    with pytest.raises(ValueError, match="schedule must be one of"):
        make_schedule(OptimSettings(schedule="linear"), 10)


@pytest.mark.parametrize(("batch", "warm", "epochs"), [(128, 5, 50), (32, 10, 50)])
def test_ubenwas_schedule_is_that_of_its_code(golden, batch, warm, epochs):
    g = golden("ubenwa_losses")
    settings = OptimSettings(
        learning_rate=0.03 * batch / 256,
        final=1e-8 * batch / 256,
        schedule="cosine",
        warmup=warm / epochs,
    )
    rate = make_schedule(settings, 10 * epochs)
    got = [np.asarray(rate(int(step))) for step in g["lr_steps"]]
    np.testing.assert_allclose(got, g[f"lr_b{batch}_spe10_w{warm}_e{epochs}"], rtol=1e-4, atol=1e-9)


def test_a_part_keeps_the_peak_rate_and_long_gradients_are_cut():
    params = {"encoder": {"w": jnp.ones(4)}, "predictor": {"w": jnp.ones(4)}}
    settings = OptimSettings(
        learning_rate=1.0,
        schedule="cosine",
        warmup=0.5,
        weight_decay=0.0,
        constant="predictor",
        clip=2.0,
    )
    tx = build_optimiser(settings, 10)
    grads = jax.tree.map(lambda p: 100 * p, params)
    moved: Any = tx.update(grads, tx.init(params), params)[0]
    np.testing.assert_allclose(moved["encoder"]["w"], 0.0)  # warming up
    np.testing.assert_allclose(moved["predictor"]["w"], -2 / np.sqrt(8), rtol=1e-5)


def test_the_encoder_learns_at_its_own_rate_and_decay_spares_vectors():
    params = {"encoder": {"w": jnp.ones((2, 2)), "b": jnp.ones(2)}, "head": {"w": jnp.ones((2, 2))}}
    grads = jax.tree.map(jnp.zeros_like, params)
    settings = OptimSettings(
        schedule="constant", learning_rate=1.0, weight_decay=0.5, decay="kernels", encoder_rate=0.1
    )
    tx = build_optimiser(settings, 10)
    moved: Any = tx.update(grads, tx.init(params), params)[0]
    np.testing.assert_allclose(moved["head"]["w"], -0.5)
    np.testing.assert_allclose(moved["encoder"]["w"], -0.05)
    np.testing.assert_allclose(moved["encoder"]["b"], 0.0)


@pytest.mark.parametrize("name", ["sgd", "adamw", "lars"])
def test_every_optimiser_lowers_a_quadratic(name):
    tx = build_optimiser(OptimSettings(name=name, learning_rate=0.05, schedule="constant"), 60)
    params: Any = {"head": {"w": jnp.full((3, 3), 2.0)}}
    opt_state = tx.init(params)
    for _ in range(60):
        moved, opt_state = tx.update(params, opt_state, params)
        params = optax.apply_updates(params, moved)
    assert np.abs(params["head"]["w"]).max() < 1.96
    with pytest.raises(ValueError, match="optim.name must be one of sgd, adamw, lars, got 'adm'"):
        build_optimiser(OptimSettings(name="adm"), 1)
