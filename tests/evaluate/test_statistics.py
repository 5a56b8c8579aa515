import numpy as np
import pytest
from scipy.stats import norm
from sklearn import metrics as sk

from cryjax.evaluate.metrics import NAMES, confusion, score
from cryjax.evaluate.scoring import Scored, average_over, softmax, to_groups
from cryjax.evaluate.statistics import (
    group_bootstrap,
    over_seeds,
    paired_bootstrap,
    weighted_scores,
)
from cryjax.evaluate.table import Outcome, as_markdown, cell, summarise


def predictions(n=60, classes=3, seed=0):
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, classes, n)
    logits = rng.normal(size=(n, classes)) + 1.2 * np.eye(classes)[labels]
    return softmax(np.round(logits, 1)), labels, rng.integers(0, 20, n).astype(str)


@pytest.mark.parametrize("classes", [2, 3, 5])
def test_weighted_scores_equal_scikit_learn_with_repeated_rows(classes):
    scores, labels, _ = predictions(classes=classes)
    weights = np.random.default_rng(1).integers(0, 3, (4, len(labels))).astype(float)
    weights[0] = 1
    got = weighted_scores(scores, labels, weights)
    for i, w in enumerate(weights):
        rows = np.repeat(np.arange(len(labels)), w.astype(int))
        want = score(scores[rows], labels[rows])
        for name in NAMES:
            np.testing.assert_allclose(got[name][i], want[name], rtol=1e-9, err_msg=name)


def test_scores_are_scikit_learns():
    scores, labels, _ = predictions()
    got = score(scores, labels)
    assert got["balanced_accuracy"] == sk.balanced_accuracy_score(labels, scores.argmax(axis=1))
    want = sk.roc_auc_score(labels, scores, multi_class="ovr", average="macro")
    np.testing.assert_allclose(got["auc"], want)
    assert confusion(scores, labels).sum() == len(labels)
    assert np.isnan(score(scores[labels == 0], labels[labels == 0])["auc"])


def test_the_group_bootstrap_equals_its_slow_statement():
    scores, labels, groups = predictions()
    fast = group_bootstrap([(scores[None], labels, groups)], resamples=400, seed=3)
    rng, values = np.random.default_rng(4), []
    names = np.unique(groups)
    for _ in range(400):
        rows = np.concatenate([np.flatnonzero(groups == g) for g in rng.choice(names, len(names))])
        values.append(score(scores[rows], labels[rows])["accuracy"])
    np.testing.assert_allclose(fast["accuracy"], np.percentile(values, [2.5, 97.5]), atol=0.03)


def test_groups_widen_the_interval_beyond_that_of_rows():
    rng = np.random.default_rng(0)
    group = np.repeat(np.arange(10), 30)
    right = np.repeat(rng.random(10) < 0.6, 30)  # whole groups are right or wrong
    labels = rng.integers(0, 2, 300)
    scores = np.eye(2)[np.where(right, labels, 1 - labels)]
    wide = group_bootstrap([(scores[None], labels, group.astype(str))])["accuracy"]
    narrow = group_bootstrap([(scores[None], labels, np.arange(300).astype(str))])["accuracy"]
    assert wide[1] - wide[0] > 3 * (narrow[1] - narrow[0])


def test_one_group_has_no_interval_and_folds_of_one_group_are_drawn_whole():
    right = (0.2, 0.5, 0.9)  # of ten recordings of each speaker
    parts = []
    for share in right:
        labels = np.arange(10) % 2
        hit = np.arange(10) < 10 * share
        scores = np.eye(2)[np.where(hit, labels, 1 - labels)]
        parts.append((scores[None], labels, np.full(10, str(share))))
    assert np.isnan(group_bootstrap(parts[:1])["accuracy"]).all()
    assert "[-]" in cell({"mean": 0.2, "standard_error": np.nan, "interval": [np.nan, np.nan]})
    draws = np.random.default_rng(1).choice(right, (20_000, 3)).mean(axis=1)
    want = np.percentile(draws, [2.5, 97.5])
    np.testing.assert_allclose(group_bootstrap(parts)["accuracy"], want, atol=0.03)


