"""Semi-supervised objectives against the golden arrays, and what must never move."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx
from policies import policy

from cryjax.augment import PatchInfo
from cryjax.models.layers import Dropout, batch_norm, in_eval_mode, linear
from cryjax.models.simple_cnn import SimpleCNN
from cryjax.objectives.semi import SEMI_SUPERVISED, Ramp, SemiSupervisedSettings
from cryjax.objectives.semi.base import divergence
from cryjax.objectives.semi.consistency import disagreement
from cryjax.objectives.semi.vat import adversarial_direction
from cryjax.train.state import create, make_step
from cryjax.types import Buffer

FRAMES, MELS, LABELLED = 16, 16, 6
LONGER = ("autoencoder", "pi_model", "pseudo_label", "mean_teacher")
METHODS = [pytest.param(n, marks=pytest.mark.slow if n in LONGER else ()) for n in SEMI_SUPERVISED]


class Tiny(nnx.Module):
    """Time averages, dense, batch norm, dropout: all that can move, and quick to compile."""

    def __init__(self, mels, *, width, rngs):
        self.features = width
        self.dense, self.norm = linear(mels, width, rngs=rngs), batch_norm(width, rngs=rngs)
        self.dropout = Dropout(0.2, rngs=rngs)

    def __call__(self, mel):
        return self.dropout(nnx.relu(self.norm(self.dense(mel.mean(axis=1)))))


def build(name, **changes):
    encoder: Any = changes.pop("encoder", Tiny)
    order = changes.pop("order", "gaussian_noise,normalise")
    settings = dataclasses.replace(getattr(SemiSupervisedSettings(), name), **changes)
    sizes = {"frames": FRAMES, "mels": MELS} if name == "autoencoder" else {}
    kind = {"frames": FRAMES} if encoder is SimpleCNN else {}
    rngs = nnx.Rngs(0)
    return SEMI_SUPERVISED[name](
        encoder(MELS, width=4, rngs=rngs, **kind),
        policy(order, PatchInfo(FRAMES, MELS)),
        settings,
        rngs=rngs,
        class_weights=[1.0] * 3,
        labelled=LABELLED,
        steps=10,
        **sizes,
    )


def batch(labels_of_others=-1):
    mel = np.random.default_rng(0).normal(size=(2 * LABELLED, 1, FRAMES, MELS))
    label = np.r_[np.arange(LABELLED) % 3, np.full(LABELLED, labels_of_others)]
    return {"mel": jnp.asarray(mel, jnp.float32), "label": jnp.asarray(label)}


def toy(g):
    w1, b1, w2, b2 = (jnp.asarray(g[f"vat_{k}"]) for k in ("W1", "b1", "W2", "b2"))
    return lambda x: jnp.tanh(x @ w1 + b1[None]) @ w2 + b2[None]


@pytest.mark.parametrize("iterations", [1, 2])
@pytest.mark.parametrize(("xi", "name"), [(None, "hvp"), (0.1, "xi0.1"), (10.0, "xi10")])
def test_vats_direction_and_divergence(golden, iterations, xi, name):
    g = golden("practical_small")
    score, x, d0 = toy(g), jnp.asarray(g["vat_x"]), jnp.asarray(g["vat_d0"])
    d = adversarial_direction(score, x, d0, iterations=iterations, xi=xi)
    np.testing.assert_allclose(d, g[f"vat_dir_{name}_ip{iterations}"], atol=1e-3)  # in float32
    if name == "hvp":
        return
    for epsilon in ("2.5", "8"):
        log_p = jax.nn.log_softmax(score(x))
        found = divergence(log_p, score(x + float(epsilon) * d))
        want = g[f"vat_lds_{name}_ip{iterations}_eps{epsilon}"]
        np.testing.assert_allclose(found, want, rtol=2e-3, atol=1e-5)


def test_consistency_and_the_ramp_are_the_sources(golden):
    g = golden("practical_small")
    a, b = jnp.asarray(g["cons_logits_a"]), jnp.asarray(g["cons_logits_b"])
    np.testing.assert_allclose(disagreement(a, b), g["cons_mse_mean"], rtol=1e-6)
    kl = divergence(jax.nn.log_softmax(a), b).mean()
    np.testing.assert_allclose(kl, g["cons_kl_a_b"], rtol=1e-6)
    ramp = Ramp(weight=1.0, shape="gaussian", end=80 / 300)
    share = jnp.asarray(g["pi_epochs"] / 300, jnp.float32)
    np.testing.assert_allclose(ramp.at(share), g["pi_rampup80"], rtol=1e-5)
    lee = Ramp(weight=3.0, shape="linear", start=0.1, end=0.6)
    np.testing.assert_allclose(lee.at(jnp.array([0.05, 0.35, 0.9])), [0, 1.5, 3], rtol=1e-6)
    with pytest.raises(ValueError, match=r"ramp.shape must be one of constant, linear, gaussian"):
        Ramp(shape="cosine")


def differentiate(model, given):
    """Gradient of the loss, and the running statistics after it."""
    graphdef, params, rest = nnx.split(model, nnx.Param, ...)
    params, rest = nnx.to_pure_dict(params), nnx.to_pure_dict(rest)

    def both(params):
        def loss(params):
            model = nnx.merge(graphdef, params, rest)
            value, _ = model.loss(given, jax.random.key(0))
            return value, nnx.to_pure_dict(nnx.state(model.encoder, nnx.BatchStat))

        return jax.grad(loss, has_aux=True)(params)

    gradient, statistics = both(params)
    return jax.tree.leaves(gradient), jax.tree.leaves(statistics)


@pytest.mark.parametrize("name", METHODS)
def test_only_labelled_passes_move_running_statistics(name):
    def moved(given, **changes):
        model = build(name, ramp=Ramp(1.0, "constant"), **changes)
        return differentiate(model, given)[1]

    given = batch()
    others = given | {"mel": given["mel"].at[LABELLED:].multiply(3.0)}
    jax.tree.map(np.testing.assert_array_equal, moved(given), moved(others))
    asked = moved(given, move_statistics=True), moved(others, move_statistics=True)
    assert any((a != b).any() for a, b in zip(*asked, strict=True))


@pytest.mark.parametrize("name", METHODS)
def test_labels_of_unlabelled_rows_are_never_read_and_their_sound_is(name):
    changes: dict[str, Any] = {"threshold": 0.0} if name == "pseudo_label" else {}
    model = build(name, ramp=Ramp(1.0, "constant"), **changes)
    known, hidden = (differentiate(model, batch(label))[0] for label in (2, -1))
    jax.tree.map(np.testing.assert_array_equal, known, hidden)
    given = batch()
    louder = given | {"mel": given["mel"].at[LABELLED:].multiply(2.0)}
    assert any((a != b).any() for a, b in zip(hidden, differentiate(model, louder)[0], strict=True))


@pytest.mark.parametrize("name", METHODS)
def test_a_step_counts_trains_and_reports(name):
    model = build(name, encoder=SimpleCNN)
    tx = optax.sgd(0.1)
    graphdef, state = create(model, tx)
    step = make_step(graphdef, tx)
    state, _ = step(state, batch(), jax.random.key(0))
    state, metrics = step(state, batch(), jax.random.key(0))
    assert int(state.rest["step"]) == 2
    assert np.isfinite([float(v) for v in metrics.values()]).all()
    assert {"supervised", "unsupervised", "alpha", "entropy", "accuracy"} <= set(metrics)


def test_pseudo_labels_below_the_threshold_count_for_nothing():
    model = build("pseudo_label", threshold=0.999)
    value, _, more = model.unsupervised(batch()["mel"], jax.random.key(0))
    assert (float(value), float(more["coverage"])) == (0.0, 0.0)
    everyone = build("pseudo_label", threshold=0.0)
    value, logits, more = everyone.unsupervised(batch()["mel"], jax.random.key(0))
    guess = logits.argmax(axis=1)
    want = optax.softmax_cross_entropy_with_integer_labels(logits, guess).mean()
    np.testing.assert_allclose(value, want, rtol=1e-6)
    assert float(more["coverage"]) == 1.0


def test_the_mean_teacher_is_evaluated_and_follows():
    model = build("mean_teacher")
    before = jax.tree.map(np.array, nnx.to_pure_dict(nnx.state(model.teacher, Buffer)))
    scores = in_eval_mode(model).logits(batch()["mel"][:, 0])
    model.head.out.kernel[...] = model.head.out.kernel[...] + 1.0
    np.testing.assert_array_equal(scores, in_eval_mode(model).logits(batch()["mel"][:, 0]))
    model.after_update(jnp.zeros((), jnp.int32))
    after = nnx.to_pure_dict(nnx.state(model.teacher, Buffer))
    gone = after["head"]["out"]["kernel"] - before["head"]["out"]["kernel"]
    np.testing.assert_allclose(gone, 0.5, rtol=1e-5)  # 1 - 1/2 of the way at the first update


def test_wrong_settings_are_refused():
    with pytest.raises(ValueError, match=r"pseudo_label.threshold must lie in \[0, 1\), got 1.5"):
        build("pseudo_label", threshold=1.5)
    with pytest.raises(ValueError, match="vat needs epsilon and xi above 0"):
        build("vat", epsilon=0.0)
