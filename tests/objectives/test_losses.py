import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.sharding import AxisType, NamedSharding, PartitionSpec

from cryjax.objectives import contrast, losses


def nt_xent_by_hand(z1, z2, temperature):
    """The definition, one pair at a time, in float64."""
    z = np.concatenate([z1, z2]).astype(np.float64)
    z /= np.linalg.norm(z, axis=-1, keepdims=True)
    n, total = len(z1), 0.0
    for i in range(2 * n):
        sims = {j: z[i] @ z[j] / temperature for j in range(2 * n) if j != i}
        positive = (i + n) % (2 * n)
        total -= np.log(np.exp(sims[positive]) / sum(np.exp(s) for s in sims.values()))
    return total / (2 * n)


@pytest.fixture
def views():
    return np.random.default_rng(0).normal(size=(2, 16, 5)).astype(np.float32)


@pytest.mark.parametrize("temperature", [0.05, 0.5])
def test_nt_xent_equals_its_definition_and_optax(views, temperature):
    z1, z2 = map(jnp.asarray, views)
    got = losses.nt_xent(z1, z2, temperature=temperature)
    np.testing.assert_allclose(got, nt_xent_by_hand(views[0], views[1], temperature), rtol=1e-5)
    labels = jnp.tile(jnp.arange(16), 2)
    oracle = optax.losses.ntxent(jnp.concatenate([z1, z2]), labels, temperature)
    # optax sums over both positives of each row: once for every anchor, as here
    np.testing.assert_allclose(got, oracle, rtol=1e-4)


@pytest.mark.parametrize("temperature", [0.2, 0.5])
def test_nt_xent_equals_the_released_loss_and_its_gradient(golden, temperature):
    g = golden("uclser_ntxent")
    loss = lambda raw: losses.nt_xent(raw[0], raw[1], temperature=temperature)  # noqa: E731
    value, grad = jax.value_and_grad(loss)(jnp.asarray(g["raw"], jnp.float32))
    np.testing.assert_allclose(value, g[f"loss_tau{temperature}_f64"], rtol=1e-6)
    np.testing.assert_allclose(grad, g[f"grad_raw_tau{temperature}_f64"], rtol=1e-4, atol=1e-7)


def test_nt_xent_is_safe_at_a_small_temperature(views):
    loss = lambda z: losses.nt_xent(z[0], z[1], temperature=1e-3)  # noqa: E731
    value, grad = jax.value_and_grad(loss)(jnp.asarray(views))
    assert np.isfinite(value)
    assert np.isfinite(grad).all()


def test_nt_xent_of_equal_embeddings_is_log_of_the_candidates():
    ones = jnp.ones((8, 3))
    got = losses.nt_xent(ones, ones, temperature=0.1)
    np.testing.assert_allclose(got, np.log(15), rtol=1e-6)


def test_nt_xent_sees_the_global_batch(views):
    mesh = jax.make_mesh((8,), ("data",), axis_types=(AxisType.Auto,))
    sharded = jax.device_put(views, NamedSharding(mesh, PartitionSpec(None, "data")))
    loss = jax.jit(lambda v: losses.nt_xent(v[0], v[1], temperature=0.1))
    np.testing.assert_allclose(loss(sharded), loss(jnp.asarray(views)), rtol=1e-6)


def whole_matrix(z1, z2, temperature):
    """NT-Xent with all similarities at once, and automatic gradients."""
    n, z = len(z1), losses.l2_normalise(jnp.concatenate([z1, z2]))
    logits = jnp.where(jnp.eye(2 * n, dtype=bool), -jnp.inf, z @ z.T / temperature)
    return optax.losses.softmax_cross_entropy_with_integer_labels(
        logits, jnp.roll(jnp.arange(2 * n), n)
    ).mean()


@pytest.mark.parametrize(("n", "block"), [(16, 5), (9, 4)])
def test_contrast_in_blocks_is_that_of_the_whole_matrix(n, block, monkeypatch):
    monkeypatch.setattr(contrast, "BLOCK", block)
    z = np.random.default_rng(0).normal(size=(2, n, 6)).astype(np.float32)
    mesh = jax.make_mesh((8,), ("data",), axis_types=(AxisType.Auto,))
    split = NamedSharding(mesh, PartitionSpec(None, "data"))
    ours = jax.value_and_grad(lambda z: losses.nt_xent(z[0], z[1], temperature=0.1))
    value, grad = jax.value_and_grad(lambda z: whole_matrix(z[0], z[1], 0.1))(jnp.asarray(z))
    placed = [jnp.asarray(z)] + ([jax.device_put(z, split)] if n % 8 == 0 else [])
    for views in placed:
        got = jax.jit(ours)(views)
        np.testing.assert_allclose(got[0], value, rtol=1e-6)
        np.testing.assert_allclose(got[1], grad, rtol=1e-4, atol=1e-7)
    u = losses.l2_normalise(jnp.asarray(z[0]))
    square = ((np.asarray(u)[:, None] - np.asarray(u)[None]) ** 2).sum(axis=-1)
    want = np.exp(-2 * square)[~np.eye(n, dtype=bool)].mean()
    np.testing.assert_allclose(contrast.mean_potential(u), want, rtol=1e-5)