def test_seed_spread_and_group_interval_are_apart():
    assert over_seeds([0.5, 0.7]) == (0.6, pytest.approx(0.1))
    assert np.isnan(over_seeds([0.5])[1])
    scores, labels, groups = predictions()
    rows = np.arange(len(labels))
    outcomes = [
        Outcome("linear", s, f, rows, Scored(scores, labels, groups)) for s in (0, 1) for f in "ab"
    ]
    (row,) = summarise(outcomes)
    assert (row["seeds"], row["folds"], row["groups"]) == (2, 2, 2 * len(set(groups)))
    assert row["accuracy"]["standard_error"] == 0
    low, high = row["accuracy"]["interval"]
    assert low < row["accuracy"]["mean"] < high
    assert "±" in as_markdown([row], "t")


def test_windows_average_to_clips_and_clips_to_groups():
    scores = np.array([[1.0, 0], [0, 1], [0, 1]])
    np.testing.assert_allclose(average_over(scores, np.array([0, 0, 1]), 2), [[0.5, 0.5], [0, 1]])
    merged, labels, groups = to_groups(
        scores, np.array([0, 0, 1]), np.array(["baby1", "baby1", "baby1"])
    )
    np.testing.assert_allclose(merged, [[0.5, 0.5], [0, 1]])
    assert labels.tolist() == [0, 1]
    assert groups.tolist() == ["baby1", "baby1"]


def test_the_paired_bootstrap_sees_a_difference_that_separate_intervals_hide():
    scores, labels, groups = predictions(n=300)
    rng = np.random.default_rng(3)
    worse = softmax(
        np.log(scores) - 0.25 * np.eye(3)[labels] + 0.05 * rng.normal(size=scores.shape)
    )
    ours, theirs = ([(s[None], labels, groups)] for s in (scores, worse))
    gain = paired_bootstrap(ours, theirs, resamples=500)["accuracy"]
    alone = [group_bootstrap(p, resamples=500)["accuracy"] for p in (ours, theirs)]
    assert alone[0][0] < alone[1][1]  # the intervals overlap
    assert gain[0] > 0
    assert gain[2] < 0.05
    nothing = paired_bootstrap(ours, ours, resamples=200)["auc"]
    assert nothing == (0.0, 0.0, 1.0)
    with pytest.raises(ValueError, match="the same recordings in one order"):
        paired_bootstrap(ours, [(worse[None], labels[::-1], groups)])


def auc_alone(scores, labels, weights):
    found = weighted_scores(scores, labels, weights)
    return {name: found[name] for name in ("accuracy", "auc")}


def test_intervals_cover_the_truth():
    """Binormal scores: AUC Phi(d / sqrt 2), accuracy Phi(d / 2); two recordings a group, alike."""
    rng, distance, groups = np.random.default_rng(0), 1.5, 80
    truth = {"auc": norm.cdf(distance / 2**0.5), "accuracy": norm.cdf(distance / 2)}
    covered, simulations = dict.fromkeys(truth, 0), 400
    for _ in range(simulations):
        labels = np.arange(groups) % 2
        score = rng.normal(size=groups) + distance * (labels - 0.5)
        labels, score = labels.repeat(2), score.repeat(2) + 1e-3 * rng.normal(size=2 * groups)
        both = softmax(np.stack([-score, score], axis=1))
        part = (both[None], labels, np.arange(groups).repeat(2).astype(str))
        found = group_bootstrap([part], auc_alone, resamples=400)
        for name, value in truth.items():
            covered[name] += int(found[name][0] <= value <= found[name][1])
    for name, count in covered.items():
        assert 0.92 <= count / simulations <= 0.98, (name, count / simulations)
