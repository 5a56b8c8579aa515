"""Which clips an encoder is pre-trained on, and what is fitted on them before."""

from typing import Any

import jax.numpy as jnp
import numpy as np

from cryjax.augment import Policy
from cryjax.data.pipeline import Corpus, Pool
from cryjax.data.shards import load_shards
from cryjax.tasks.common import Config, names, split_off_val

ON_PROTECTED = ("refuse", "drop")
SAMPLE = 20_000  # crops that k-means sees
ITERATIONS = 20


def protected_groups(corpus: Corpus, data: Config) -> set[str]:
    """Groups of `data.protect_splits` in `data.dirs` and `data.protect_dirs`, by name alone.

    The same baby may occur in several corpora; a name that does is taken for the same one.
    """
    splits = names(data["protect_splits"])
    sets = corpus.sets[: len(names(data["dirs"]))]
    sets = sets + [load_shards(folder) for folder in names(data["protect_dirs"])]
    return {clip.group for s in sets for clip in s.clips if clip.split in splits}


def _without(corpus: Corpus, rows: np.ndarray, protected: set[str], data: Config) -> np.ndarray:
    bad = np.isin(corpus.groups[rows], sorted(protected))
    if not bad.any():
        return rows
    if data["on_protected"] == "drop":
        dropped = len(set(corpus.groups[rows][bad]))
        print(f"left out {bad.sum()} clips of {dropped} groups that validate or test")
        return rows[~bad]
    found = sorted(set(corpus.groups[rows][bad]))
    raise ValueError(
        f"{len(found)} groups of data.protect_splits={data['protect_splits']!r} are among the "
        f"clips to train on, such as {found[:3]}; set data.on_protected=drop to leave them out"
    )


def open_pool(corpus: Corpus, data: Config, *, labelled: bool = False) -> Pool:
    """Chooses the clips; no group that validates or tests may be among them.

    With `data.hold_out_val` those that `configs/transfer.py` validates on by default are left out:
    an encoder that has seen them, even unlabelled, is judged too well there and selected wrongly.

    Args:
      corpus: All folders, those of replay last.
      data: Settings.
      labelled: Leaves out clips without a label.

    Raises:
      ValueError: A protected group is there and `data.on_protected` is "refuse".
    """
    if data["on_protected"] not in ON_PROTECTED:
        raise ValueError(f"data.on_protected must be one of {ON_PROTECTED}")
    n_replay = len(names(data["replay_dirs"]))
    whole = n_replay + len(names(data["extra_dirs"]))
    rows = corpus.rows(names(data["splits"]), whole=whole)
    rows = rows[corpus.labels[rows] >= 0] if labelled else rows
    sizes = [len(s.clips) for s in corpus.sets]
    replayed = rows >= sum(sizes[: len(sizes) - n_replay])
    if data["hold_out_val"]:
        own = rows < sum(sizes[: len(sizes) - whole])
        _, val = split_off_val(corpus, rows[own & (corpus.labels[rows] >= 0)])
        kept = ~(own & np.isin(corpus.groups[rows], corpus.groups[val]))
        rows, replayed = rows[kept], replayed[kept]
    protected = protected_groups(corpus, data)
    parts = (rows[~replayed], rows[replayed])
    return Pool(*(_without(corpus, part, protected, data) for part in parts))


def fit_banks(policy: Policy, corpus: Corpus, rows: np.ndarray, *, frames: int, seed: int) -> None:
    """Fits the centroids of k-mix on random crops as they come from the shards.

    Spherical k-means (SLICER card, section 1.5): time-averaged mels of unit length, 20 iterations;
    of normalised mels by default, of raw ones where `space` says so.
    """
    bank = policy.banks.get("k_mix") if "k_mix" in policy.order else None
    if bank is None:
        return
    from sklearn.cluster import KMeans

    rng = np.random.default_rng(seed)
    clips = rng.choice(rows, min(SAMPLE, 8 * len(rows)))
    room = np.maximum(corpus.lengths[clips] - frames, 0)
    mel = corpus.frames.gather(clips, (rng.random(len(clips)) * (room + 1)).astype(int), frames)
    means = mel.astype(np.float32).mean(axis=1)
    if bank.space == "normalised":
        means = np.array(policy.normalise(jnp.asarray(means[:, None]))[:, 0])
    means /= np.maximum(np.linalg.norm(means, axis=1, keepdims=True), 1e-12)
    settings: dict[str, Any] = {"n_init": 4, "max_iter": ITERATIONS, "random_state": seed}
    found = KMeans(bank.centroids.shape[0], **settings).fit(means)
    bank.fit(jnp.asarray(found.cluster_centers_, jnp.float32))