def test_the_queue_in_blocks_is_one_cross_entropy_and_gets_no_gradient(monkeypatch):
    monkeypatch.setattr(contrast, "BLOCK", 3)
    rng = np.random.default_rng(0)
    query, key, queue = (jnp.asarray(rng.normal(size=(n, 5)), jnp.float32) for n in (8, 8, 20))
    queue = losses.l2_normalise(queue)

    def whole(query):
        q, k = losses.l2_normalise(query), losses.l2_normalise(key)
        logits = jnp.concatenate([(q * k).sum(axis=1, keepdims=True), q @ queue.T], axis=1) / 0.07
        return -jax.nn.log_softmax(logits)[:, 0].mean()

    def ours(query, queue):
        return losses.info_nce_with_queue(query, key, queue, temperature=0.07).mean()

    value, (grad, to_queue) = jax.value_and_grad(ours, argnums=(0, 1))(query, queue)
    np.testing.assert_allclose(value, whole(query), rtol=1e-6)
    np.testing.assert_allclose(grad, jax.grad(whole)(query), rtol=1e-4, atol=1e-7)
    assert not np.asarray(to_queue).any()


def test_memory_of_nt_xent_grows_with_the_batch_not_its_square(monkeypatch):
    monkeypatch.setattr(contrast, "BLOCK", 32)

    def needed(loss, n):
        z = jax.ShapeDtypeStruct((2, n, 8), jnp.float32)
        compiled = jax.jit(jax.grad(lambda z: loss(z[0], z[1], temperature=0.1))).lower(z).compile()
        analysis: Any = compiled.memory_analysis()
        return analysis.temp_size_in_bytes

    assert needed(losses.nt_xent, 2048) < 2.3 * needed(losses.nt_xent, 1024)
    assert needed(whole_matrix, 2048) > 3.5 * needed(whole_matrix, 1024)


@pytest.mark.parametrize(("n", "dim"), [(12, 40), (40, 12)])
def test_barlow_is_the_cross_correlation_whichever_way_is_shorter(n, dim):
    z1, z2 = np.random.default_rng(0).normal(size=(2, n, dim)) + 1
    standard = lambda z: (z - z.mean(axis=0)) / np.sqrt(z.var(axis=0) + 1e-5)  # noqa: E731
    c = standard(z1).T @ standard(z1 + z2) / n
    loss = functools.partial(losses.barlow, on_weight=2.0, off_weight=0.1)
    value, parts = loss(*(jnp.asarray(z, jnp.float32) for z in (z1, z1 + z2)))
    on, off = ((np.diag(c) - 1) ** 2).sum(), (c[~np.eye(dim, dtype=bool)] ** 2).sum()
    np.testing.assert_allclose(parts["on_diagonal"], on, rtol=1e-5)
    np.testing.assert_allclose(parts["off_diagonal"], off, rtol=1e-5)
    np.testing.assert_allclose(value, 2 * on + 0.1 * off, rtol=1e-5)


def test_barlow_of_long_embeddings_makes_no_matrix_of_their_length():
    loss = lambda *z: losses.barlow(*z, on_weight=1.0, off_weight=1.0)[0]  # noqa: E731
    z = jax.ShapeDtypeStruct((8, 2048), jnp.float32)
    assert "2048x2048" not in jax.jit(jax.grad(loss)).lower(z, z).as_text()


def test_nt_xent_names_the_bad_value(views):
    with pytest.raises(ValueError, match=r"temperature must be positive, got 0"):
        losses.nt_xent(*map(jnp.asarray, views), temperature=0)
    with pytest.raises(TypeError):
        losses.nt_xent(jnp.ones((4, 3)), jnp.ones((5, 3)), temperature=0.1)


def test_cross_entropy_equals_optax_and_weights_its_rows():
    logits = jax.random.normal(jax.random.key(0), (6, 3))
    labels = jnp.array([0, 1, 2, 0, 0, 1])
    rows = optax.losses.softmax_cross_entropy_with_integer_labels(logits, labels)
    got = losses.cross_entropy(logits, labels, jnp.ones(3))
    np.testing.assert_allclose(got, rows.mean(), rtol=1e-6)
    weights = jnp.array([1.0, 2.0, 0.0])
    w = np.asarray(weights[labels])
    got = losses.cross_entropy(logits, labels, weights)
    np.testing.assert_allclose(got, (w * rows).sum() / w.sum(), rtol=1e-6)
