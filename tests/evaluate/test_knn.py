import numpy as np
import pytest

from cryjax.evaluate import knn
from cryjax.evaluate.knn import KnnSettings
from cryjax.evaluate.metrics import auc
from cryjax.evaluate.report.breakdown import three_accuracies
from cryjax.evaluate.scoring import Scored, average_over, softmax


@pytest.mark.parametrize("k", [5, 20, 200])
def test_knn_equals_the_original_with_its_lookup_corrected(golden, k):
    g = golden("uclser_knn")
    h, clip, label = g["features"], g["clip_id"], g["patch_label"]
    shares = knn.knn_shares(h, clip, h, clip, label, KnnSettings(k), classes=20)
    _, predicted = knn.vote(shares, clip, len(g["clip_label"]))
    np.testing.assert_array_equal(predicted, g[f"pred_k{k}"])
    micro = (predicted == g["clip_label"]).mean()
    np.testing.assert_allclose(100 * micro, scale(g[f"micro_fixed_k{k}"]), atol=1e-3)
    classes = np.unique(g["clip_label"])
    macro = np.mean([(predicted[g["clip_label"] == c] == c).mean() for c in classes])
    np.testing.assert_allclose(100 * macro, scale(g[f"macro_fixed_k{k}"]), atol=1e-3)


def scale(value):
    """Per cent, whether the file holds shares or per cents."""
    return float(value) * (100 if value <= 1 else 1)


def test_a_clips_own_windows_are_never_its_neighbours():
    h = np.array([[1.0, 0], [1, 0.01], [0, 1], [0.1, 1]], np.float32)
    clip, label = np.array([0, 0, 1, 2]), np.array([0, 0, 1, 1])
    shares = knn.knn_shares(h, clip, h, clip, label, KnnSettings(1), classes=2)
    np.testing.assert_array_equal(shares.argmax(axis=1), [1, 1, 1, 1])


def test_neighbours_are_those_of_scikit_learn(monkeypatch):
    monkeypatch.setattr(knn, "CHUNK", 16)
    from sklearn.neighbors import KNeighborsClassifier

    rng = np.random.default_rng(0)
    bank, queries = rng.normal(size=(2, 50, 8)).astype(np.float32)
    label = rng.integers(0, 3, 50)
    oracle = KNeighborsClassifier(7, metric="cosine", algorithm="brute").fit(bank, label)
    clips = np.arange(50)
    got = knn.knn_shares(queries, clips + 100, bank, clips, label, KnnSettings(7), classes=3)
    np.testing.assert_allclose(got, oracle.predict_proba(queries), atol=1e-6)


@pytest.mark.parametrize("kind", ["random", "in a run", "ties", "hidden", "all alike"])
@pytest.mark.parametrize(("columns", "k"), [(3000, 20), (3001, 7), (1700, 200), (40, 40)])
def test_the_largest_are_those_of_a_sort(kind, columns, k):
    rng = np.random.default_rng(0)
    values = rng.normal(size=(30, columns)).astype(np.float32)
    if kind == "in a run":
        values[:, columns // 2 : columns // 2 + k] += 9
    elif kind == "ties":
        values = values.round()
    elif kind == "hidden" and columns > k:
        values[:, : columns - k] = -np.inf
    elif kind == "all alike":
        values[:] = 1
    found = knn.largest(values, k)
    assert all(len(set(row)) == k for row in found)
    got = np.sort(np.take_along_axis(values, found, axis=1))
    np.testing.assert_array_equal(got, np.sort(values)[:, -k:])


def test_k_shrinks_to_the_bank_and_an_empty_bank_is_refused():
    h, clip = np.eye(3, dtype=np.float32), np.arange(3)
    shares = knn.knn_shares(h, clip, h, clip, clip, KnnSettings(200), classes=3)
    np.testing.assert_allclose(shares.sum(axis=1), 1, rtol=1e-6)
    with pytest.raises(ValueError, match="windows of other clips"):
        knn.knn_shares(h[:1], clip[:1], h[:1], clip[:1], clip[:1], KnnSettings(1), classes=1)
    with pytest.raises(ValueError, match="kNN: embeddings are not finite"):
        knn.knn_shares(h * np.nan, clip, h, clip, clip, KnnSettings(1), classes=3)


@pytest.mark.parametrize("k", [5, 20, 200])
def test_the_released_lookup_of_labels(golden, k):
    g = golden("uclser_knn")
    h, clip, label = g["features"], g["clip_id"], g["patch_label"]
    settings = KnnSettings(k, released_lookup=True)
    shares = knn.knn_shares(h, clip, h, clip, label, settings, classes=20)
    _, predicted = knn.vote(shares, clip, len(g["clip_label"]))
    np.testing.assert_array_equal(predicted, g[f"pred_original_k{k}"])


def test_clips_are_ranked_by_mean_shares_and_decided_by_votes():
    """Votes of few windows tie: ranked by them, half of what the neighbours know is lost."""
    rng = np.random.default_rng(0)
    clip, label = np.repeat(np.arange(200), 3), np.arange(200) % 10 == 0
    ill = np.clip(0.25 + 0.15 * label[clip] + 0.08 * rng.normal(size=600), 0, 0.49)
    scores, decided = knn.vote(np.stack([1 - ill, ill], axis=1), clip, 200)
    assert (decided == 0).all()  # by votes every clip is the same: an AUC of 0.5
    assert auc(scores, label.astype(int)) > 0.95


def test_uclsers_three_accuracies(golden):
    g = golden("uclser_clip_eval")
    scores = average_over(softmax(g["features"] @ g["weight"]), g["clip_id"], 120)
    np.testing.assert_array_equal(scores.argmax(axis=1), g["pred"])
    scored = Scored.of(scores, g["clip_label"], g["clip_label"].astype(str))
    found = three_accuracies(scored, np.bincount(g["clip_id"]))
    for name, key in (
        ("macro", "macro"),
        ("micro", "micro_plain"),
        ("micro, patch-weighted", "micro_patch_weighted"),
    ):
        np.testing.assert_allclose(100 * found[name], g[key], rtol=1e-9)
