"""Fewer labels: nested, stratified subsets that take a group wholly or not at all."""

from collections.abc import Sequence

import numpy as np

UNITS = ("group", "recording")


def nested_fractions(
    labels: np.ndarray,
    groups: np.ndarray,
    fractions: Sequence[float],
    *,
    seed: int,
    unit: str = "group",
) -> np.ndarray:
    """Draws the same people first at every size: each larger subset holds the smaller ones.

    Every group counts for its rarest class (the one with the fewest groups); of each class the
    first round(fraction * groups), but at least one, of a random order are taken. So no class is
    without a label, and very small fractions are really "one group a class".

    Args:
      labels: (n,) class indices of the rows that could be labelled.
      groups: (n,) groups of the same rows.
      fractions: In (0, 1], in any order.
      seed: Of the order.
      unit: "group", or "recording" where there are too few groups (six speakers have no 5 %): then
        a person may be labelled in part, which tables must say.

    Returns:
      (fractions, n) whether a row is labelled.
    """
    if bad := [f for f in fractions if not 0 < f <= 1]:
        raise ValueError(f"label fractions must lie in (0, 1], got {bad}")
    if unit not in UNITS:
        raise ValueError(f"label unit must be one of {', '.join(UNITS)}, got {unit!r}")
    names = groups if unit == "group" else np.arange(len(labels))
    _, owner = np.unique(names, return_inverse=True)
    there = np.zeros((owner.max() + 1, labels.max() + 1), bool)
    there[owner, labels] = True
    rarity = np.where(there, there.sum(axis=0), np.inf)
    stands_for = rarity.argmin(axis=1)
    order = np.random.default_rng(seed).permutation(len(there))
    taken = np.zeros((len(fractions), len(there)), bool)
    for label in np.unique(stands_for):
        mine = order[stands_for[order] == label]
        for i, fraction in enumerate(fractions):
            taken[i, mine[: max(1, round(fraction * len(mine)))]] = True
    return taken[:, owner]
