"""An encoder as a transformer of scikit-learn: recordings in, features out.

    make_pipeline(Embedder("runs/mine"), StandardScaler(), LogisticRegression())

works with cross-validation by groups, with X a list of paths, or of waveforms.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin

from cryjax.audio import AudioError, read
from cryjax.deploy.classifier import load
from cryjax.encoder import Encoder
from cryjax.errors import UserError


class Embedder(TransformerMixin, BaseEstimator):
    """Embeds recordings: the mean of the representations of a recording's windows.

    A copy, a clone or a pickle holds the folder's name and not the weights, which are loaded when
    they are first used.

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
        encoder = self._encoder()
        rows = []
        for item in X:
            wave, rate = self._wave(item)
            rows.append(encoder.embed(wave, sample_rate_hz=rate)[0].mean(axis=0))
        return np.stack(rows) if rows else np.zeros((0, encoder.features), np.float32)

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

    def __getstate__(self) -> dict[str, Any]:
        return {k: v for k, v in self.__dict__.items() if k != "_loaded"}

    def _encoder(self) -> Encoder:
        kept = getattr(self, "_loaded", None)
        if kept is None or kept[0] != self.model:
            self._loaded = kept = (self.model, load(self.model))
        return kept[1]

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
