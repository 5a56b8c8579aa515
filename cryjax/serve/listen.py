"""A recording as the page draws it: waveform, log-mel, scores over time, events."""

import base64
import pathlib
import threading
from typing import Any

import numpy as np

from cryjax.audio.logmel import band_centres_hz
from cryjax.data.manifest import Clip
from cryjax.deploy.classifier import Classifier
from cryjax.deploy.predict import events_of
from cryjax.encoder import Encoder
from cryjax.errors import UserError
from cryjax.serve.hearing import Decoders, Heard

PICTURE_FRAMES = 2000  # at most, in a picture of a log-mel
DARKEST = 1.0  # percentile of a log-mel that is drawn as black
SPECIFICITY = 0.9  # of the stored threshold that decides


def picture_of(mel: np.ndarray) -> dict[str, Any]:
    """Turns a (frames, mels) log-mel into 8-bit levels, at most `PICTURE_FRAMES` columns wide."""
    mel = np.asarray(mel, np.float32)
    edges = np.linspace(0, len(mel), min(PICTURE_FRAMES, len(mel)) + 1).astype(int)[:-1]
    drawn = np.maximum.reduceat(mel, edges, axis=0)
    low, high = np.percentile(drawn, DARKEST), drawn.max()
    level = np.clip((drawn - low) / max(float(high - low), 1e-6), 0, 1)
    levels = np.round(255 * level).astype(np.uint8)
    text = base64.b64encode(levels.tobytes()).decode()
    return {"frames": len(levels), "mels": levels.shape[1], "levels": text}


def _thresholds(model: Encoder) -> dict[str, float | None]:
    """Lists the classes with their stored thresholds; None where validation lacked the class."""
    found: dict[str, float | None] = {}
    if not isinstance(model, Classifier):
        return found
    for name in model.classes:
        try:
            found[name] = model.threshold(name, SPECIFICITY)
        except UserError:
            found[name] = None
    return found


class Listener:
    """Hears recordings and says what the model says.

    Args:
      model: What embeds, and scores where it is a classifier.
      decoders: Processes that decode.
    """

    def __init__(self, model: Encoder, decoders: Decoders):
        self._model, self._decoders = model, decoders
        self._thresholds = _thresholds(model)
        self._computing = threading.Lock()  # one recording at a time is in the network

    def about(self) -> dict[str, Any]:
        """Describes the model for the page."""
        model, meta = self._model, self._model.meta
        return {
            "encoder": meta.encoder.name,
            "trained_by": meta.trained_by,
            "fingerprint": model.fingerprint[:12],
            "classes": list(self._thresholds),
            "thresholds": self._thresholds,
            "specificity": SPECIFICITY,
            "band_hz": np.round(band_centres_hz(model.spec), 1).tolist(),
        }

    def hear(self, path: pathlib.Path) -> dict[str, Any]:
        """Decodes and scores a recording.

        Raises:
          UserError: It cannot be used.
        """
        made = self._decoders.hear(Clip(str(path)))
        if not isinstance(made, Heard) or made.mel is None or made.envelope is None:
            raise UserError(f"{made.reason}; {made.remedy}")
        model = self._model
        with self._computing:
            h, _, start_s = model.embed_mels([made.mel])
        end_s = np.minimum(start_s + model.window_s, made.seconds)
        answer: dict[str, Any] = {
            "seconds": made.seconds,
            "rate_hz": made.rate_hz,
            "envelope": np.round(made.envelope, 4).tolist(),
            "mel": picture_of(made.mel),
            "start_s": np.round(start_s, 3).tolist(),
            "end_s": np.round(end_s, 3).tolist(),
        }
        if isinstance(model, Classifier):
            answer |= self._scores(model, h, start_s, end_s)
        return answer

    def _scores(
        self, model: Classifier, h: np.ndarray, start_s: np.ndarray, end_s: np.ndarray
    ) -> dict[str, Any]:
        raw = model.score_windows(h)
        overall, scores = model.score_recording(raw), model.recalibrate(raw)
        events = {}
        for index, (name, threshold) in enumerate(self._thresholds.items()):
            cut = np.inf if threshold is None else threshold  # none without a threshold
            found = events_of(start_s, end_s, scores[:, index], cut, 0.0)
            events[name] = [event._asdict() for event in found]
        return {
            "scores": np.round(scores, 5).tolist(),
            "recording": dict(zip(model.classes, np.round(overall, 5).tolist(), strict=True)),
            "events": events,
        }
