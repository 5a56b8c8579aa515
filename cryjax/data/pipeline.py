"""Batches: rows that are a pure function of (shards, seed, step), gathered in one call each."""

import dataclasses
from collections.abc import Iterator, Sequence

import grain
import joblib
import numpy as np

from cryjax.data.cache import Frames, JoinedFrames, open_frames
from cryjax.data.manifest import Clip
from cryjax.data.shards import ShardSet, load_shards
from cryjax.spec import FeatureSpec, require_same

Arrays = dict[str, np.ndarray]
STEPS = 1 << 40  # more than any run has


@dataclasses.dataclass(frozen=True)
class Corpus:
    """One or several prepared folders, ready to read.

    Attributes:
      spec: What a mel is; all folders share it.
      sets: The folders.
      clips: Of all folders, one after another.
      lengths: (clips,) frames of each.
      labels: (clips,) class index in `classes`; -1 where unknown.
      frames: Where views come from.
      damaged: Clips whose records are damaged; `rows` leaves them out.
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
        """Class names; those of joined folders stand one after another, as corpus/class."""
        if len(self.sets) == 1:
            return self.sets[0].classes
        corpora = [(s.info.get("corpus", s.folder.name), s.classes) for s in self.sets]
        return [f"{corpus}/{name}" for corpus, classes in corpora for name in classes]

    @property
    def groups(self) -> np.ndarray:
        """(clips,) group name of each clip."""
        return np.array([clip.group for clip in self.clips])

    def rows(self, splits: Sequence[str], *, whole: int = 0) -> np.ndarray:
        """Clip numbers of these splits, `"*"` for every one; the last `whole` folders entirely."""
        sizes = np.cumsum([0] + [len(s.clips) for s in self.sets])
        named = len(self.sets) - whole
        rows = [
            at + (s.rows(splits) if i < named and "*" not in splits else np.arange(len(s.clips)))
            for i, (at, s) in enumerate(zip(sizes[:-1], self.sets, strict=True))
        ]
        found = np.concatenate(rows)
        return found[~np.isin(found, self.damaged)] if len(self.damaged) else found

    def statistics(self, rows: np.ndarray) -> tuple[float, float]:
        """Mean and standard deviation over every value of these clips' mels."""
        whole = dataclasses.replace(self.sets[0], clips=self.clips, frames=self.lengths)
        return whole.statistics(rows)


def open_corpus(folders: Sequence[str], **settings) -> Corpus:
    """Opens prepared folders as one corpus; their FeatureSpecs must agree.

    Args:
      folders: Of shards.
      **settings: `source`, `cache_dir` and `max_damaged_share` of `open_frames`.
    """
    sets = [load_shards(folder) for folder in folders]
    for other in sets[1:]:
        first = str(sets[0].folder)
        require_same(sets[0].spec, other.spec, ours_is=first, theirs_is=str(other.folder))
    opened = [open_frames(s, **settings) for s in sets]
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


@dataclasses.dataclass(frozen=True)
class Pool:
    """Clip numbers to draw from.

    Attributes:
      own: Passed through, epoch by epoch.
      replay: Drawn from independently, `Sampling.replay` rows of every batch.
    """

    own: np.ndarray
    replay: np.ndarray


@dataclasses.dataclass(frozen=True)
class Sampling:
    """How a batch is drawn.

    Attributes:
      frames: Length of a view.
      views: 1 or 2 views a clip.
      distance: -1: both starts at random; 0: the same patch twice; d: the second view starts d
        frames after the first, at the latest where the clip ends. (uclser card, section 2; our
        upper end is inclusive, so the last start is drawn too.)
      backgrounds: Adds one view of another clip for every view, for mix-back; the backgrounds
        of one clip's views come from different clips.
      balanced: Draws the class first, then a clip of it, instead of passing through the clips.
      replay: Rows of every batch that are drawn from another pool, the last ones of the batch.
    """

    frames: int
    views: int = 1
    distance: int = -1
    backgrounds: bool = False
    balanced: bool = False
    replay: int = 0


