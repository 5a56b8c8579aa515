import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.sharding import AxisType, NamedSharding, PartitionSpec

from cryjax.objectives import losses


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
