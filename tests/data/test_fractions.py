import numpy as np
import pytest

from cryjax.data.fractions import nested_fractions

FRACTIONS = (0.01, 0.03, 0.05, 0.1, 0.2, 0.5, 1.0)


def people(seed=0):
    rng = np.random.default_rng(seed)
    owner = np.sort(rng.integers(0, 120, 600))
    # every tenth baby is ill; the ill have healthy recordings too
    labels = np.where(owner % 10 == 0, rng.random(600) < 0.8, 0).astype(int)
    return labels, np.array([f"baby{i}" for i in owner])


def test_fractions_are_nested_whole_groups_of_every_class():
    labels, groups = people()
    taken = nested_fractions(labels, groups, FRACTIONS, seed=3)
    assert (taken[:-1] <= taken[1:]).all()
    assert taken[-1].all()
    for mask in taken:
        assert not set(groups[mask]) & set(groups[~mask])
        assert set(labels[mask]) == {0, 1}
    count = len(np.unique(groups))
    for fraction, mask in zip(FRACTIONS[3:], taken[3:], strict=True):
        assert len(np.unique(groups[mask])) / count == pytest.approx(fraction, abs=0.02)
        ill = np.unique(groups[mask & (labels == 1)])
        assert len(ill) / 12 == pytest.approx(fraction, abs=0.1)


def test_a_seed_draws_other_people_and_the_same_again():
    labels, groups = people()
    one, again, other = (nested_fractions(labels, groups, [0.1], seed=s) for s in (1, 1, 2))
    np.testing.assert_array_equal(one, again)
    assert (one != other).any()


def test_recordings_can_be_the_unit_where_groups_are_few():
    labels, groups = np.arange(100) % 5, np.array(["a", "b"]).repeat(50)
    taken = nested_fractions(labels, groups, [0.05, 0.1], seed=0, unit="recording")
    assert taken.sum(axis=1).tolist() == [5, 10]


def test_wrong_fractions_and_units_are_refused():
    labels, groups = people()
    with pytest.raises(ValueError, match=r"must lie in \(0, 1\], got \[0, 2\]"):
        nested_fractions(labels, groups, [0, 0.5, 2], seed=0)
    with pytest.raises(ValueError, match="label unit must be one of group, recording"):
        nested_fractions(labels, groups, [0.5], seed=0, unit="clip")