def _starts(rng: np.random.Generator, room: np.ndarray, sampling: Sampling) -> np.ndarray:
    """(rows, views) first frames; `room` is how far a view of each row can move."""
    drawn = (rng.random((len(room), sampling.views)) * (room[:, None] + 1)).astype(np.int64)
    if sampling.distance >= 0 and sampling.views > 1:
        drawn[:, 1] = np.minimum(drawn[:, 0] + sampling.distance, room)
    return drawn


def _other_rows(rng: np.random.Generator, rows: np.ndarray, n: int, views: int) -> np.ndarray:
    """(rows, views) positions, all different within a row and from the row itself."""
    if n <= views:
        raise ValueError(f"mix-back needs more than {views} training clips, got {n}")
    first = rng.integers(1, n, len(rows))
    offsets = [first]
    if views == 2:
        second = rng.integers(1, n - 1, len(rows))
        offsets.append(second + (second >= first))
    return (rows[:, None] + np.stack(offsets, axis=1)) % n


def _balanced_positions(rng: np.random.Generator, labels: np.ndarray, n: int) -> np.ndarray:
    """(n,) positions: a class uniformly, then a clip of that class uniformly."""
    order = np.argsort(labels, kind="stable")
    _, first, count = np.unique(labels[order], return_index=True, return_counts=True)
    drawn = rng.integers(0, len(first), n)
    return order[first[drawn] + (rng.random(n) * count[drawn]).astype(np.int64)]


