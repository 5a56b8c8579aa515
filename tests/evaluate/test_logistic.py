"""Many logistic regressions at once are scikit-learn's one after another."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from cryjax.evaluate.logistic import fit_many


def embeddings(classes, rows=240, features=40, seed=0):
    rng = np.random.default_rng(seed)
    labels = np.arange(rows) % classes
    x = rng.normal(size=(rows, features)) * rng.uniform(0.1, 9, features) + rng.normal(
        size=features
    )
    x[:, :classes] += 1.5 * np.eye(classes)[labels]
    return x.astype(np.float32), labels


@pytest.mark.parametrize("classes", [2, 5])
def test_each_fit_is_scikit_learns(classes):
    """Fitted in float64, or the oracle would be the weaker side; at our default tolerance."""
    x, labels = embeddings(classes)
    rng = np.random.default_rng(1)
    counted = np.stack([np.ones(len(x)), rng.random(len(x)) < 0.5, rng.random(len(x)) < 0.2])
    strength = np.array([1.0, 0.01, 10.0])
    fits = fit_many(x, labels, counted, strength, classes=classes)
    got = fits.probabilities(x)
    assert fits.converged.all()
    scaled = StandardScaler().fit_transform(x.astype(np.float64))
    for rows, c, p in zip(counted > 0, strength, got, strict=True):
        model = LogisticRegression(C=c, max_iter=5000, tol=1e-9).fit(scaled[rows], labels[rows])
        np.testing.assert_allclose(p, model.predict_proba(scaled), atol=1e-3)


def test_correlated_features_and_weak_penalties_hold_the_tolerance_on_other_rows():
    """As embeddings are: few directions carry most variance, and training rows are separable."""
    rng = np.random.default_rng(0)
    mixing = rng.normal(size=(120, 120)) * np.geomspace(1, 1e-3, 120)
    labels = rng.integers(0, 8, 600)
    latent = rng.normal(size=(600, 120)) + 1.2 * np.eye(120)[labels]
    x = np.maximum(latent @ mixing.T, 0).astype(np.float32)
    known, other = x[:300], x[300:]
    fits = fit_many(known, labels[:300], np.ones((2, 300)), np.array([0.1, 10.0]), classes=8)
    assert fits.converged.all()
    scaler = StandardScaler().fit(known.astype(np.float64))
    known64, other64 = (scaler.transform(part.astype(np.float64)) for part in (known, other))
    for c, p in zip((0.1, 10.0), fits.probabilities(other), strict=True):
        model = LogisticRegression(C=c, max_iter=50_000, tol=1e-9).fit(known64, labels[:300])
        np.testing.assert_allclose(p, model.predict_proba(other64), atol=1e-3)


def test_a_row_that_counts_twice_is_two_rows():
    x, labels = embeddings(3, rows=60)
    twice = fit_many(x, labels, np.full((1, 60), 2.0), np.ones(1), classes=3, tolerance=1e-6)
    again = fit_many(
        np.r_[x, x], np.r_[labels, labels], np.ones((1, 120)), np.ones(1), classes=3, tolerance=1e-6
    )
    np.testing.assert_allclose(twice.probabilities(x), again.probabilities(x), atol=1e-3)


def test_a_constant_feature_and_a_class_without_rows_do_no_harm():
    x, labels = embeddings(3)
    x[:, 5] = 7.0
    fits = fit_many(x, labels, (labels < 2)[None] * 1.0, np.ones(1), classes=3)
    p = fits.probabilities(x)[0]
    assert np.isfinite(p).all()
    assert (p.argmax(axis=1)[labels < 2] < 2).all()


def test_a_fit_that_did_not_converge_says_so():
    x, labels = embeddings(3)
    fits = fit_many(x, labels, np.ones((2, len(x))), np.array([1e-4, 10.0]), classes=3, most=6)
    assert fits.converged.tolist() == [True, False]


def test_a_fit_without_rows_or_strength_is_refused():
    x, labels = embeddings(2)
    with pytest.raises(ValueError, match="a fit has no row"):
        fit_many(x, labels, np.zeros((1, len(x))), np.ones(1), classes=2)
    with pytest.raises(ValueError, match="strength must be positive, got 0.0"):
        fit_many(x, labels, np.ones((1, len(x))), np.zeros(1), classes=2)
