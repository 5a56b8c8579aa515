"""Forward passes over every window of chosen clips, in batches of one shape."""

import dataclasses
import hashlib
import json
import os
import pathlib
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float

from cryjax.data.cache import ArrayFrames
from cryjax.data.pipeline import Corpus, windows
from cryjax.models.layers import in_eval_mode
from cryjax.train.mesh import data_mesh, replicate, shard_batch

Forward = Callable[[Any, jax.Array], jax.Array]


def make_forward(model: Any, apply: Callable[[Any, jax.Array], jax.Array]) -> tuple[Forward, Any]:
    """Jits `apply(model, mel)` in evaluation mode.

    Args:
      model: A module; its running statistics are used.
      apply: Such as `lambda m, mel: m.logits(mel)`.

    Returns:
      The function of (arrays, mel), and the model's arrays to call it with.
    """
    graphdef, arrays = nnx.split(in_eval_mode(model))

    @jax.jit
    def forward(arrays, mel):
        return apply(nnx.merge(graphdef, arrays), mel.astype(jnp.float32))

    return forward, nnx.to_pure_dict(arrays)


def over_windows(
    forward: Forward,
    arrays: Any,
    corpus: Corpus,
    rows: np.ndarray,
    *,
    frames: int,
    hop: int,
    batch_size: int = 64,
) -> tuple[np.ndarray, np.ndarray]:
    """Runs `forward` on every window of these clips.

    Args:
      forward: From `make_forward`.
      arrays: Of the model, of one device or of all.
      corpus: Where the clips are.
      rows: Clip numbers.
      frames: Length of a window.
      hop: Frames between windows.
      batch_size: Windows at a time; the last batch is filled up, so that one shape compiles.

    Returns:
      (windows, ...) outputs and (windows,) position in `rows` of each window's clip.
    """
    owner, starts = windows(corpus.lengths[rows], frames=frames, hop=hop)
    mesh = data_mesh(batch_size)
    arrays, outputs = replicate(arrays, mesh), []
    for first in range(0, len(owner), batch_size):
        take = np.minimum(np.arange(first, first + batch_size), len(owner) - 1)
        mel = corpus.frames.gather(rows[owner[take]], starts[take], frames)
        outputs.append(forward(arrays, shard_batch({"mel": mel}, mesh)["mel"]))
    return np.concatenate([np.asarray(x, np.float32) for x in outputs])[: len(owner)], owner


def embed(
    encoder: Any, corpus: Corpus, rows: np.ndarray, *, normaliser: Any, frames: int, hop: int
) -> tuple[np.ndarray, np.ndarray]:
    """Representations h of every window, and whose they are; see `over_windows`."""
    model = nnx.Sequential(normaliser, encoder)
    forward, arrays = make_forward(model, lambda m, mel: m(mel))
    return over_windows(forward, arrays, corpus, rows, frames=frames, hop=hop)


def embed_once(
    root: pathlib.Path,
    about: dict[str, Any],
    encoder: Any,
    corpus: Corpus,
    rows: np.ndarray,
    **settings: Any,
) -> tuple[np.ndarray, np.ndarray]:
    """`embed`, or what it gave before: kept below `root` under a hash of all that decides it.

    Args:
      root: Folder of the cache; where it cannot be written the embeddings are made each time.
      about: What builds the encoder, as plain values; its arrays and the shards are hashed too.
      encoder: See `embed`.
      corpus: See `embed`.
      rows: See `embed`.
      **settings: `normaliser`, `frames` and `hop` of `embed`.
    """
    digest = hashlib.sha256(json.dumps(about, sort_keys=True).encode())
    digest.update(json.dumps([settings["frames"], settings["hop"]]).encode())
    digest.update("".join(s.fingerprint for s in corpus.sets).encode())
    state = nnx.to_pure_dict(nnx.state(nnx.Sequential(settings["normaliser"], encoder)))
    for array in [rows, *jax.tree.leaves(jax.device_get(state))]:
        digest.update(np.asarray(array).tobytes())
    path = root / f"{digest.hexdigest()[:32]}.npz"
    if path.exists():
        with np.load(path) as kept:
            return kept["h"], kept["owner"]
    h, owner = embed(encoder, corpus, rows, **settings)
    try:
        root.mkdir(parents=True, exist_ok=True)
        temporary = path.with_suffix(f".{os.getpid()}.tmp.npz")
        np.savez(temporary, allow_pickle=False, h=h, owner=owner)
        temporary.replace(path)
    except OSError as error:
        print(f"embeddings are not kept: {root} cannot be written ({error})")
    return h, owner


class Kept(nnx.Module):
    """The encoder of an embedded corpus: a window's only frame is its representation."""

    def __init__(self, features: int):
        self.features = features

    def __call__(self, mel: Float[Array, "batch 1 features"]) -> Float[Array, "batch features"]:
        """Takes the frame out."""
        return mel[:, 0]


def embedded_corpus(corpus: Corpus, rows: np.ndarray, h: np.ndarray, owner: np.ndarray) -> Corpus:
    """The same clips with embeddings in place of mels: training on it runs no encoder.

    Args:
      corpus: What was embedded.
      rows: Clip numbers; the other clips have no frame any more.
      h: (windows, features) from `embed`.
      owner: (windows,) from `embed`.
    """
    lengths = np.bincount(rows[owner], minlength=len(corpus.clips))
    array = h[np.argsort(rows[owner], kind="stable")]
    return dataclasses.replace(corpus, lengths=lengths, frames=ArrayFrames(array, lengths))
