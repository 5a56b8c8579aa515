"""Losses and objectives against values and gradients of independent implementations."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from policies import policy

from cryjax.models import VGGLike
from cryjax.models.heads import CosineClassifier, Projector, ProjectorSettings, Similarity
from cryjax.objectives import OBJECTIVES, losses
from cryjax.objectives.simclr import SimCLRSettings
from cryjax.objectives.slicer import SLICERSettings
from cryjax.objectives.supervised import SupervisedSettings


def close(got, want):
    np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-6)


def arrays(g, *names):
    return [jnp.asarray(g[name], jnp.float32) for name in names]


def small(settings, **more):
    rngs = nnx.Rngs(0)
    encoder = VGGLike(16, width=2, rngs=rngs)
    return OBJECTIVES[type(settings)](encoder, policy(), settings, rngs=rngs, **more)


@pytest.mark.parametrize("order", ["clean", "sequential"])
def test_slicers_instance_loss_queue_and_gradients(golden, order):
    g = golden("slicer_instance_loss")
    q_a, q_b, k_a, k_b = arrays(g, "q_a", "q_b", "k_a", "k_b")
    update = "after_both" if order == "clean" else "sequential"
    objective = small(SLICERSettings(queue=96, queue_update=update))
    graphdef, state = nnx.split(objective)
    state = nnx.to_pure_dict(state)

    def loss(q_a, q_b):
        objective = nnx.merge(graphdef, state)
        objective.queue.items[...] = jnp.asarray(g["queue0"].T, jnp.float32)
        rows = objective._instance_rows((q_a, q_b), (k_a, k_b))
        return rows.mean(), (objective.queue.items[...], objective.queue.at[...])

    grad = jax.value_and_grad(loss, argnums=(0, 1), has_aux=True)
    (value, (queue, at)), grads = grad(q_a, q_b)
    np.testing.assert_allclose(value, g[f"{order}_loss_sum"], rtol=1e-5)
    for got, name in zip(grads, ("q_a", "q_b"), strict=True):
        close(got, g[f"{order}_grad_{name}"])
    np.testing.assert_allclose(queue.T, g[f"{order}_queue_after"], atol=1e-6)
    assert int(at) == 32


@pytest.mark.parametrize("size", ["small", "full"])
@pytest.mark.parametrize(
    ("variant", "temperature", "entropy"),
    [("code", 1.0, 0.0), ("cc", 1.0, 1.0), ("tau05", 0.5, 0.0)],
)
def test_slicers_cluster_loss_and_gradients(golden, size, variant, temperature, entropy):
    g = golden("slicer_cluster_loss")
    a, b = arrays(g, f"{size}_logits_a", f"{size}_logits_b")

    def loss(a, b):
        return losses.cluster_contrast(a, b, temperature=temperature, entropy_weight=entropy)

    value, grads = jax.value_and_grad(loss, argnums=(0, 1))(a, b)
    np.testing.assert_allclose(value, g[f"{size}_{variant}_loss"], rtol=1e-5)
    for got, view in zip(grads, "ab", strict=True):
        close(got, g[f"{size}_{variant}_grad_{view}"])


@pytest.mark.parametrize(
    ("variant", "on", "off"), [("lape", 5e-5 / 32, 5e-5 / 32), ("paper", 1.0, 0.0051)]
)
def test_barlow_and_its_gradients(golden, variant, on, off):
    g = golden("delores_s_loss")
    loss = lambda a, b: losses.barlow(a, b, on_weight=on, off_weight=off)  # noqa: E731
    (value, parts), grads = jax.value_and_grad(loss, argnums=(0, 1), has_aux=True)(
        *arrays(g, "z1", "z2")
    )
    np.testing.assert_allclose(value, g[f"{variant}_loss"], rtol=1e-5)
    scale = 1 if variant == "paper" else 32
    np.testing.assert_allclose(parts["on_diagonal"], g[f"{variant}_on_diag"] * scale, rtol=1e-5)
    np.testing.assert_allclose(parts["off_diagonal"], g[f"{variant}_off_diag"] * scale, rtol=1e-5)
    for got, name in zip(grads, ("z1", "z2"), strict=True):
        want = g[f"{variant}_grad_{name}"]
        np.testing.assert_allclose(got, want, rtol=1e-3, atol=1e-4 * np.abs(want).max())


def test_barlow_through_its_projector(golden):
    g = golden("delores_s_loss")
    settings = ProjectorSettings(hidden=40, dim=40, layers=3, use_bias=False)
    projector = Projector(32, settings, rngs=nnx.Rngs(0))
    norms: Any = projector.norms
    for i in range(2):
        projector.hidden[i].kernel[...] = jnp.asarray(g[f"proj_w{i}"].T, jnp.float32)
        norms[i].scale[...] = jnp.asarray(g[f"proj_bn{i}_scale"], jnp.float32)
        norms[i].bias[...] = jnp.asarray(g[f"proj_bn{i}_bias"], jnp.float32)
    projector.out.kernel[...] = jnp.asarray(g["proj_w2"].T, jnp.float32)
    graphdef, params, rest = nnx.split(projector, nnx.Param, ...)
    params, rest = nnx.to_pure_dict(params), nnx.to_pure_dict(rest)

    def loss(params, y1, y2):
        p = nnx.merge(graphdef, params, rest)
        return losses.barlow(p(y1), p(y2), on_weight=5e-5 / 32, off_weight=5e-5 / 32)[0]

    value, grads = jax.value_and_grad(loss, argnums=(0, 1, 2))(
        params, *arrays(g, "proj_y1", "proj_y2")
    )
    np.testing.assert_allclose(value, g["proj_loss"], rtol=1e-4)
    for got, name in (
        (grads[1], "y1"),
        (grads[2], "y2"),
        (grads[0]["hidden"][0]["kernel"].T, "w0"),
        (grads[0]["out"]["kernel"].T, "w2"),
    ):
        want = g[f"proj_grad_{name}"]
        np.testing.assert_allclose(got, want, rtol=1e-3, atol=2e-4 * np.abs(want).max())


def test_byols_regression_and_its_gradients(golden):
    g = golden("byol_loss")
    p1, p2, t1, t2 = arrays(g, "pred_1", "pred_2", "target_1", "target_2")

    def rows(p1, p2):
        return losses.cosine_distance(p1, t2) + losses.cosine_distance(p2, t1)

    np.testing.assert_allclose(rows(p1, p2), g["per_sample"], rtol=1e-5)
    value, grads = jax.value_and_grad(lambda *p: rows(*p).mean(), argnums=(0, 1))(p1, p2)
    np.testing.assert_allclose(value, g["loss"], rtol=1e-5)
    for got, i in zip(grads, (1, 2), strict=True):
        close(got, g[f"grad_pred_{i}"])


def test_colas_bilinear_similarity_and_its_gradients(golden):
    g = golden("cola_loss")
    similarity: Any = Similarity(24, rngs=nnx.Rngs(0))
    similarity.kernel[...] = jnp.asarray(g["bilinear_w"], jnp.float32)
    similarity.norm.scale[...] = jnp.asarray(g["ln_scale"], jnp.float32)
    similarity.norm.bias[...] = jnp.asarray(g["ln_bias"], jnp.float32)
    graphdef, params = nnx.split(similarity)

    def loss(params, a, p):
        scores = nnx.merge(graphdef, params)(a, p)
        return losses.info_nce(scores).mean(), scores

    (value, scores), grads = jax.value_and_grad(loss, argnums=(0, 1, 2), has_aux=True)(
        params, *arrays(g, "dense_anchor", "dense_positive")
    )
    np.testing.assert_allclose(scores, g["bilinear_logits"], rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(value, g["bilinear_loss"], rtol=1e-5)
    for got, name in ((grads[1], "anchor"), (grads[2], "positive"), (grads[0]["kernel"][...], "w")):
        np.testing.assert_allclose(got, g[f"bilinear_grad_{name}"], rtol=1e-3, atol=1e-6)


def test_colas_cosine_similarity_and_its_gradients(golden):
    g = golden("cola_loss")

    def loss(a, p):
        scores = losses.l2_normalise(a) @ losses.l2_normalise(p).T / 0.2
        return losses.info_nce(scores).mean(), scores

    grad = jax.value_and_grad(loss, argnums=(0, 1), has_aux=True)
    (value, scores), grads = grad(*arrays(g, "dense_anchor", "dense_positive"))
    np.testing.assert_allclose(scores, g["dot_logits"], rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(value, g["dot_loss"], rtol=1e-4)
    for got, name in zip(grads, ("anchor", "positive"), strict=True):
        np.testing.assert_allclose(got, g[f"dot_grad_{name}"], rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("temperature", [0.5, 0.1])
def test_ubenwas_nt_xent(golden, temperature):
    g = golden("ubenwa_losses")
    loss = lambda a, b: losses.nt_xent(a, b, temperature=temperature)  # noqa: E731
    value, grads = jax.value_and_grad(loss, argnums=(0, 1))(*arrays(g, "z1", "z2"))
    np.testing.assert_allclose(value, g[f"ntxent_tau{temperature}"], rtol=1e-5)
    for got, i in zip(grads, (1, 2), strict=True):
        close(got, g[f"ntxent_tau{temperature}_dz{i}"])


def test_ubenwas_cosine_head_and_angular_margin(golden):
    g = golden("ubenwa_losses")
    head = CosineClassifier(12, 2, rngs=nnx.Rngs(0))
    head.kernel[...] = jnp.asarray(g["head_w"].T, jnp.float32)
    emb = jnp.asarray(g["head_emb"], jnp.float32)
    np.testing.assert_allclose(head(emb), g["head_cos"], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(head(7 * emb), head(emb), rtol=1e-5, atol=1e-6)
    labels = jnp.asarray(g["head_y"], jnp.int32)
    plain = losses.cross_entropy(head(emb), labels, jnp.ones(2))
    np.testing.assert_allclose(plain, g["head_softmax_plain"], rtol=1e-5)
    targets = jax.nn.one_hot(labels, 2)
    logits = losses.additive_angular_margin(head(emb), targets, margin=0.2, scale=30.0)
    value = losses.soft_cross_entropy(logits, targets)
    np.testing.assert_allclose(value, g["head_aam_m0p2_s30"], rtol=1e-5)
    objective = small(SupervisedSettings(head="cosine"), class_weights=[1.0, 1.0])
    objective.encoder, objective.head = Given(emb), head
    batch = {"mel": jnp.zeros((5, 1, 4, 16)), "label": labels}
    np.testing.assert_allclose(objective.loss(batch, jax.random.key(0))[0], value, rtol=1e-5)


class Given(nnx.Module):
    """An encoder that returns what it was given."""

    def __init__(self, h):
        self.h = nnx.Variable(h)

    def __call__(self, mel):
        return self.h[...]


def test_simsiams_predictor_has_one_bias_behind_its_norm():
    """As the code that Gorin et al. 2023 used: none before the norm, one in the last layer."""
    objective = small(SimCLRSettings(predictor=8))
    assert objective.predictor is not None
    assert objective.predictor.hidden[0].bias is None
    assert objective.predictor.out.bias is not None
