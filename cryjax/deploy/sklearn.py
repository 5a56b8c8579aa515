"""An encoder as a transformer of scikit-learn: recordings in, features out.

    make_pipeline(Embedder("runs/mine"), StandardScaler(), LogisticRegression())

works with cross-validation by groups, with X a list of paths, or of waveforms.
"""

import functools
import pathlib
from collections.abc import Sequence
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin

from cryjax.audio import AudioError, read
from cryjax.deploy.classifier import load
from cryjax.encoder import Encoder
from cryjax.errors import UserError
from cryjax.evaluate.scoring import average_over

TOGETHER = 200_000  # frames of recordings that are embedded together: some 25 MB


class Embedder(TransformerMixin, BaseEstimator):
    """Embeds recordings: the mean of the representations of a recording's windows.

    A copy, a clone or a pickle holds the folder's name and not the weights, which are loaded when
    they are first used; all of a process that name the same unchanged folder share them.

    Args:
      model: Folder of an encoder.
      sample_rate_hz: Rate of the waveforms, where X holds waveforms.
    """

    def __init__(self, model: str = "", sample_rate_hz: int | None = None):
        self.model = model
        self.sample_rate_hz = sample_rate_hz

    def fit(self, X: Sequence[Any] | np.ndarray, y: Any = None) -> "Embedder":  # noqa: N803
        """Learns nothing; loads the encoder, so that a wrong folder is found out here."""
        del X, y
        self.n_features_out_ = self._encoder().features
        return self

    def transform(self, X: Sequence[Any] | np.ndarray) -> np.ndarray:  # noqa: N803
        """Embeds recordings.

        Args:
          X: Paths, or (samples,) waveforms.

        Returns:
          (recordings, features) float32.

        Raises:
          UserError: A recording cannot be read, or waveforms have no rate.
        """
        encoder, held, frames = self._encoder(), [], 0
        rows = [np.zeros((0, encoder.features), np.float32)]
        for item in X:
            wave, rate = self._wave(item)
            held.append(encoder.mel(wave, sample_rate_hz=rate))
            frames += len(held[-1])
            if frames > TOGETHER:
                rows.append(_means(encoder, held))
                held, frames = [], 0
        return np.concatenate([*rows, _means(encoder, held)] if held else rows)

    def get_feature_names_out(self, input_features: Any = None) -> np.ndarray:
        """Names the features h0, h1, ..."""
        del input_features
        return np.array([f"h{i}" for i in range(self._encoder().features)], object)

    def __sklearn_is_fitted__(self) -> bool:
        return True  # there is nothing to fit

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.requires_fit = False
        tags.no_validation = True  # X is a list of names, or of waveforms of any lengths
        tags.input_tags.string = True
        tags.transformer_tags.preserves_dtype = []
        return tags

    def _encoder(self) -> Encoder:
        folder = pathlib.Path(self.model).resolve()
        within = (folder, *folder.glob("*"))
        return _loaded(folder, max((p.stat().st_mtime_ns for p in within if p.exists()), default=0))

    def _wave(self, item: Any) -> tuple[np.ndarray, int]:
        if isinstance(item, np.ndarray):
            if self.sample_rate_hz is None:
                raise UserError("Embedder needs sample_rate_hz where X holds waveforms")
            return item, self.sample_rate_hz
        try:
            found = read(str(item))
        except AudioError as error:
            raise UserError(str(error)) from None
        return found.wave, found.rate_hz


def _means(encoder: Encoder, mels: list[np.ndarray]) -> np.ndarray:
    """Embeds recordings in common batches, which a short one alone would not fill."""
    h, owner, _ = encoder.embed_mels(mels)
    return average_over(h, owner, len(mels)).astype(np.float32)


@functools.lru_cache(maxsize=2)
def _loaded(folder: pathlib.Path, changed_ns: int) -> Encoder:
    """Loads and compiles once what every clone of a cross-validation uses."""
    del changed_ns  # a folder that was written to since is another one
    return load(folder)
