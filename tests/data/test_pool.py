"""Nothing that validates or tests may be trained on, whichever way it is named."""

from typing import Any

import numpy as np
import pytest

from cryjax.data.corpus import open_corpus
from cryjax.data.parts import SplitSettings, choose_split, folds_of
from cryjax.data.pool import PoolSettings, open_pool, open_training_data


@pytest.fixture
def folders(make_corpus):
    """Three folders whose groups are g0 to g5 everywhere."""
    splits = {"own": "train", "extra": "train", "held": "test"}
    return {name: str(make_corpus(name=name, split=(s,))[0]) for name, s in splits.items()}


def pool_of(settings):
    return open_pool(open_training_data(settings), settings)


def test_a_split_to_protect_that_does_not_exist_is_refused(folders):
    settings = PoolSettings(
        (folders["own"],), protect_dirs=(folders["held"],), protect_splits=("vall", "tset")
    )
    with pytest.raises(
        ValueError, match=r"protect_splits: no split \['vall', 'tset'\]; there are test, train"
    ):
        pool_of(settings)


def test_groups_to_protect_are_refused_or_dropped_in_extra_and_replayed_folders(folders):
    where: dict[str, Any] = {"protect_dirs": (folders["held"],), "protect_splits": ("test",)}
    arms: list[dict[str, Any]] = [
        {},
        {"extra_dirs": (folders["extra"],)},
        {"replay_dirs": (folders["extra"],), "replay_fraction": 0.5},
    ]
    for more in arms:
        settings = PoolSettings((folders["own"],), **where, **more)
        with pytest.raises(ValueError, match="clips of 6 groups that validate or test"):
            pool_of(settings)
        dropped = PoolSettings((folders["own"],), **where, **more, on_protected="drop")
        with pytest.raises(ValueError, match="no clip of .* is left to train on"):
            pool_of(dropped)


@pytest.mark.parametrize("merged", ["own", "held"])
def test_a_group_is_protected_by_the_name_it_had_before_a_merge(make_corpus, merged):
    """Copies join groups in one folder and not in another, where they were decoded anew."""
    own, held = (
        str(make_corpus(name=n, split=(s,), **joined)[0])
        for n, s in (("own", "train"), ("held", "test"))
        for joined in ({"group": "joint{}", "before": "g{}"} if n == merged else {},)
    )
    where: dict[str, Any] = {"protect_dirs": (held,), "protect_splits": ("test",)}
    with pytest.raises(ValueError, match="clips of 6 groups that validate or test"):
        pool_of(PoolSettings((own,), **where))
    with pytest.raises(ValueError, match="no clip of .* is left to train on"):
        pool_of(PoolSettings((own,), **where, on_protected="drop"))


def test_a_folder_to_protect_of_which_nothing_is_protected_is_refused(make_corpus):
    """Splits of the one folder vouched for the other's, which has folds alone."""
    own = str(make_corpus(name="own", split=("train", "val", "test"))[0])
    held = str(make_corpus(name="held", split=("fold1", "fold2"))[0])
    with pytest.raises(ValueError, match=r"protects nothing without data.protect_splits.*'\*'"):
        PoolSettings((own,), protect_dirs=(held,))
    settings = PoolSettings((own,), protect_dirs=(held,), protect_splits=("val", "test"))
    with pytest.raises(ValueError, match=r"nothing of .*held would be protected.*fold1, fold2"):
        pool_of(settings)
    settings = PoolSettings((own,), protect_dirs=(held,), protect_splits=("*",))
    with pytest.raises(ValueError, match="clips of 2 groups that validate or test"):
        pool_of(settings)


def test_no_replay_folder_is_opened_at_fraction_zero(folders, tmp_path):
    settings = PoolSettings((folders["own"],), replay_dirs=(str(tmp_path / "nowhere"),))
    assert len(open_training_data(settings).sets) == 1
    assert len(pool_of(settings).replay) == 0
    with pytest.raises(ValueError, match="replay_dirs names no folder"):
        PoolSettings((folders["own"],), replay_fraction=0.5)


@pytest.mark.parametrize("share", [0.15, 0.3, 0.5])
def test_what_is_held_out_is_what_will_be_validated_on(make_corpus, share):
    lengths, parts = (60,) * 40, ("train", "train", "train", "test")
    folder = str(make_corpus(lengths=lengths, split=parts, labels="abcde")[0])
    corpus = open_corpus([folder])
    split = choose_split(corpus, SplitSettings(val=(), val_share=share))
    pool = open_pool(corpus, PoolSettings((folder,), hold_out_val_share=share))
    np.testing.assert_array_equal(pool.own, split.train)
    assert len(split.val) == pytest.approx(30 * share, abs=2)
    with pytest.raises(ValueError, match="clips of .* groups that validate or test"):
        pool_of(PoolSettings((folder,), extra_dirs=(folder,), hold_out_val_share=share))


def test_a_fold_is_tested_on_once_and_trained_on_by_the_others():
    folds = folds_of(SplitSettings(folds=("*",)), ["a", "b", "c"])
    assert [f["test"] for f in folds] == [("a",), ("b",), ("c",)]
    assert folds[1]["train"] == ("a", "c")
    with pytest.raises(ValueError, match=r"data.folds: no split \['d'\]; there are a, b, c"):
        folds_of(SplitSettings(folds=("a", "d")), ["a", "b", "c"])
