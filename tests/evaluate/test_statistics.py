import os
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from scipy.stats import norm
from sklearn import metrics as sk

from cryjax.evaluate import statistics
from cryjax.evaluate.estimates import Run, difference, estimate, whole_seeds
from cryjax.evaluate.metrics import NAMES, confusion, score
from cryjax.evaluate.outcomes import Outcome
from cryjax.evaluate.report.tables import cell, main_table, mode_cell, summarise
from cryjax.evaluate.scoring import Scored, average_over, softmax
from cryjax.evaluate.statistics import (
    group_bootstrap,
    over_seeds,
    paired_bootstrap,
    weighted_scores,
)


def predictions(n=60, classes=3, seed=0):
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, classes, n)
    logits = rng.normal(size=(n, classes)) + 1.2 * np.eye(classes)[labels]
    return Scored.of(softmax(np.round(logits, 1)), labels, rng.integers(0, 20, n).astype(str))


@pytest.mark.parametrize("classes", [2, 3, 5])
def test_weighted_scores_equal_scikit_learn_with_repeated_rows(classes):
    scored = predictions(classes=classes)
    weights = np.random.default_rng(1).integers(0, 3, (4, len(scored.labels))).astype(float)
    weights[0] = 1
    got = weighted_scores(scored, weights)
    for i, w in enumerate(weights):
        want = score(scored.select(np.repeat(np.arange(len(w)), w.astype(int))))
        for name in NAMES:
            np.testing.assert_allclose(got[name][i], want[name], rtol=1e-9, err_msg=name)


@pytest.mark.parametrize("classes", [2, 3, 7])
@pytest.mark.parametrize("n", [9, 60])
def test_scores_are_scikit_learns(classes, n):
    """With ties, classes that are never decided for, and classes that do not occur."""
    scored = predictions(n, classes, seed=n + classes)
    if classes == 7:
        scored = scored.select(scored.labels != 2)
    scores, labels, decided = scored.scores, scored.labels, scored.decisions
    got = score(scored)
    assert got["accuracy"] == pytest.approx(sk.accuracy_score(labels, decided), rel=1e-12)
    zero: Any = 0  # the stubs of scikit-learn know texts alone
    want = sk.f1_score(labels, decided, average="macro", zero_division=zero)
    assert got["macro_f1"] == pytest.approx(want, rel=1e-12)
    there = np.unique(labels)
    want = sk.recall_score(labels, decided, labels=there, average="macro", zero_division=zero)
    assert got["balanced_accuracy"] == pytest.approx(want, rel=1e-12)
    sides = [1] if classes == 2 else np.unique(labels)
    areas = [sk.roc_auc_score(labels == c, scores[:, c]) for c in sides]
    assert got["auc"] == pytest.approx(np.mean(areas), rel=1e-12)
    want = sk.confusion_matrix(labels, decided, labels=np.arange(classes))
    np.testing.assert_array_equal(confusion(scored), want)
    assert np.isnan(score(scored.select(labels == labels[0]))["auc"])


def test_the_group_bootstrap_equals_its_slow_statement():
    scored = predictions()
    groups, names = scored.groups, np.unique(scored.groups)
    fast = group_bootstrap([[scored]], resamples=400, seed=3)
    rng, values = np.random.default_rng(4), []
    for _ in range(400):
        rows = np.concatenate([np.flatnonzero(groups == g) for g in rng.choice(names, len(names))])
        values.append(score(scored.select(rows))["accuracy"])
    np.testing.assert_allclose(fast["accuracy"], np.percentile(values, [2.5, 97.5]), atol=0.03)


def test_groups_widen_the_interval_beyond_that_of_rows():
    rng = np.random.default_rng(0)
    group = np.repeat(np.arange(10), 30)
    right = np.repeat(rng.random(10) < 0.6, 30)  # whole groups are right or wrong
    labels = rng.integers(0, 2, 300)
    scores = np.eye(2)[np.where(right, labels, 1 - labels)]
    by_group, by_row = (
        Scored.of(scores, labels, names.astype(str)) for names in (group, np.arange(300))
    )
    wide, narrow = (group_bootstrap([[scored]])["accuracy"] for scored in (by_group, by_row))
    assert wide[1] - wide[0] > 3 * (narrow[1] - narrow[0])


