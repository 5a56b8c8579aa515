"""A corpus: one or several prepared folders, opened for reading as if they were one."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from cryjax.data.cache import Frames, JoinedFrames, open_frames
from cryjax.data.manifest import LEFT_OUT, Clip
from cryjax.data.shards import ShardSet, load_shards
from cryjax.errors import UserError
from cryjax.settings import free
from cryjax.spec import FeatureSpec, require_same


@dataclasses.dataclass(frozen=True)
class DataSettings:
    """Where prepared recordings are and how they are read.

    Attributes:
      dirs: Prepared folders. `synthetic` and `synthetic_sounds` stand for corpora made by code,
        which are prepared in `embedded_dir` on first use.
      embedded_dir: Folder of the corpora made by code.
      source: "cache" unpacks the shards into a local file on first use, "shards" reads them
        directly; both give the same rows.
      cache_dir: Folder of local caches; None is $CRYJAX_CACHE, else a folder beside the shards.
      max_damaged_share: Largest share of damaged records that may be left out.
    """

    dirs: tuple[str, ...] = free(("synthetic",))
    embedded_dir: str = free("prepared")
    source: str = free("cache")
    cache_dir: str | None = free(None)
    max_damaged_share: float = 0.01


@dataclasses.dataclass(frozen=True)
class Corpus:
    """One or several prepared folders, ready to read.

    Attributes:
      spec: Feature specification that all folders share.
      sets: The folders.
      clips: Clips of all folders, one folder after another.
      lengths: (clips,) length of each clip in frames.
      labels: (clips,) class index in `classes`; -1 where unknown.
      frames: Reader of log-mel frames.
      damaged: Numbers of clips whose records are damaged; `rows` leaves them out.
    """

    spec: FeatureSpec
    sets: list[ShardSet]
    clips: list[Clip]
    lengths: np.ndarray
    labels: np.ndarray
    frames: Frames
    damaged: Sequence[int] = ()

    @property
    def classes(self) -> list[str]:
        """Class names; those of several folders stand one after another, as corpus/class."""
        if len(self.sets) == 1:
            return self.sets[0].classes
        corpora = [(s.info.get("corpus", s.folder.name), s.classes) for s in self.sets]
        return [f"{corpus}/{name}" for corpus, classes in corpora for name in classes]

    @property
    def groups(self) -> np.ndarray:
        """(clips,) name of each clip's group."""
        return np.array([clip.group for clip in self.clips])

    @property
    def splits(self) -> list[str]:
        """Names of the splits that occur, sorted."""
        return sorted({clip.split for clip in self.clips} - {LEFT_OUT})

    @property
    def notes(self) -> list[str]:
        """What was said of the recordings when the folders were prepared."""
        return [note for s in self.sets for note in s.info.get("notes", [])]

    @property
    def fingerprint(self) -> str:
        """Hashes of the folders' manifests, which hold those of every shard and of the clips."""
        return "+".join(s.fingerprint for s in self.sets)

    @property
    def global_groups(self) -> np.ndarray:
        """(clips,) group names with their corpus before them, unique across corpora."""
        names = np.repeat([s.info["corpus"] for s in self.sets], [len(s.clips) for s in self.sets])
        return np.char.add(np.char.add(names, "/"), self.groups)

    def rows(self, splits: Sequence[str], *, whole: int = 0) -> np.ndarray:
        """Selects clip numbers by split, without damaged and left-out clips.

        Args:
          splits: Names of splits; "*" stands for every one.
          whole: Number of folders, counted from the last, of which every split is taken.

        Returns:
          Clip numbers in order.
        """
        sizes = np.cumsum([0] + [len(s.clips) for s in self.sets])
        named = len(self.sets) - whole
        rows = np.concatenate(
            [
                at + s.rows(["*"] if i >= named or "*" in splits else splits)
                for i, (at, s) in enumerate(zip(sizes[:-1], self.sets, strict=True))
            ]
        )
        return rows[~np.isin(rows, self.damaged)] if len(self.damaged) else rows

    def statistics(self, rows: np.ndarray) -> tuple[float, float]:
        """Computes mean and standard deviation over every value of these clips' log-mels."""
        joined = dataclasses.replace(self.sets[0], clips=self.clips, frames=self.lengths)
        return joined.statistics(rows)

    def describe(self) -> list[dict[str, Any]]:
        """Describes every folder in plain values, for checkpoints and reports."""
        keys = ("corpus", "licence", "split_rule", "group", "label")
        sizes = np.cumsum([0] + [len(s.clips) for s in self.sets])
        damaged = np.asarray(self.damaged, int)
        return [
            {"folder": str(s.folder), "fingerprint": s.fingerprint, "spec": s.spec.to_json()}
            | {"damaged": (damaged[(damaged >= a) & (damaged < a + len(s.clips))] - a).tolist()}
            | {k: s.info.get(k) for k in keys}
            for s, a in zip(self.sets, sizes[:-1].tolist(), strict=True)
        ]


def open_corpus(folders: Sequence[str], settings: DataSettings | None = None) -> Corpus:
    """Opens prepared folders as one corpus.

    Args:
      folders: Prepared folders; their feature specifications must agree.
      settings: How they are read; `dirs` is not used.

    Raises:
      UserError: No folder is named, or two of them do not belong together.
    """
    settings = settings or DataSettings()
    if not folders:
        raise UserError("config.data.dirs names no prepared folder; see cryjax prepare --help")
    sets = [load_shards(folder) for folder in folders]
    for other in sets[1:]:
        first = str(sets[0].folder)
        require_same(sets[0].spec, other.spec, ours_is=first, theirs_is=str(other.folder))
    opened = [
        open_frames(
            s,
            source=settings.source,
            cache_dir=settings.cache_dir,
            max_damaged_share=settings.max_damaged_share,
        )
        for s in sets
    ]
    parts = [frames for frames, _ in opened]
    clips = [clip for s in sets for clip in s.clips]
    before = np.cumsum([0] + [len(s.classes) for s in sets[:-1]])
    labels = np.concatenate(
        [np.where(s.labels < 0, -1, s.labels + n) for s, n in zip(sets, before, strict=True)]
    ).astype(np.int32)
    frames = parts[0] if len(parts) == 1 else JoinedFrames(parts, [len(s.clips) for s in sets])
    lengths = np.concatenate([s.frames for s in sets])
    at = np.cumsum([0] + [len(s.clips) for s in sets])
    damaged = [int(n) + clip for n, (_, bad) in zip(at, opened, strict=False) for clip in bad]
    for s, (_, bad) in zip(sets, opened, strict=True):
        if bad:
            print(f"{s.folder}: {len(bad)} of {len(s.clips)} records are damaged and left out")
    return Corpus(sets[0].spec, sets, clips, lengths, labels, frames, damaged)
