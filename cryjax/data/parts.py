"""Train, validation and test parts of a labelled corpus, chosen in one place for every task."""

import dataclasses

import numpy as np

from cryjax.data.corpus import Corpus
from cryjax.data.splits import assign_groups
from cryjax.errors import UserError

LEAKY_VALIDATION = {
    "clip": "validation drawn by clip (LEAKY: its groups are trained on)",
    "train": "validation on all of train as released (LEAKY: its clips are trained on)",
}
VAL_BY = ("group", *LEAKY_VALIDATION)


@dataclasses.dataclass(frozen=True)
class SplitSettings:
    """Which splits of a prepared folder are trained, validated and tested on.

    Attributes:
      train: Splits to train on.
      val: Splits to validate on; where none is named, a share of `train` is.
      test: Splits to test on.
      val_share: Share of the training clips that validates where `val` names no split.
      val_by: How that share is drawn: "group" keeps groups whole; "clip" ignores them, to teach
        what that pretends; "train" validates on all of train, as Fonseca et al. 2021 release it.
        The last two are leaky and every table says so.
      folds: Splits that are tested on in turn, with all others for training and validation; "*"
        stands for every split. Replaces `train`, `val` and `test` where it is not empty.
    """

    train: tuple[str, ...] = ("train",)
    val: tuple[str, ...] = ("val",)
    test: tuple[str, ...] = ("test",)
    val_share: float = 0.15
    val_by: str = "group"
    folds: tuple[str, ...] = ()

    def __post_init__(self):
        if self.val_by not in VAL_BY:
            raise UserError(f"data.val_by must be one of {', '.join(VAL_BY)}, got {self.val_by!r}")
        if self.val and self.val_by != "group" and not self.folds:
            raise UserError(
                f"data.val_by={self.val_by} draws a validation part, and data.val names one, "
                f"{','.join(self.val)}: set --config.data.val= to draw it"
            )
        if not 0 < self.val_share < 1:
            raise UserError(f"data.val_share must lie between 0 and 1, got {self.val_share}")


@dataclasses.dataclass(frozen=True)
class Split:
    """Clip numbers of the three parts; every clip has a label.

    Attributes:
      train: Clips to learn from.
      val: Clips that steps, strengths and thresholds are chosen on.
      test: Clips that are scored once.
      leak: What is leaky about the validation part, in words; "" where nothing is.
    """

    train: np.ndarray
    val: np.ndarray
    test: np.ndarray
    leak: str = ""

    @property
    def rows(self) -> np.ndarray:
        """Clip numbers of train, validation and test, one after another."""
        return np.concatenate([self.train, self.val, self.test])

    def parts(self) -> dict[str, np.ndarray]:
        """Returns the clip numbers of the parts by name."""
        return {"train": self.train, "val": self.val, "test": self.test}


def folds_of(settings: SplitSettings, splits: list[str]) -> list[dict[str, tuple[str, ...]]]:
    """Lists the changes to `SplitSettings` that every fold makes; one empty one without folds.

    Args:
      settings: May name folds.
      splits: Splits that the corpus has.

    Raises:
      UserError: A fold is not a split of the corpus.
    """
    if not settings.folds:
        return [{}]
    names = tuple(splits) if "*" in settings.folds else settings.folds
    if unknown := [name for name in names if name not in splits]:
        raise UserError(f"data.folds: no split {unknown}; there are {', '.join(splits)}")
    others = {fold: tuple(name for name in splits if name != fold) for fold in names}
    return [
        {"train": train, "val": (), "test": (fold,), "folds": ()} for fold, train in others.items()
    ]


def split_off_validation(
    corpus: Corpus, rows: np.ndarray, share: float
) -> tuple[np.ndarray, np.ndarray]:
    """Divides clips by group into those that train and those that validate.

    Pre-training calls it too, so that what is held out there is what will be validated on.

    Args:
      corpus: Where the clips are.
      rows: Clip numbers, with labels.
      share: Share that validates.

    Returns:
      Clip numbers of the training and of the validation part.
    """
    groups, labels = corpus.groups[rows], corpus.labels[rows].astype(str)
    part = assign_groups(labels.tolist(), groups.tolist(), [1 - share, share], seed=0)
    return rows[part == 0], rows[part == 1]


def choose_split(corpus: Corpus, settings: SplitSettings) -> Split:
    """Chooses the clips of the three parts; clips without a label are left out.

    Raises:
      UserError: A part is empty, or a group is in more than one part and neither the prepared
        split nor `settings.val_by` says LEAKY.
    """
    train, test = (_labelled(corpus, names) for names in (settings.train, settings.test))
    if settings.val:
        val = _labelled(corpus, settings.val)
    elif settings.val_by in LEAKY_VALIDATION:
        return _leaky(corpus, train, test, settings)
    else:
        train, val = split_off_validation(corpus, train, settings.val_share)
    split = Split(train, val, test)
    for name, rows in split.parts().items():
        if not len(rows):
            raise UserError(
                f"data.{name}={','.join(getattr(settings, name))!r} has no labelled clip"
            )
    shared = shared_between(corpus, train, val, test)
    if shared and "LEAKY" not in corpus.sets[0].info["split_rule"]:
        raise UserError(
            f"{len(shared)} groups are on both sides, such as {shared[:3]}; choose other "
            "data.train, data.val and data.test, or prepare the corpus with --split=holdout"
        )
    return split


def _labelled(corpus: Corpus, splits: tuple[str, ...]) -> np.ndarray:
    rows = corpus.rows(splits)
    return rows[corpus.labels[rows] >= 0]


def _leaky(corpus: Corpus, train: np.ndarray, test: np.ndarray, settings: SplitSettings) -> Split:
    """Divides off a validation part that shares groups with train, to teach or repeat a release."""
    if shared := shared_between(corpus, train, test):
        raise UserError(f"{len(shared)} groups are in train and test, such as {shared[:3]}")
    order = np.random.default_rng(0).permutation(train)
    first = round(settings.val_share * len(order))
    val = train if settings.val_by == "train" else order[:first]
    return Split(order[first:], val, test, LEAKY_VALIDATION[settings.val_by])


def shared_between(corpus: Corpus, *parts: np.ndarray) -> list[str]:
    """Lists the groups that occur in more than one of these sets of clips."""
    sets = [set(corpus.groups[rows]) for rows in parts]
    pairs = [(a, b) for i, a in enumerate(sets) for b in sets[:i]]
    return sorted({str(group) for a, b in pairs for group in a & b})
