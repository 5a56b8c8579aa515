"""Label fractions: nested, stratified subsets that keep groups whole."""

from collections.abc import Sequence

import numpy as np

from cryjax.errors import UserError

UNITS = ("group", "recording")


def nested_fractions(
    labels: np.ndarray,
    groups: np.ndarray,
    fractions: Sequence[float],
    *,
    seed: int,
    unit: str = "group",
) -> np.ndarray:
    """Draws subsets of which each larger one holds the smaller ones.

    Every group counts for its rarest class (the one with the fewest groups). Of each class the
    first round(fraction * groups) groups of a random order are taken, but at least one, so that
    every class has a label and very small fractions mean "one group of each class".

    Args:
      labels: (n,) class indices of the rows that could be labelled.
      groups: (n,) groups of the same rows.
      fractions: Shares in (0, 1], in any order.
      seed: Seed of the random order.
      unit: "group", or "recording" where there are too few groups (six speakers have no 5 %). A
        person may then be labelled in part, which tables must say.

    Returns:
      (fractions, n) whether each row is labelled.
    """
    if bad := [f for f in fractions if not 0 < f <= 1]:
        raise UserError(f"label fractions must lie in (0, 1], got {bad}")
    if unit not in UNITS:
        raise UserError(f"label unit must be one of {', '.join(UNITS)}, got {unit!r}")
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