class _Drawing:
    """The two steps from positions to a batch: what to read, and reading it."""

    def __init__(
        self,
        corpus: Corpus,
        rows: np.ndarray,
        replay: np.ndarray,
        sampling: Sampling,
        *,
        mine: slice,
        drawn: int,
        seed: int,
    ):
        self._corpus, self._sampling, self._mine, self._own = corpus, sampling, mine, len(rows)
        self._drawn, self._seed, self._epoch = drawn, seed, (-1, np.zeros(0, int))
        self._rows = rows = np.concatenate([rows, replay])  # one pool: backgrounds come from both
        self._labels, self._lengths = corpus.labels[rows], corpus.lengths[rows]

    def positions(self, step: int) -> np.ndarray:
        """Where in its rows a batch is: every epoch passes through all of them in an own order."""
        found, first = [], step * self._drawn
        while (left := self._drawn - sum(map(len, found))) > 0:
            epoch, at = divmod(first, self._own)
            found.append(self._order(epoch)[at : at + left])
            first += len(found[-1])
        return np.concatenate(found)

    def _order(self, epoch: int) -> np.ndarray:
        if self._epoch[0] != epoch:  # threads may both make it; it is the same
            self._epoch = epoch, np.random.default_rng([self._seed, epoch]).permutation(self._own)
        return self._epoch[1]

    def draw(self, positions: np.ndarray, rng: np.random.Generator) -> dict:
        """Clips and starts of the whole global batch; only this process's rows are kept."""
        sampling = self._sampling
        if sampling.balanced:
            positions = _balanced_positions(rng, self._labels[: self._own], len(positions))
        if sampling.replay:
            replayed = rng.integers(self._own, len(self._rows), sampling.replay)
            positions = np.concatenate([positions, replayed])
        room = np.maximum(self._lengths[positions] - sampling.frames, 0)
        plan = {"mel": self._of_process(positions[:, None], _starts(rng, room, sampling))}
        if sampling.backgrounds:
            others = _other_rows(rng, positions, len(self._rows), sampling.views)
            room = np.maximum(self._lengths[others] - sampling.frames, 0)
            starts = (rng.random(room.shape) * (room + 1)).astype(np.int64)
            plan["background"] = self._of_process(others, starts)
        replayed = (positions >= self._own)[self._mine]
        return {"plan": plan, "replayed": replayed}

    def _of_process(
        self, positions: np.ndarray, starts: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """This process's (rows, views) clips and starts."""
        clips = np.broadcast_to(self._rows[positions], starts.shape)
        return clips[self._mine], starts[self._mine]

    def gather(self, plan: dict) -> Arrays:
        """Reads every view of a plan in one call each."""
        batch, views_of = {}, plan["plan"]
        for name, (clips, starts) in views_of.items():
            frames = self._sampling.frames
            views = self._corpus.frames.gather(clips.ravel(), starts.ravel(), frames)
            batch[name] = views.reshape(*starts.shape, *views.shape[1:])
        index = views_of["mel"][0][:, 0]
        if self._sampling.replay:
            batch["replayed"] = plan["replayed"]
        return batch | {"label": self._corpus.labels[index], "index": index.astype(np.int32)}


def make_batches(
    corpus: Corpus,
    rows: np.ndarray | Pool,
    sampling: Sampling,
    *,
    batch_size: int,
    seed: int,
    start_step: int = 0,
    process: tuple[int, int] = (0, 1),
    prefetch: int = 8,
) -> Iterator[Arrays]:
    """Endless batches from `start_step` on, read ahead by grain in its own threads.

    Args:
      corpus: Where the clips are.
      rows: Clip numbers to draw from; every one once an epoch unless balanced. A pool for replay.
      sampling: How views are drawn.
      batch_size: Of the global batch.
      seed: Of order and views.
      start_step: First batch; the stream from there on is that of a run that never stopped.
      process: (index, count); the global batch is drawn everywhere, then cut by process.
      prefetch: Batches read ahead, where there is more than one core.

    Returns:
      Of "mel" (batch, views, frames, mels) float16, "label", "index" (batch,) int32, and where
      asked for "background" like "mel" and "replayed" (batch,) bool; batch here is the process's
      own part.
    """
    if batch_size % process[1]:
        raise ValueError(f"batch_size {batch_size} must divide by {process[1]} processes")
    rows, replay = (rows.own, rows.replay) if isinstance(rows, Pool) else (rows, rows[:0])
    if not len(rows):
        raise ValueError("no clips to draw from; check the split names")
    if not 0 <= sampling.replay < batch_size or (sampling.replay and not len(replay)):
        raise ValueError(f"{sampling.replay} of {batch_size} rows cannot come from replay")
    mine = slice(*(batch_size * (process[0] + i) // process[1] for i in (0, 1)))
    drawn = batch_size - sampling.replay
    drawing = _Drawing(corpus, rows, replay, sampling, mine=mine, drawn=drawn, seed=seed)
    # steps, not rows, pass through grain: an element of its own for every row would cost more time
    # than reading it
    stream = grain.MapDataset.range(STEPS).seed(seed).map(drawing.positions)
    stream = stream.random_map(drawing.draw).map(drawing.gather)[start_step:]
    threads = min(2, joblib.cpu_count() - 1)  # one core has nothing to read ahead with
    options = grain.ReadOptions(threads, prefetch if threads else 0)
    return iter(stream.to_iter_dataset(options))


def window_counts(lengths: np.ndarray, *, frames: int, hop: int) -> np.ndarray:
    """(clips,) evaluation windows of clips of these lengths; see `windows`."""
    return 1 + np.maximum(lengths - frames, 0) // hop


def windows(lengths: np.ndarray, *, frames: int, hop: int) -> tuple[np.ndarray, np.ndarray]:
    """Every evaluation window: starts 0, hop, 2 hop, ... while it fits, one for a short clip.

    Returns:
      (windows,) clip number and (windows,) first frame.
    """
    counts = window_counts(lengths, frames=frames, hop=hop)
    clips = np.repeat(np.arange(len(lengths)), counts)
    first = np.cumsum(counts) - counts
    return clips, (np.arange(len(clips)) - first[clips]) * hop
