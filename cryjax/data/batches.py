"""Batches: rows that are a pure function of (shards, seed, step), gathered in one call each."""

import dataclasses
from collections.abc import Iterator

import grain
import joblib
import numpy as np

from cryjax.data.corpus import Corpus
from cryjax.data.pool import Pool
from cryjax.errors import UserError

Arrays = dict[str, np.ndarray]
PATCHES = 20_000  # that clusters are fitted on at most
STEPS = 1 << 40  # more than any run has


@dataclasses.dataclass(frozen=True)
class Sampling:
    """How the rows of a batch are drawn.

    Attributes:
      frames: Length of a view in frames.
      views: Views of each clip, 1 or 2.
      distance: None draws the starts of both views at random; 0 takes the same patch twice; d
        starts the second view d frames after the first (Fonseca et al. 2021, section 3.1). The
        first start is uniform over those that leave room for the second; in a clip shorter than
        d + frames the views are as far apart as it allows.
      backgrounds: None, or where a view of another clip comes from that mix-back adds to every
        view: "own" is the row's own source, "both" is the whole pool. The backgrounds of a
        clip's views come from different clips.
      balanced: Draws a class first and then a clip of it, instead of passing through the clips.
      replay: Number of rows of every batch that are drawn from the replay pool, the last ones.
    """

    frames: int
    views: int = 1
    distance: int | None = None
    backgrounds: str | None = None
    balanced: bool = False
    replay: int = 0


def too_short_for_distance(corpus: Corpus, rows: np.ndarray, sampling: Sampling) -> int:
    """Counts the clips in which two views cannot start `sampling.distance` frames apart."""
    if not sampling.distance or sampling.views < 2:
        return 0
    return int((corpus.lengths[rows] < sampling.distance + sampling.frames).sum())


def _starts(rng: np.random.Generator, room: np.ndarray, sampling: Sampling) -> np.ndarray:
    """Draws (rows, views) first frames; `room` is the last possible start of each row."""
    random = rng.random((len(room), sampling.views))
    if sampling.distance is None or sampling.views == 1:
        return (random * (room[:, None] + 1)).astype(np.int64)
    apart = np.minimum(sampling.distance, room)
    first = (random[:, 0] * (room - apart + 1)).astype(np.int64)
    return np.stack([first, first + apart], axis=1)


def _other_rows(
    rng: np.random.Generator, rows: np.ndarray, sizes: np.ndarray, views: int
) -> np.ndarray:
    """Draws (rows, views) positions below `sizes`, all different and none the row's own.

    Args:
      rng: Generator of the draws.
      rows: (rows,) position of each row within its source.
      sizes: (rows,) number of clips of that source.
      views: 1 or 2.
    """
    if (smallest := sizes.min()) <= views:
        raise UserError(f"mix-back needs more than {views} clips of a source, got {smallest}")
    first = rng.integers(1, sizes)
    offsets = [first]
    if views == 2:
        second = rng.integers(1, sizes - 1)
        offsets.append(second + (second >= first))
    return (rows[:, None] + np.stack(offsets, axis=1)) % sizes[:, None]


def _balanced_positions(rng: np.random.Generator, labels: np.ndarray, n: int) -> np.ndarray:
    """Draws (n,) positions: a class uniformly, then a clip of that class uniformly."""
    order = np.argsort(labels, kind="stable")
    _, first, count = np.unique(labels[order], return_index=True, return_counts=True)
    drawn = rng.integers(0, len(first), n)
    return order[first[drawn] + (rng.random(n) * count[drawn]).astype(np.int64)]


def sample_patches(corpus: Corpus, rows: np.ndarray, *, frames: int, seed: int) -> np.ndarray:
    """Draws (patches, frames, mels) float32 patches of random clips at random starts.

    They are what clusters are fitted on: eight for each clip, but no more than 20,000.
    """
    rng = np.random.default_rng(seed)
    clips = rng.choice(rows, count := min(PATCHES, 8 * len(rows)))
    room = np.maximum(corpus.lengths[clips] - frames, 0)
    starts = (rng.random(count) * (room + 1)).astype(int)
    return corpus.frames.gather(clips, starts, frames).astype(np.float32)


