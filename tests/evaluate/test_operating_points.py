"""Thresholds, calibration, EER and the ICBHI score against scikit-learn and slow statements."""

from typing import Any

import numpy as np
import pytest
import scipy.optimize
from sklearn import metrics as sk

from cryjax.evaluate.calibration import (
    fit_recalibration,
    make_calibration,
    recalibrate,
    recalibrated,
    reliability,
)
from cryjax.evaluate.metrics import log_loss
from cryjax.evaluate.operating_points import (
    choose_threshold,
    decide,
    equal_error_rate,
    icbhi_score,
    predictive_values,
    rates,
)
from cryjax.evaluate.outcomes import Outcome
from cryjax.evaluate.report.clinical import ClinicalSettings, calibrations, operating_points
from cryjax.evaluate.scoring import Scored, softmax

PLAIN = ClinicalSettings()


def predictions(n=300, classes=2, seed=0, who="v"):
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, classes, n)
    logits = 2 * rng.normal(size=(n, classes)) + 1.5 * np.eye(classes)[labels]
    groups = np.array([f"{who}{i // 3}" for i in range(n)])
    return Scored.of(softmax(np.round(logits, 1)), labels, groups)


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
    found = rates(decide(threshold, test), ones)
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
    with pytest.raises(ValueError, match="the recalibration was chosen on 100 groups"):
        recalibrate(fit_recalibration(val), val)
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
    calibration = make_calibration(None)
    found = calibration(test, ones)
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
    repeated = calibration(test.select(np.repeat(np.arange(300), twice)), np.ones((1, twice.sum())))
    weighted = calibration(test, twice[None].astype(float))
    for name in found:
        np.testing.assert_allclose(weighted[name], repeated[name])
    assert sum(n for _, _, n in reliability(test)) == 300


def test_a_validation_part_without_an_error_does_not_sharpen_without_end():
    """The log loss alone drove the temperature to its bound and thresholds to 1e-41."""
    labels = np.arange(48) % 2
    scores = np.where(np.arange(2) == labels[:, None], 0.9, 0.1)
    val = Scored.of(scores, labels, np.arange(48).astype(str))
    change = fit_recalibration(val)
    assert 0.3 < change.temperature < 0.8
    assert recalibrated(scores, change).max() < 0.9999


def test_the_recalibration_is_the_best_one():
    """Against a search without slopes, from another start."""
    val, test = predictions(classes=3), predictions(classes=3, seed=1, who="t")
    sharp = Scored.of(softmax(3 * np.log(val.scores)), val.labels, val.groups)
    fitted = fit_recalibration(sharp)

    def loss(x):
        p = softmax(np.log(sharp.scores) / x[0] + x[1:])
        held_back = np.log(x[0]) ** 2 + (x[1:] ** 2).sum()
        return log_loss(p, sharp.labels) + held_back / (2 * len(p))

    start = np.array([2.0, 0.3, -0.3, 0.0])
    options = {"xatol": 1e-9, "fatol": 1e-13, "maxiter": 20_000, "maxfev": 20_000}
    best: Any = scipy.optimize.minimize(loss, start, method="Nelder-Mead", options=options)
    assert loss(np.r_[fitted.temperature, fitted.bias]) <= best.fun + 1e-7
    assert fitted.temperature == pytest.approx(best.x[0], rel=1e-2)
    after = recalibrate(fitted, test)
    np.testing.assert_allclose(after.scores.sum(axis=1), 1)
    assert log_loss(after.scores, test.labels) < log_loss(
        softmax(3 * np.log(test.scores)), test.labels
    )


def test_the_prior_that_balanced_training_hides_is_restored():
    """Scores as balanced training gives them, at a prevalence of 6 %: Bayes' are the best."""
    rng, n = np.random.default_rng(0), 8000
    labels = (rng.random(n) < 0.06).astype(int)
    evidence = rng.normal(size=n) + 2 * labels - 1  # log-likelihood ratio: twice the evidence
    balanced = softmax(np.stack([0 * evidence, 2 * evidence], axis=1))
    bayes = softmax(np.stack([0 * evidence, 2 * evidence + np.log(0.06 / 0.94)], axis=1))
    half, groups = n // 2, np.arange(n).astype(str)
    val = Scored.of(balanced, labels, groups).select(np.arange(half))
    test = Scored.of(balanced, labels, groups).select(np.arange(half, n))
    calibration, every = make_calibration(1), np.ones((1, half))
    want = calibration(Scored.of(bayes[half:], labels[half:], groups[half:]), every)
    mended = recalibrate(fit_recalibration(val), test)
    before, after = (calibration(scored, every) for scored in (test, mended))
    assert before["brier"] > 3 * want["brier"]
    assert before["positive_ece"] > 0.15
    assert after["brier"] < 1.02 * want["brier"]
    assert after["positive_ece"] < 0.015
    curve = reliability(mended, positive=1)
    assert sum(n for *_, n in curve) == half
    assert np.average([abs(a - b) for a, b, _ in curve], weights=[n for *_, n in curve]) < 0.015


def test_the_icbhi_score_exact_and_binary():
    test = predictions(classes=4)
    found = {k: v[0] for k, v in icbhi_score(0)(test, ones).items()}
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


def test_nothing_is_accepted_falsely_for_no_gain_in_sensitivity():
    """Of separable classes a specificity of 0.9 was bought with a threshold of 1e-7."""
    score = np.r_[np.linspace(0, 0.1, 20), np.linspace(0.8, 1, 20)]
    labels = np.repeat([0, 1], 20)
    val = Scored.of(np.stack([1 - score, score], 1), labels, np.arange(40).astype(str))
    for specificity in (0.5, 0.9, 1.0):
        assert choose_threshold(val, specificity=specificity).value == pytest.approx(0.8)


def outcome(val, test, fold="a"):
    return Outcome("linear", 0, fold, np.arange(len(test.labels)), test, val)


def test_a_test_part_of_one_class_has_no_predictive_values_and_ends_no_report():
    """It ended in an error after all training, before anything was written."""
    test = predictions(seed=1, who="t")
    healthy = Scored.of(test.scores, np.zeros_like(test.labels), test.groups)
    (table,) = operating_points([outcome(predictions(), healthy)], ["no", "yes"], PLAIN)
    assert {(row[3], *row[5:]) for row in table.rows} == {("—", "—", "—")}
    assert all(row[4] != "—" for row in table.rows)  # specificity is there
    none, made = ClinicalSettings(prevalence=0.0), [outcome(predictions(), test)]
    with pytest.raises(ValueError, match="prevalence must lie between 0 and 1, got 0"):
        operating_points(made, ["no", "yes"], none)


@pytest.mark.parametrize("classes", [2, 3])
def test_folds_without_a_threshold_are_named_and_others_keep_theirs(classes):
    """With three classes one such fold took the whole table, with two it went unsaid."""
    names, settings = ["no", "yes", "other"][:classes], ClinicalSettings(positive="yes")
    val = predictions(classes=classes)
    lacking = Scored.of(val.scores, np.where(val.labels == 1, 0, val.labels), val.groups)
    test = predictions(seed=1, who="t", classes=classes)
    folds = [outcome(val, test, "a"), outcome(lacking, test, "b")]
    (table,) = operating_points(folds, names, settings)
    assert table.rows
    assert table.note.endswith("validation part lacks positives or negatives: b.")
    assert all(len(row["thresholds"]) == 1 for row in table.raw)
    (none,) = operating_points(folds[1:], names, settings)
    assert none.note.startswith("No threshold could be chosen")
    assert ("lacks a second class: b." in calibrations(folds, names, settings)[0].note) == (
        classes == 2
    )