def test_one_group_has_no_interval_and_folds_of_one_group_are_drawn_whole():
    right = (0.2, 0.5, 0.9)  # of ten recordings of each speaker
    parts = []
    for share in right:
        labels = np.arange(10) % 2
        hit = np.arange(10) < 10 * share
        scores = np.eye(2)[np.where(hit, labels, 1 - labels)]
        parts.append([Scored.of(scores, labels, np.full(10, str(share)))])
    assert np.isnan(group_bootstrap(parts[:1])["accuracy"]).all()
    assert "[-]" in cell({"mean": 0.2, "standard_error": np.nan, "interval": [np.nan, np.nan]})
    draws = np.random.default_rng(1).choice(right, (20_000, 3)).mean(axis=1)
    want = np.percentile(draws, [2.5, 97.5])
    np.testing.assert_allclose(group_bootstrap(parts)["accuracy"], want, atol=0.03)


def test_a_fold_of_one_group_does_not_take_the_others_groups_away():
    """Three folds of 40, 40 and 1 groups were drawn whole: the interval was their range."""

    def fold(n, right):
        labels = np.arange(n) % 2
        decided = np.where(np.arange(n) < right, labels, 1 - labels)
        groups = np.arange(n).astype(str) if n > 2 else np.full(n, "one")
        return [Scored.of(np.eye(2)[decided], labels, groups)]

    folds = [fold(40, 32), fold(40, 28), fold(2, 2)]
    low, high = group_bootstrap(folds)["accuracy"]
    drawn = np.random.default_rng(1).binomial(40, (0.8, 0.7), (20_000, 2)) / 40
    want = np.percentile((drawn.sum(axis=1) + 1) / 3, [2.5, 97.5])
    np.testing.assert_allclose((low, high), want, atol=0.02)


def test_a_seed_that_lacks_a_fold_adds_no_spread_and_is_compared_with_nobody():
    """A stopped study put the folds' difficulty into ± and its means beside their intervals."""

    def run(fold, seed, right):
        labels = np.arange(40) % 2
        decided = np.where(np.arange(40) < right, labels, 1 - labels)
        groups = np.array([f"{fold}{i}" for i in range(40)])
        return Run(fold, seed, Scored.of(np.eye(2)[decided], labels, groups))

    theirs = [run("a", 0, 36), run("b", 0, 28), run("c", 0, 26)]
    ours = [*theirs, run("a", 1, 36)]
    assert estimate(ours)["accuracy"]["by_seed"] == estimate(theirs)["accuracy"]["by_seed"]
    gain = difference(ours, theirs)["accuracy"]
    assert (gain["mean"], gain["interval"]) == (0, [0, 0])
    scored = theirs[1].scored
    lost = scored._replace(scores=scored.scores * np.nan)
    diverged = [theirs[0], Run("b", 0, lost), theirs[2], run("a", 1, 36)]
    assert [(r.seed, r.fold) for r in whole_seeds(diverged)] == [(1, "a")]
    apart = [run(fold, seed, 36) for fold, seed in (("b", 1), ("a", 0), ("c", 1), ("b", 0))]
    assert {r.seed for r in whole_seeds(apart)} == {1}  # as many folds, but others


def test_seed_spread_and_group_interval_are_apart():
    assert over_seeds([0.5, 0.7]) == (0.6, pytest.approx(0.1))
    assert np.isnan(over_seeds([0.5])[1])
    scored = predictions()
    rows = np.arange(len(scored.labels))
    outcomes = [Outcome("linear", s, f, rows, scored, scored) for s in (0, 1) for f in "ab"]
    (row,) = summarise(outcomes)
    assert (row["seeds"], row["folds"], row["groups"]) == (2, 2, 2 * len(set(scored.groups)))
    assert row["accuracy"]["standard_error"] == 0
    low, high = row["accuracy"]["interval"]
    assert low < row["accuracy"]["mean"] < high
    assert "±" in main_table([row], "t").as_markdown()


def test_windows_average_to_clips_and_clips_to_groups():
    scores = np.array([[1.0, 0], [0, 1], [0, 1]])
    np.testing.assert_allclose(average_over(scores, np.array([0, 0, 1]), 2), [[0.5, 0.5], [0, 1]])
    merged = Scored.of(scores, np.array([0, 0, 1]), np.full(3, "baby1")).at("group")
    np.testing.assert_allclose(merged.scores, [[0.5, 0.5], [0, 1]])
    assert merged.labels.tolist() == [0, 1]
    assert merged.groups.tolist() == ["baby1", "baby1"]


