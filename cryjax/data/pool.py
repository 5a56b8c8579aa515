"""The pool: which clips an encoder is pre-trained on, and which must stay out of it."""

import dataclasses
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from cryjax.data.corpus import Corpus, DataSettings, open_corpus
from cryjax.data.manifest import LEFT_OUT, Clip
from cryjax.data.parts import split_off_validation
from cryjax.data.shards import load_shards
from cryjax.errors import UserError
from cryjax.settings import free

ON_PROTECTED = ("refuse", "drop")
BACKGROUNDS = ("own", "both")


@dataclasses.dataclass(frozen=True)
class PoolSettings(DataSettings):
    """What is pre-trained on.

    Attributes:
      frames: Length of a view in frames; None is that of the checkpoint a run starts from, 101
        without one.
      hop_frames: Distance between evaluation windows in frames; None is half a view.
      distance: Frames between the starts of a clip's two views; None draws both at random, 0
        takes the same patch twice (Fonseca et al. 2021, table 1).
      splits: Splits of `dirs` to train on; "*" stands for every one.
      extra_dirs: More prepared folders, used whole.
      replay_dirs: Prepared folders that are replayed, so that an encoder does not forget them.
      replay_fraction: Share of every batch that is replayed; at 0 no replay folder is opened.
      backgrounds: Where mix-back takes backgrounds from: "own" is the row's own source (`dirs`
        and `extra_dirs`, or `replay_dirs`), "both" is all of them.
      hold_out_val_share: Share of the labelled groups of `splits` that later validates and is
        left out here; 0 where a split of its own validates.
      protect_dirs: Prepared folders whose `protect_splits` are protected too.
      protect_splits: Splits whose groups and recordings may not be trained on; "*" stands for
        all of `protect_dirs`.
      on_protected: What happens when they are found in the pool: "refuse" or "drop".
      val: Splits that kNN scores during training.
      prefetch: Number of batches that are read ahead.
    """

    frames: int | None = None
    hop_frames: int | None = None
    distance: int | None = None
    splits: tuple[str, ...] = ("train",)
    extra_dirs: tuple[str, ...] = free(())
    replay_dirs: tuple[str, ...] = free(())
    replay_fraction: float = 0.0
    backgrounds: str = "own"
    hold_out_val_share: float = 0.0
    protect_dirs: tuple[str, ...] = free(())
    protect_splits: tuple[str, ...] = ()
    on_protected: str = "refuse"
    val: tuple[str, ...] = ("val",)
    prefetch: int = free(8)

    def __post_init__(self):
        if self.on_protected not in ON_PROTECTED:
            raise UserError(f"data.on_protected must be one of {', '.join(ON_PROTECTED)}")
        if self.backgrounds not in BACKGROUNDS:
            raise UserError(f"data.backgrounds must be one of {', '.join(BACKGROUNDS)}")
        if not 0 <= self.replay_fraction < 1:
            raise UserError(f"data.replay_fraction must be in [0, 1), got {self.replay_fraction}")
        if self.replay_fraction and not self.replay_dirs:
            raise UserError(
                f"data.replay_fraction is {self.replay_fraction} and data.replay_dirs names no "
                "folder; name one, or set --config.data.replay_fraction=0"
            )
        if self.protect_dirs and not self.protect_splits:
            raise UserError(
                "data.protect_dirs protects nothing without data.protect_splits; name its splits "
                "that validate or test, or set --config.data.protect_splits='*' for all of them"
            )
        if self.distance is not None and self.distance < 0:
            raise UserError(f"data.distance must not be negative, got {self.distance}")

    @property
    def folders(self) -> list[str]:
        """All folders to open, those of replay last."""
        return [*self.dirs, *self.extra_dirs, *(self.replay_dirs if self.replay_fraction else ())]

    def count_own(self, corpus: Corpus) -> int:
        """Counts the clips of `dirs`, which stand before all others."""
        return sum(len(s.clips) for s in corpus.sets[: len(self.dirs)])


@dataclasses.dataclass(frozen=True)
class Pool:
    """Clip numbers to draw from.

    Attributes:
      own: Clips that are passed through, epoch by epoch.
      replay: Clips that are drawn from independently, for `Sampling.replay` rows of every batch.
    """

    own: np.ndarray
    replay: np.ndarray

    @property
    def rows(self) -> np.ndarray:
        """Both together."""
        return np.concatenate([self.own, self.replay])