class _Drawing:
    """The two steps from a batch's number to the batch: what to read, and reading it."""

    def __init__(
        self,
        corpus: Corpus,
        pool: Pool,
        sampling: Sampling,
        *,
        mine: slice,
        batch_size: int,
        seed: int,
    ):
        self._corpus, self._sampling, self._mine, self._own = corpus, sampling, mine, len(pool.own)
        self._drawn, self._seed = batch_size - sampling.replay, seed
        self._epoch = -1, np.zeros(0, int)
        self._rows = rows = pool.rows
        self._labels, self._lengths = corpus.labels[rows], corpus.lengths[rows]

    def positions(self, step: int) -> np.ndarray:
        """Chooses positions in the pool; every epoch passes through all of it in its own order."""
        parts, first = [], step * self._drawn
        while (left := self._drawn - sum(map(len, parts))) > 0:
            epoch, at = divmod(first, self._own)
            parts.append(self._order(epoch)[at : at + left])
            first += len(parts[-1])
        return np.concatenate(parts)

    def _order(self, epoch: int) -> np.ndarray:
        """Orders an epoch; clips of a batch that the epoch before began come later in this one."""
        last, order = self._epoch  # another thread may put the next epoch there meanwhile
        if last > epoch:
            last, order = -1, np.zeros(0, int)
        for following in range(last + 1, epoch + 1):
            begun = following * self._own % self._drawn if self._drawn <= self._own else 0
            before = order[len(order) - begun :]
            order = np.random.default_rng([self._seed, following]).permutation(self._own)
            if begun:
                order = order[np.argsort(np.isin(order, before), kind="stable")]
        self._epoch = epoch, order
        return order

    def draw(self, positions: np.ndarray, rng: np.random.Generator) -> dict:
        """Draws clips and starts of the whole global batch; keeps this process's rows."""
        sampling = self._sampling
        if sampling.balanced:
            positions = _balanced_positions(rng, self._labels[: self._own], len(positions))
        if sampling.replay:
            replayed = rng.integers(self._own, len(self._rows), sampling.replay)
            positions = np.concatenate([positions, replayed])
        room = np.maximum(self._lengths[positions] - sampling.frames, 0)
        views = {"mel": self._of_process(positions[:, None], _starts(rng, room, sampling))}
        if sampling.backgrounds:
            others = self._backgrounds(rng, positions)
            room = np.maximum(self._lengths[others] - sampling.frames, 0)
            starts = (rng.random(room.shape) * (room + 1)).astype(np.int64)
            views["background"] = self._of_process(others, starts)
        return {"views": views, "replayed": (positions >= self._own)[self._mine]}

    def _backgrounds(self, rng: np.random.Generator, positions: np.ndarray) -> np.ndarray:
        """Draws (rows, views) positions of other clips, from where the settings say."""
        n, views, replayed = len(self._rows), self._sampling.views, positions >= self._own
        if self._sampling.backgrounds == "both":
            return _other_rows(rng, positions, np.full(len(positions), n), views)
        before = np.where(replayed, self._own, 0)
        sizes = np.where(replayed, n - self._own, self._own)
        return before[:, None] + _other_rows(rng, positions - before, sizes, views)

    def _of_process(
        self, positions: np.ndarray, starts: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Cuts this process's (rows, views) clips and starts out of the global batch's."""
        clips = np.broadcast_to(self._rows[positions], starts.shape)
        return clips[self._mine], starts[self._mine]

    def gather(self, drawn: dict) -> Arrays:
        """Reads every view of a batch in one call each."""
        batch = {}
        for name, (clips, starts) in drawn["views"].items():
            frames = self._sampling.frames
            views = self._corpus.frames.gather(clips.ravel(), starts.ravel(), frames)
            batch[name] = views.reshape(*starts.shape, *views.shape[1:])
        index = drawn["views"]["mel"][0][:, 0]
        if self._sampling.replay:
            batch["replayed"] = drawn["replayed"]
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
    """Makes endless batches from `start_step` on, read ahead by grain in its own threads.

    Args:
      corpus: Where the clips are.
      rows: Clip numbers to draw from, each once an epoch unless `sampling.balanced`; or a pool,
        for replay.
      sampling: How views are drawn.
      batch_size: Rows of the global batch.
      seed: Seed of order and views.
      start_step: Number of the first batch; the stream from there on is that of a run that never
        stopped.
      process: (index, count) of processes; the global batch is drawn everywhere, then cut.
      prefetch: Batches read ahead, where there is more than one core.

    Returns:
      Dictionaries of "mel" (batch, views, frames, mels) float16, "label" and "index" (batch,)
      int32, and where asked for "background" like "mel" and "replayed" (batch,) bool; batch is
      the process's own part.

    Raises:
      UserError: There is nothing to draw from, or sizes do not fit together.
    """
    pool = rows if isinstance(rows, Pool) else Pool(rows, rows[:0])
    if batch_size % process[1]:
        raise UserError(f"batch_size {batch_size} must divide by {process[1]} processes")
    if not len(pool.own):
        raise UserError("no clips to draw from; check the split names")
    if not 0 <= sampling.replay < batch_size or (sampling.replay and not len(pool.replay)):
        raise UserError(
            f"{sampling.replay} of {batch_size} rows cannot come from a replay pool of "
            f"{len(pool.replay)} clips; check data.replay_fraction and data.replay_dirs"
        )
    mine = slice(*(batch_size * (process[0] + i) // process[1] for i in (0, 1)))
    drawing = _Drawing(corpus, pool, sampling, mine=mine, batch_size=batch_size, seed=seed)
    # steps, not rows, pass through grain: an element of its own for every row would cost more time
    # than reading it
    stream = grain.MapDataset.range(STEPS).seed(seed).map(drawing.positions)
    stream = stream.random_map(drawing.draw).map(drawing.gather)[start_step:]
    threads = min(2, joblib.cpu_count() - 1)  # one core has nothing to read ahead with
    options = grain.ReadOptions(threads, prefetch if threads else 0)
    return iter(stream.to_iter_dataset(options))
