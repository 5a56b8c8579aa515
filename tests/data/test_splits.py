import collections

import numpy as np
import pytest
from sklearn.model_selection import StratifiedGroupKFold

from cryjax.data.manifest import LEFT_OUT, Clip
from cryjax.data.splits import LEAKY, assign_groups, make_splits, shared_groups


def clips(n=200, groups=40, seed=0):
    rng = np.random.default_rng(seed)
    who = rng.integers(0, groups, n)
    return [Clip(f"{i}.wav", label="ab"[int(g % 4 == 0)], group=f"g{g}") for i, g in enumerate(who)]


@pytest.mark.parametrize("rule", ["holdout", "kfold:5"])
def test_no_group_is_split_and_classes_are_spread(rule):
    done, words, _ = make_splits(clips(), rule, seed=1)
    assert not shared_groups(done)
    assert "by group" in words
    shares = collections.Counter((c.split, c.label) for c in done)
    for split in {c.split for c in done}:
        n = shares[split, "a"] + shares[split, "b"]
        assert shares[split, "b"] / n == pytest.approx(0.25, abs=0.1)
    assert make_splits(clips(), rule, seed=1).clips == done
    assert make_splits(clips(), rule, seed=2).clips != done


def test_folds_are_no_worse_than_scikit_learns():
    sample = clips(400, 60)
    labels, groups = [c.label for c in sample], [c.group for c in sample]
    ours = assign_groups(labels, groups, [1] * 5, seed=0)
    theirs = np.zeros(len(sample), int)
    folds = StratifiedGroupKFold(5, shuffle=True, random_state=0).split(labels, labels, groups)
    for i, (_, test) in enumerate(folds):
        theirs[test] = i

    def imbalance(parts):
        counts = [
            [sum(p == i and y == c for p, y in zip(parts, labels, strict=True)) for c in "ab"]
            for i in range(5)
        ]
        return np.std(np.array(counts) / np.sum(counts, axis=0), axis=0).mean()

    assert imbalance(ours) <= imbalance(theirs) * 1.2


def test_shares_are_met():
    done = make_splits(clips(1000, 200), "holdout", seed=0).clips
    n = collections.Counter(c.split for c in done)
    got = [n[s] / 1000 for s in ("train", "val", "test")]
    np.testing.assert_allclose(got, [0.7, 0.15, 0.15], atol=0.03)


def official(*splits):
    return [Clip(f"{i}.wav", label="a", group=g, split=s) for i, (g, s) in enumerate(splits)]


def test_a_split_that_shares_a_group_is_refused():
    shared = official(("p1", "train"), ("p1", "test"), ("p2", "train"))
    with pytest.raises(ValueError, match="1 groups are in more than one .*'p1' .*official_strict"):
        make_splits(shared, "official", 0)
    strict, words, notes = make_splits(shared, "official_strict", 0)
    assert [c.split for c in strict] == [LEFT_OUT, "test", "train"]
    assert words == "official strict, 1 shared groups kept in one split each (1 clips left out)"
    assert notes == ["group 'p1' was in test, train: it stays in test"]
    kept, words, _ = make_splits(shared, "official_as_published", 0)
    assert len(kept) == 3
    assert "LEAKY" in words


def test_folds_that_share_a_group_keep_it_where_most_of_it_is():
    shared = official(
        ("p1", "fold2"), ("p1", "fold1"), ("p1", "fold2"), ("p2", "fold2"), ("p2", "fold1")
    )
    strict, _, notes = make_splits(shared, "official_strict", 0)
    assert [c.split for c in strict] == ["fold2", LEFT_OUT, "fold2", LEFT_OUT, "fold1"]
    assert notes == [
        "group 'p1' was in fold1, fold2: it stays in fold2",
        "group 'p2' was in fold1, fold2: it stays in fold1",
    ]
    assert not shared_groups(strict)


def test_the_leaky_split_says_so():
    done, words, _ = make_splits(clips(), "by_clip", seed=0)
    assert words == LEAKY
    assert shared_groups(done)


def test_wrong_rules_are_named():
    with pytest.raises(ValueError, match="have no split of their own; pass --split=holdout"):
        make_splits(clips(), "official", 0)
    with pytest.raises(ValueError, match="got 'holdoff'; near: holdout"):
        make_splits(clips(), "holdoff", 0)
    with pytest.raises(ValueError, match="must be one of"):
        make_splits(clips(), "kfold", 0)
    with pytest.raises(ValueError, match="3 groups cannot fill 5 parts"):
        make_splits(clips(30, 3), "kfold:5", 0)