class _Protected(NamedTuple):
    """Names of groups, and hashes of decoded recordings, that may not be trained on."""

    groups: frozenset[str]
    audio: frozenset[str]

    def among(self, corpus: Corpus, rows: np.ndarray) -> np.ndarray:
        """Tells for each row whether its clip is protected, by its group's name or its audio."""
        clips = [corpus.clips[row] for row in rows]
        return np.array([bool(_names(c) & self.groups) or c.audio in self.audio for c in clips])


def open_training_data(settings: PoolSettings) -> Corpus:
    """Opens `dirs`, `extra_dirs` and, where anything is replayed, `replay_dirs` as one corpus."""
    return open_corpus(settings.folders, settings)


def open_pool(corpus: Corpus, settings: PoolSettings, *, labelled: bool = False) -> Pool:
    """Chooses the clips to train on; no group that validates or tests may be among them.

    Args:
      corpus: Corpus of all folders, from `open_training_data`.
      settings: What is trained on and what is protected.
      labelled: Leaves out clips without a label.

    Raises:
      UserError: A protected group is in the pool and `on_protected` is "refuse", or a split to
        protect does not exist.
    """
    own, n_sets = settings.count_own(corpus), len(corpus.sets)
    before_replay = n_sets - len(settings.replay_dirs if settings.replay_fraction else ())
    first_replayed = sum(len(s.clips) for s in corpus.sets[:before_replay])
    rows = corpus.rows(settings.splits, whole=n_sets - len(settings.dirs))
    rows = rows[corpus.labels[rows] >= 0] if labelled else rows
    protected = _protected(corpus, settings)
    if settings.hold_out_val_share:
        candidates = rows[(rows < own) & (corpus.labels[rows] >= 0)]
        _, val = split_off_validation(corpus, candidates, settings.hold_out_val_share)
        held_out = _of([corpus.clips[row] for row in val])
        rows = rows[~((rows < own) & held_out.among(corpus, rows))]
        protected = _Protected(*(a | b for a, b in zip(protected, held_out, strict=True)))
    rows = _without(corpus, rows, protected, settings)
    if not len(rows):
        raise UserError(
            f"no clip of {', '.join(settings.folders)} is left to train on: data.splits="
            f"{','.join(settings.splits)}, labelled ones alone, held out or protected ones left out"
        )
    replayed = rows >= first_replayed
    return Pool(rows[~replayed], rows[replayed])


def _names(clip: Clip) -> set[str]:
    """Names a clip's group, and what it was called before exact copies joined it to another."""
    return {clip.group, clip.extra.get("group_before_merge") or clip.group}


def _of(clips: Sequence[Clip]) -> _Protected:
    audio = frozenset(clip.audio for clip in clips) - {""}
    return _Protected(frozenset(name for clip in clips for name in _names(clip)), audio)


def _protected(corpus: Corpus, settings: PoolSettings) -> _Protected:
    """Groups and recordings of the splits to protect; a group's name counts in every corpus."""
    splits, every = set(settings.protect_splits), "*" in settings.protect_splits
    own = [clip for s in corpus.sets[: len(settings.dirs)] for clip in s.clips]
    others = {folder: load_shards(folder).clips for folder in settings.protect_dirs}
    there = {clip.split for clips in (own, *others.values()) for clip in clips} - {LEFT_OUT}
    if unknown := [name for name in settings.protect_splits if name not in {*there, "*"}]:
        raise UserError(
            f"data.protect_splits: no split {unknown}; there are {', '.join(sorted(there))}"
        )
    protected = [clip for clip in own if clip.split in splits]
    for folder, clips in others.items():
        mine = [clip for clip in clips if every or clip.split in splits]
        if not mine:
            has = ", ".join(sorted({clip.split for clip in clips} - {LEFT_OUT}))
            raise UserError(
                f"data.protect_dirs: nothing of {folder} would be protected, it has no split "
                f"{', '.join(sorted(splits))}; there are {has}"
            )
        protected += mine
    return _of(protected)


def _without(
    corpus: Corpus, rows: np.ndarray, protected: _Protected, settings: PoolSettings
) -> np.ndarray:
    bad = protected.among(corpus, rows)
    if not bad.any():
        return rows
    groups = sorted({str(g) for g in corpus.groups[rows[bad]]})
    what = f"{bad.sum()} clips of {len(groups)} groups that validate or test, such as {groups[:3]}"
    if settings.on_protected == "drop":
        print(f"left out of pre-training: {what}")
        return rows[~bad]
    raise UserError(
        f"among the clips to train on are {what} (by the group's name or by identical audio); set "
        "data.on_protected=drop to leave them out"
    )