def test_the_paired_bootstrap_sees_a_difference_that_separate_intervals_hide():
    scored = predictions(n=300)
    noise = 0.05 * np.random.default_rng(3).normal(size=scored.scores.shape)
    worse = softmax(np.log(scored.scores) - 0.25 * np.eye(3)[scored.labels] + noise)
    ours, theirs = [[scored]], [[Scored.of(worse, scored.labels, scored.groups)]]
    gain = paired_bootstrap(ours, theirs, resamples=500)["accuracy"]
    alone = [group_bootstrap(p, resamples=500)["accuracy"] for p in (ours, theirs)]
    assert alone[0][0] < alone[1][1]  # the intervals overlap
    assert gain[0] > 0
    assert gain[2] < 0.05
    nothing = paired_bootstrap(ours, ours, resamples=200)["auc"]
    assert nothing == (0.0, 0.0, 1.0)
    with pytest.raises(ValueError, match="the same recordings in one order"):
        paired_bootstrap(ours, [[Scored.of(worse, scored.labels[::-1], scored.groups)]])


def auc_alone(scored, weights):
    found = weighted_scores(scored, weights)
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
        part = Scored.of(both, labels, np.arange(groups).repeat(2).astype(str))
        found = group_bootstrap([[part]], auc_alone, resamples=400)
        for name, value in truth.items():
            covered[name] += int(found[name][0] <= value <= found[name][1])
    for name, count in covered.items():
        assert 0.92 <= count / simulations <= 0.98, (name, count / simulations)


@pytest.mark.parametrize("classes", [2, 3, 40])
def test_the_two_ways_to_count_pairs_agree(classes):
    scored = predictions(n=400, classes=classes)
    weights = np.random.default_rng(1).integers(0, 3, (5, 400)).astype(float)
    scores, labels = scored.scores, scored.labels
    one_by_one = statistics._won_one_by_one(scores, labels, weights, labels != 1)
    for c in range(classes):
        in_order = statistics._won_in_order(scores[:, c], labels == c, weights)
        np.testing.assert_allclose(one_by_one[:, c], in_order if c != 1 else 0, rtol=1e-12)


MANY_CLASSES = """
import resource, sys
import numpy as np
from cryjax.evaluate.estimates import Run, estimate
from cryjax.evaluate.scoring import Scored

resource.setrlimit(resource.RLIMIT_AS, (2 << 30, 2 << 30))
rng, classes = np.random.default_rng(0), 1251
labels = np.arange(3 * classes) % classes
scores = rng.random((len(labels), classes))
groups = (labels // 10).astype(str)
found = estimate([Run("test", 0, Scored.of(scores / scores.sum(1, keepdims=True), labels, groups))])
print(*found["auc"]["interval"])
"""


@pytest.mark.slow
def test_1251_speakers_with_2000_resamples_fit_into_2_gib():
    command = [sys.executable, "-c", MANY_CLASSES]
    threads = {"OPENBLAS_NUM_THREADS": "2", "OMP_NUM_THREADS": "2"}
    done = subprocess.run(
        command, check=False, capture_output=True, text=True, env=os.environ | threads
    )
    assert done.returncode == 0, done.stderr
    low, high = map(float, done.stdout.split())
    assert 0.45 < low < high < 0.55


def test_a_diverged_run_is_counted_and_left_out():
    scored = predictions()
    broken = scored._replace(scores=np.full_like(scored.scores, np.nan))
    assert np.isnan(list(score(broken).values())).all()
    rows = np.arange(len(scored.labels))
    runs = (scored, broken, scored)
    outcomes = [Outcome("linear", i, "test", rows, s, s) for i, s in enumerate(runs)]
    (row,) = summarise(outcomes)
    assert (row["diverged"], row["runs"], row["seeds"]) == (1, 3, 3)
    assert row["auc"]["mean"] == pytest.approx(score(scored)["auc"])
    assert mode_cell(row) == "linear (1 of 3 runs diverged)"
    (row,) = summarise(outcomes[1:2])
    assert cell(row["auc"]) == "—"


def test_one_fit_is_one_fit_and_has_no_spread():
    scored = predictions()
    (row,) = summarise([Outcome("linear", 0, "test", np.arange(60), scored, scored)])
    assert np.isnan(row["auc"]["standard_error"])
    assert "±" not in cell(row["auc"])
