"""Splits of a prepared folder, by group: who is in one part is in no other."""

import collections
import dataclasses
import difflib
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from cryjax.data.manifest import LEFT_OUT, Clip
from cryjax.errors import UserError

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
      seed: Seed of the order among groups of equal size.

    Returns:
      (clips,) part of each clip, an index into `shares`; no part is empty.

    Raises:
      UserError: There are fewer groups than parts.
    """
    names, group_of = np.unique(groups, return_inverse=True)
    if len(names) < len(shares):
        raise UserError(f"{len(names)} groups cannot fill {len(shares)} parts; use fewer parts")
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
    """Maps each group that is in more than one split to these splits."""
    splits = collections.defaultdict(set)
    for clip in clips:
        if clip.split != LEFT_OUT:
            splits[clip.group].add(clip.split)
    return {group: sorted(where) for group, where in sorted(splits.items()) if len(where) > 1}


def require_disjoint(clips: Sequence[Clip]) -> None:
    """Refuses splits that share a group, naming the first."""
    if shared := shared_groups(clips):
        group, where = next(iter(shared.items()))
        raise UserError(
            f"{len(shared)} groups are in more than one split, the first is {group!r} in {where}; "
            "--split=official_strict keeps each of them in one split and leaves its other clips "
            "out, --split=holdout draws a new split, and --split=official_as_published keeps the "
            "leak with a warning in every table"
        )


def _parse(rule: str) -> tuple[str, int]:
    name, _, k = rule.partition(":")
    if name not in RULES or (name == "kfold") != k.isdigit() or (k.isdigit() and int(k) < 2):
        near = difflib.get_close_matches(name, RULES, 1) or RULES
        raise UserError(
            f"split must be one of {', '.join(RULES)}:K, column:NAME, got {rule!r}; near: {near[0]}"
        )
    return name, int(k or 0)


RULES = ("official", "official_strict", "official_as_published", "holdout", "by_clip", "kfold")
_LATEST = ("train", "val", "test")


class Splits(NamedTuple):
    """Clips with splits, and how they came about.

    Attributes:
      clips: The given clips in their order; `LEFT_OUT` is the split of those that no part
        may use.
      rule: The rule in words, which every table repeats.
      notes: What a user should know besides, one sentence each.
    """

    clips: list[Clip]
    rule: str
    notes: list[str]


def _kept_split(counts: collections.Counter[str]) -> str:
    """Chooses the one split that a shared group stays in.

    That is test before val before train; of folds the one with most of its clips, the first by
    name among equals.
    """
    if set(counts) <= set(_LATEST):
        return max(counts, key=_LATEST.index)
    return min(counts, key=lambda split: (-counts[split], split))


def _strict(clips: list[Clip], shared: dict[str, list[str]]) -> Splits:
    counts = {group: collections.Counter[str]() for group in shared}
    for clip in clips:
        if clip.group in counts:
            counts[clip.group][clip.split] += 1
    stays = {group: _kept_split(splits) for group, splits in counts.items()}
    kept = [
        c if stays.get(c.group, c.split) == c.split else dataclasses.replace(c, split=LEFT_OUT)
        for c in clips
    ]
    dropped = sum(clip.split == LEFT_OUT for clip in kept)
    notes = [
        f"group {group!r} was in {', '.join(where)}: it stays in {stays[group]}"
        for group, where in shared.items()
    ]
    words = f"official strict, {len(shared)} shared groups kept in one split each"
    return Splits(kept, f"{words} ({dropped} clips left out)" if shared else words, notes)


def _official(clips: list[Clip], name: str) -> Splits:
    if missing := sum(not clip.split for clip in clips):
        raise UserError(
            f"{missing} of {len(clips)} clips have no split of their own; "
            "pass --split=holdout or --split=kfold:K"
        )
    shared = shared_groups(clips)
    if name == "official_strict":
        return _strict(clips, shared)
    if name == "official_as_published" and shared:
        return Splits(clips, f"official as published (LEAKY: {len(shared)} shared groups)", [])
    require_disjoint(clips)
    return Splits(clips, name.replace("_", " "), [])


def _drawn(clips: list[Clip], parts: list[str], shares: list[float], groups: list[str], seed: int):
    labels = [clip.label for clip in clips]
    assigned = assign_groups(labels, groups, shares, seed)
    return [dataclasses.replace(c, split=parts[i]) for c, i in zip(clips, assigned, strict=True)]


def make_splits(clips: list[Clip], rule: str, seed: int) -> Splits:
    """Gives every clip a split.

    Args:
      clips: Clips with groups, and with splits where the rule is an official one.
      rule: "official" keeps the corpus's own splits and refuses shared groups; "official_strict"
        keeps each shared group in one split (test before val before train, else the fold with
        most of its clips) and leaves its other clips out; "official_as_published" keeps the leak;
        "holdout" draws train, val and test (70, 15 and 15 %) by group; "kfold:K" draws
        fold1..foldK; "by_clip" ignores groups, to teach what leakage pretends; "column:site"
        makes every value of a column a fold, to leave one site out, and refuses a group that was
        at two.
      seed: Seed of drawn splits.

    Raises:
      UserError: The rule is unknown or cannot be applied to these clips.
    """
    out = [clip for clip in clips if clip.split == LEFT_OUT]
    if out:
        kept = [clip for clip in clips if clip.split != LEFT_OUT]
        made = make_splits(kept, rule, seed)
        rest = iter(made.clips)
        clips = [clip if clip.split == LEFT_OUT else next(rest) for clip in clips]
        return made._replace(clips=clips)
    kind, _, column = rule.partition(":")
    if kind == "column" and column:
        clips = [dataclasses.replace(c, split=c.column(column) or "unknown") for c in clips]
        require_disjoint(clips)
        return Splits(clips, f"by {column}: each value a fold", [])
    name, k = _parse(rule)
    if name.startswith("official"):
        return _official(clips, name)
    parts = [f"fold{i + 1}" for i in range(k)] if k else ["train", "val", "test"]
    shares = [1.0] * k if k else [0.70, 0.15, 0.15]
    if name == "by_clip":
        each = [str(i) for i in range(len(clips))]
        return Splits(_drawn(clips, parts, shares, each, seed), LEAKY, [])
    clips = _drawn(clips, parts, shares, [clip.group for clip in clips], seed)
    require_disjoint(clips)
    words = f"{name}{f' of {k}' if k else ''} by group, stratified, seed {seed}"
    return Splits(clips, words, [])
