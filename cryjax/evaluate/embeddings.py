"""Embeddings of a corpus: computed once, kept under a fingerprint of all that decides them."""

import dataclasses
import hashlib
import pathlib
from typing import NamedTuple

import numpy as np
from flax import nnx
from jaxtyping import Array, Float

from cryjax.data.cache import ArrayFrames
from cryjax.data.corpus import Corpus
from cryjax.data.windows import Windows
from cryjax.encoder import Encoder, make_forward, over_windows
from cryjax.errors import UserError
from cryjax.evaluate.scoring import average_over
from cryjax.files import load_arrays, replacing


class Embeddings(NamedTuple):
    """Representations of the windows of some clips.

    Attributes:
      h: (windows, features) float32 representations.
      window_to_clip: (windows,) position of each window's clip among the clips.
    """

    h: np.ndarray
    window_to_clip: np.ndarray

    def of(self, first: int, count: int) -> "Embeddings":
        """Selects the windows of `count` clips from position `first` on, numbered from 0."""
        mine = (self.window_to_clip >= first) & (self.window_to_clip < first + count)
        return Embeddings(self.h[mine], self.window_to_clip[mine] - first)

    def means(self, count: int) -> np.ndarray:
        """Averages over the windows of each of `count` clips, (count, features)."""
        return average_over(self.h, self.window_to_clip, count)


def embed(encoder: Encoder, corpus: Corpus, rows: np.ndarray, windows: Windows) -> Embeddings:
    """Computes the representations of every window of these clips.

    Raises:
      UserError: One of them is not finite.
    """
    forward, arrays = make_forward(encoder.network)
    lengths = corpus.lengths[rows]
    made = Embeddings(*over_windows(forward, arrays, corpus.frames, rows, lengths, windows))
    finite = np.isfinite(made.h).all(axis=1)
    if not finite.all():
        bad = np.unique(made.window_to_clip[~finite])
        raise UserError(
            f"the embeddings of {len(bad)} of {len(rows)} recordings are not finite, such as of "
            f"{corpus.clips[rows[bad[0]]].path}; the encoder has diverged, or the frame cache is "
            "damaged: remove it, it is made again"
        )
    return made


def embed_once(
    root: pathlib.Path, encoder: Encoder, corpus: Corpus, rows: np.ndarray, windows: Windows
) -> Embeddings:
    """Computes embeddings, or reads them from a file that was written before.

    Args:
      root: Folder of the files; where it cannot be written, nothing is kept.
      encoder: What encodes.
      corpus: Where the clips are.
      rows: Clip numbers.
      windows: How clips are cut.
    """
    about = [encoder.fingerprint, corpus.fingerprint, *map(str, dataclasses.astuple(windows))]
    digest = hashlib.sha256("\n".join(about).encode())
    digest.update(np.asarray(rows, np.int64).tobytes())
    path = root / f"{digest.hexdigest()[:32]}.npz"
    if (kept := load_arrays(path)) is not None:
        return Embeddings(kept["h"], kept["window_to_clip"])
    made = embed(encoder, corpus, rows, windows)
    try:
        root.mkdir(parents=True, exist_ok=True)
        with replacing(path) as temporary:
            np.savez(temporary, allow_pickle=False, **made._asdict())
    except OSError as error:
        print(f"embeddings are not kept: {root} cannot be written ({error})")
    return made


class PrecomputedEncoder(nnx.Module):
    """The encoder of an embedded corpus: the only frame of a window is its representation.

    Args:
      features: Length of a representation.
    """

    def __init__(self, features: int):
        self.features = features

    def __call__(self, mel: Float[Array, "batch 1 features"]) -> Float[Array, "batch features"]:
        """Takes the frame out."""
        return mel[:, 0]


def embedded_corpus(corpus: Corpus, rows: np.ndarray, made: Embeddings) -> Corpus:
    """Returns the corpus with embeddings in place of log-mels: training on it runs no encoder.

    Args:
      corpus: What was embedded.
      rows: Clip numbers that were embedded; the others have no frame any more.
      made: Their embeddings.
    """
    owner = rows[made.window_to_clip]
    lengths = np.bincount(owner, minlength=len(corpus.clips))
    array = made.h[np.argsort(owner, kind="stable")]
    return dataclasses.replace(corpus, lengths=lengths, frames=ArrayFrames(array, lengths))
