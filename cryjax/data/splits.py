"""Splits by group: who is in one part is in no other."""

import collections
import dataclasses
import difflib
from collections.abc import Sequence

import numpy as np

from cryjax.data.manifest import Clip

LEAKY = "by clip (LEAKY: groups are on both sides)"


def assign_groups(
    labels: Sequence[str], groups: Sequence[str], shares: Sequence[float], seed: int
) -> np.ndarray:
    """Assigns whole groups to parts so that every class comes near its share in every part.

    Greedy: groups from the largest to the smallest (ties in an order drawn from the seed), each
    to the part where its classes are missing most, the part's share taken into account.

    Args:
      labels: Class of each clip.
      groups: Group of each clip.
      shares: Wanted share of each part; they are scaled to sum to one.
      seed: Of the order among groups of equal size.

    Returns:
      (clips,) part of each clip, an index into `shares`; no part is empty.

    Raises:
      ValueError: There are fewer groups than parts.
    """
    names, group_of = np.unique(groups, return_inverse=True)
    if len(names) < len(shares):
        raise ValueError(f"{len(names)} groups cannot fill {len(shares)} parts; use fewer parts")
    classes, label_of = np.unique(labels, return_inverse=True)
    counts = np.zeros((len(names), len(classes)))
    np.add.at(counts, (group_of, label_of), 1)
    # a class counts as much as any other, however rare it is
    counts /= counts.sum(axis=0)
    wanted = np.asarray(shares, float)[:, None] / sum(shares)
    order = np.random.default_rng(seed).permutation(len(names))
    order = order[np.argsort(-counts[order].sum(axis=1), kind="stable")]
    filled, part_of = np.zeros((len(shares), len(classes))), np.zeros(len(names), int)
    for position, group in enumerate(order):
        gain = ((wanted - filled) * counts[group] / wanted).sum(axis=1)
        empty = ~(filled.any(axis=1))
        if empty.sum() >= len(order) - position:  # the last groups go where nobody is yet
            gain[~empty] = -np.inf
        part_of[group] = np.argmax(gain)
        filled[part_of[group]] += counts[group]
    return part_of[group_of]


def shared_groups(clips: Sequence[Clip]) -> dict[str, list[str]]:
    """Groups that sit in more than one split, and in which; empty when nothing leaks."""
    splits = collections.defaultdict(set)
    for clip in clips:
        splits[clip.group].add(clip.split)
    return {group: sorted(where) for group, where in sorted(splits.items()) if len(where) > 1}


def require_disjoint(clips: Sequence[Clip]) -> None:
    """Refuses splits that share a group."""
    if shared := shared_groups(clips):
        group, where = next(iter(shared.items()))
        raise ValueError(
            f"{len(shared)} groups are in more than one split, the first is {group!r} in {where}; "
            "a split that shares a group is refused: --split=official_strict drops their clips "
            "from train, --split=holdout draws a new split, and --split=official_as_published "
            "keeps it with a warning in every table"
        )


def _parse(rule: str) -> tuple[str, int]:
    name, _, k = rule.partition(":")
    if name not in RULES or (name == "kfold") != k.isdigit() or (k.isdigit() and int(k) < 2):
        near = difflib.get_close_matches(name, RULES, 1) or RULES
        raise ValueError(
            f"split must be one of {', '.join(RULES)}:K, column:NAME, got {rule!r}; near: {near[0]}"
        )
    return name, int(k or 0)


_LATEST = ("train", "val", "test")
RULES = ("official", "official_strict", "official_as_published", "holdout", "by_clip", "kfold")


def _lateness(split: str) -> int:
    """A shared group stays in test before val before train; folds have no order."""
    if split not in _LATEST:
        raise ValueError(f"official_strict needs train, val and test, got {split!r}; use holdout")
    return _LATEST.index(split)


def _official(clips: list[Clip], name: str) -> tuple[list[Clip], str]:
    if missing := sum(not clip.split for clip in clips):
        raise ValueError(
            f"{missing} of {len(clips)} clips have no split of their own; "
            "pass --split=holdout or --split=kfold:K"
        )
    if name == "official_as_published" and shared_groups(clips):
        return clips, f"official as published (LEAKY: {len(shared_groups(clips))} shared groups)"
    if name == "official_strict":
        keeps = {g: max(where, key=_lateness) for g, where in shared_groups(clips).items()}
        clips = [clip for clip in clips if keeps.get(clip.group, clip.split) == clip.split]
    require_disjoint(clips)
    return clips, name.replace("_", " ")


def _drawn(clips: list[Clip], parts: list[str], shares: list[float], groups: list[str], seed: int):
    labels = [clip.label for clip in clips]
    assigned = assign_groups(labels, groups, shares, seed)
    return [dataclasses.replace(c, split=parts[i]) for c, i in zip(clips, assigned, strict=True)]


def make_splits(clips: list[Clip], rule: str, seed: int) -> tuple[list[Clip], str]:
    """Gives every clip a split and says how, in words that every table repeats.

    Args:
      clips: With groups.
      rule: "official" keeps the corpus's own and refuses shared groups, "official_strict" keeps
        them in test (or val) alone, "official_as_published" keeps them; "holdout" draws train, val
        and test (70/15/15 %) by group; "kfold:K" draws fold1..foldK; "by_clip" ignores groups, to
        teach what leakage pretends; "column:site" makes every value of a column a fold, to
        leave one site out, and refuses a group that was at two.
      seed: Of the drawn rules.

    Returns:
      The clips with splits, and the rule in words.
    """
    kind, _, column = rule.partition(":")
    if kind == "column" and column:
        clips = [dataclasses.replace(c, split=c.column(column) or "unknown") for c in clips]
        require_disjoint(clips)
        return clips, f"by {column}: each value a fold"
    name, k = _parse(rule)
    if name.startswith("official"):
        return _official(clips, name)
    parts = [f"fold{i + 1}" for i in range(k)] if k else ["train", "val", "test"]
    shares = [1.0] * k if k else [0.70, 0.15, 0.15]
    if name == "by_clip":
        return _drawn(clips, parts, shares, [str(i) for i in range(len(clips))], seed), LEAKY
    clips = _drawn(clips, parts, shares, [clip.group for clip in clips], seed)
    require_disjoint(clips)
    return clips, f"{name}{f' of {k}' if k else ''} by group, stratified, seed {seed}"
