"""Thresholds, calibration, EER and the ICBHI score against scikit-learn and slow statements."""

from typing import Any

import numpy as np
import pytest
import scipy.optimize
from sklearn import metrics as sk

from cryjax.evaluate.calibration import (
    calibration,
    fit_temperature,
    reliability,
    rescale,
)
from cryjax.evaluate.metrics import log_loss
from cryjax.evaluate.operating import (
    choose_threshold,
    decide,
    equal_error_rate,
    icbhi_score,
    predictive_values,
    rates,
)
from cryjax.evaluate.scoring import Scored, softmax


def predictions(n=300, classes=2, seed=0, who="v"):
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, classes, n)
    logits = 2 * rng.normal(size=(n, classes)) + 1.5 * np.eye(classes)[labels]
    groups = np.array([f"{who}{i // 3}" for i in range(n)])
    return Scored(softmax(np.round(logits, 1)), labels, groups)


ones = np.ones((1, 300))


@pytest.mark.parametrize("wanted", [0.8, 0.9, 0.95])
def test_the_threshold_has_the_most_sensitivity_at_that_specificity(wanted):
    val = predictions()
    wrong, right, _ = sk.roc_curve(val.labels, val.scores[:, 1], drop_intermediate=False)
    threshold = choose_threshold(val, specificity=wanted)
    called = val.scores[:, 1] >= threshold.value
    assert called[val.labels == 1].mean() == right[1 - wrong >= wanted - 1e-12].max()
    assert (~called[val.labels == 0]).mean() >= wanted
    youden = choose_threshold(val)
    called = val.scores[:, 1] >= youden.value
    got = called[val.labels == 1].mean() - called[val.labels == 0].mean()
    np.testing.assert_allclose(got, (right - wrong).max())


def test_a_threshold_is_applied_to_others_and_refused_on_its_own():
    val, test = predictions(), predictions(seed=1, who="t")
    threshold = choose_threshold(val, specificity=0.9)
    found = rates(*decide(threshold, test)[:2], ones)
    called = test.scores[:, 1] >= threshold.value
    np.testing.assert_allclose(found["sensitivity"], sk.recall_score(test.labels, called))
    np.testing.assert_allclose(
        found["specificity"], sk.recall_score(test.labels, called, pos_label=0)
    )
    with pytest.raises(ValueError, match=r"the threshold was chosen on 100 groups that it is now"):
        decide(threshold, val)
    one_shared = test._replace(groups=np.where(np.arange(300) == 7, "v3", test.groups))
    with pytest.raises(ValueError, match=r"on 1 groups .* such as \['v3'\]; choose it on the val"):
        decide(threshold, one_shared)
    with pytest.raises(ValueError, match="the temperature was chosen on 100 groups"):
        rescale(fit_temperature(val), val)
    with pytest.raises(ValueError, match="needs positives and negatives"):
        choose_threshold(val._replace(labels=np.zeros(300, int)))


def test_predictive_values_are_those_of_a_population():
    test = predictions(3000)
    called, ill = test.scores[:, 1] >= 0.5, test.labels == 1
    sensitive, specific = called[ill].mean(), (~called[~ill]).mean()
    ppv, npv = predictive_values(sensitive, specific, ill.mean())
    np.testing.assert_allclose([ppv, npv], [ill[called].mean(), (~ill[~called]).mean()])
    rare, _ = predictive_values(0.9, 0.9, 0.01)
    np.testing.assert_allclose(rare, 0.009 / (0.009 + 0.099))
    with pytest.raises(ValueError, match="prevalence must lie between 0 and 1, got 0"):
        predictive_values(0.9, 0.9, 0)


@pytest.mark.parametrize("classes", [2, 4])
def test_brier_ece_and_weights(classes):
    test = predictions(classes=classes)
    found = calibration(*test[:2], ones)
    if classes == 2:
        want = sk.brier_score_loss(test.labels, test.scores[:, 1])
    else:
        want = ((test.scores - np.eye(classes)[test.labels]) ** 2).sum(axis=1).mean()
    np.testing.assert_allclose(found["brier"], want)
    confidence, hit = test.scores.max(axis=1), test.scores.argmax(axis=1) == test.labels
    slow = 0.0
    for low in np.arange(10) / 10:
        mine = (confidence >= low) & ((confidence < low + 0.1) | (low > 0.85))
        if mine.any():
            slow += mine.mean() * abs(confidence[mine].mean() - hit[mine].mean())
    np.testing.assert_allclose(found["ece"], slow)
    twice = np.random.default_rng(0).integers(0, 4, 300)
    repeated = calibration(
        np.repeat(test.scores, twice, 0), np.repeat(test.labels, twice), np.ones((1, twice.sum()))
    )
    weighted = calibration(*test[:2], twice[None].astype(float))
    for name in found:
        np.testing.assert_allclose(weighted[name], repeated[name])
    assert sum(n for _, _, n in reliability(*test[:2])) == 300


def test_the_temperature_is_the_best_one():
    val, test = predictions(classes=3), predictions(classes=3, seed=1, who="t")
    sharp = val._replace(scores=softmax(3 * np.log(val.scores)))
    fitted = fit_temperature(sharp)
    np.testing.assert_allclose(fitted.value, 3 * fit_temperature(val).value, rtol=1e-3)
    loss = lambda t: log_loss(softmax(np.log(sharp.scores) / t), sharp.labels)  # noqa: E731
    best = scipy.optimize.brute(lambda t: loss(t[0]), [(0.5, 10)], Ns=400)
    assert loss(fitted.value) <= loss(best[0]) + 1e-6
    assert (rescale(fitted, test).scores.argmax(1) == test.scores.argmax(1)).all()


def test_the_icbhi_score_exact_and_binary():
    test = predictions(classes=4)
    found = {k: v[0] for k, v in icbhi_score(0)(*test[:2], ones).items()}
    guess, truth = test.scores.argmax(axis=1), test.labels
    specific = (guess[truth == 0] == 0).mean()
    exact = (guess[truth > 0] == truth[truth > 0]).mean()
    noticed = (guess[truth > 0] > 0).mean()
    want = [specific, exact, (specific + exact) / 2, noticed, (specific + noticed) / 2]
    np.testing.assert_allclose(list(found.values()), want)
    assert found["binary_score"] >= found["icbhi_score"]


def test_the_equal_error_rate_lies_where_the_curves_cross():
    rng = np.random.default_rng(0)
    same = rng.random(4000) < 0.3
    score = rng.normal(size=4000) + 1.2 * same
    rate, threshold = equal_error_rate(score, same)
    wrong, right, _ = sk.roc_curve(same, score, drop_intermediate=False)
    want: Any = scipy.optimize.brentq(lambda x: 1 - x - np.interp(x, wrong, right), 0, 1)
    np.testing.assert_allclose(rate, want, atol=1e-3)
    np.testing.assert_allclose((score[~same] >= threshold).mean(), rate, atol=2e-3)
    assert equal_error_rate(np.array([0.9, 0.8, 0.1]), np.array([True, True, False]))[0] == 0
    with pytest.raises(ValueError, match="pairs of both kinds"):
        equal_error_rate(score, np.ones(4000, bool))
