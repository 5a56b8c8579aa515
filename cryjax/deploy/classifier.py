"""A classifier put to use: scores of windows and recordings, decisions at operating points."""

import dataclasses
import pathlib
from typing import Any, NamedTuple

import numpy as np

from cryjax.deploy import artefact
from cryjax.encoder import Encoder
from cryjax.encoder import load as load_encoder
from cryjax.errors import UserError
from cryjax.evaluate.calibration import Recalibration, recalibrated
from cryjax.evaluate.scoring import softmax
from cryjax.evaluate.trained import ABOUT, CLASSIFIER
from cryjax.files import load_arrays, load_json
from cryjax.train.mesh import convolve_without_ynnpack


class Scores(NamedTuple):
    """What a classifier says of one recording.

    Attributes:
      start_s: (windows,) start of each window in seconds.
      windows: (windows, classes) probabilities of each window, as the head gives them.
      recording: (classes,) probabilities of the recording: the mean over its windows, recalibrated
        on validation.
    """

    start_s: np.ndarray
    windows: np.ndarray
    recording: np.ndarray


@dataclasses.dataclass(frozen=True, eq=False)
class Classifier(Encoder):
    """An encoder with the linear classifier that an evaluation trained on it.

    Attributes:
      head: Arrays "kernel" (features, classes), "bias" (classes,), "mean" and "std" (features,).
      about: Classes, recalibration and thresholds, all chosen on validation; see
        `cryjax.evaluate.trained.about_classifier`.
    """

    head: dict[str, np.ndarray] = dataclasses.field(default_factory=dict)
    about: dict[str, Any] = dataclasses.field(default_factory=dict)

    @property
    def classes(self) -> list[str]:
        """Names of the classes, in the order of the scores."""
        return self.about["classes"]

    def score_windows(self, h: np.ndarray) -> np.ndarray:
        """Computes (windows, classes) probabilities from (windows, features) representations."""
        scaled = (np.asarray(h, np.float64) - self.head["mean"]) / self.head["std"]
        return softmax(scaled @ self.head["kernel"] + self.head["bias"])

    def recalibrate(self, scores: np.ndarray) -> np.ndarray:
        """Brings (n, classes) probabilities to the thresholds' scale, fitted on validation."""
        bias = np.asarray(self.about["class_bias"])
        return recalibrated(scores, Recalibration(self.about["temperature"], bias, frozenset()))

    def score_recording(self, windows: np.ndarray) -> np.ndarray:
        """Computes (classes,) recalibrated probabilities from those of its windows."""
        return self.recalibrate(windows.mean(axis=0, keepdims=True))[0]

    def predict(self, wave: np.ndarray, *, sample_rate_hz: int) -> Scores:
        """Scores a waveform; see `Encoder.embed` for the arguments."""
        h, start_s = self.embed(wave, sample_rate_hz=sample_rate_hz)
        windows = self.score_windows(h)
        return Scores(start_s, windows, self.score_recording(windows))

    def threshold(self, name: str, specificity: float = 0.9) -> float:
        """Returns the probability from which a recording counts as of a class.

        Args:
          name: The class.
          specificity: What the threshold kept on validation.

        Raises:
          UserError: There is no such class, or no such threshold was stored.
        """
        if name not in self.classes:
            raise UserError(f"there is no class {name!r}; there are {', '.join(self.classes)}")
        stored = self.about["thresholds"].get(name, {})
        if f"{specificity:g}" not in stored:
            there = ", ".join(stored) or "none, because validation lacks the class or others"
            raise UserError(
                f"no threshold of {name!r} at specificity {specificity:g} is stored; there are: "
                f"{there}"
            )
        return stored[f"{specificity:g}"]


def load(folder: str | pathlib.Path) -> Encoder:
    """Loads what a run left: an encoder, or a `Classifier` where a head was kept beside it.

    On a CPU that jax has not been used on yet, it also sets how jax convolves there; see
    `cryjax.train.mesh.convolve_without_ynnpack`.

    Args:
      folder: Workdir of a training run, an export, an artefact, or `best/<mode>-seed<k>` of an
        evaluation.

    Raises:
      MissingFileError: There is no checkpoint.
      UserError: It is damaged.
    """
    convolve_without_ynnpack()
    folder = pathlib.Path(folder)
    if artefact.is_artefact(folder):
        encoder, head, about = artefact.load_encoder(folder)
    else:
        encoder, head = load_encoder(folder), load_arrays(folder / CLASSIFIER)
        about = load_json(folder / ABOUT, "evaluate again") if head else {}
    if not head:
        return encoder
    features, classes = encoder.features, len(about.get("classes", ()))
    shapes = {"kernel": (features, classes), "bias": (classes,)}
    shapes |= {"mean": (features,), "std": (features,)}
    if {name: array.shape for name, array in head.items()} != shapes:
        raise UserError(f"{folder}: classifier and encoder do not belong together; evaluate again")
    parts = {f.name: getattr(encoder, f.name) for f in dataclasses.fields(Encoder)}
    wide = {name: array.astype(np.float64) for name, array in head.items()}
    return Classifier(**parts, head=wide, about=about)
