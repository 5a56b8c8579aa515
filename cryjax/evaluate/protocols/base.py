"""What a way to evaluate must offer; every other file of this folder is one of them."""

import abc
import dataclasses
from typing import Any

import numpy as np

from cryjax.errors import UserError
from cryjax.evaluate.scoring import Scored
from cryjax.evaluate.task import EvaluationTask
from cryjax.settings import to_dict
from cryjax.train.log import MetricLog


@dataclasses.dataclass(frozen=True)
class Predictions:
    """What one run of a protocol says, and what was chosen on validation to get there.

    Attributes:
      val: Predictions of the validation part.
      test: Predictions of the test part, computed once, after every choice was made.
      chosen: What validation selected, such as {"step": 400} or {"strength": 0.1}.
      curve: (points, 2) step and validation metric; empty for protocols that do not train.
      trained: The trained module where the protocol trains an encoder, else None.
      warning: What a reader should know about this run, such as a fit that did not converge.
      train_accuracy: Accuracy of the last updates on their labelled rows, augmented as they are;
        NaN where a protocol does not train step by step.
    """

    val: Scored
    test: Scored
    chosen: dict[str, float] = dataclasses.field(default_factory=dict)
    curve: np.ndarray = dataclasses.field(default_factory=lambda: np.zeros((0, 2)))
    trained: Any = None
    warning: str = ""
    train_accuracy: float = np.nan


@dataclasses.dataclass(frozen=True)
class EvaluationProtocol(abc.ABC):
    """One way to evaluate, such as a linear probe on frozen representations.

    Attributes:
      label: What reports call it, such as "a fine-tuned encoder".
      weights: Where the encoder's weights come from: "pretrained", "random" or "none".
      deterministic: Whether every seed gives the same result when all labels are visible, so that
        one run is enough.
      trains: Whether it trains step by step and so has curves.
      keeps: Whether what it trains is worth keeping: an encoder, or a classifier on one.
      fresh: Name of the protocol that does the same with fresh weights; "" where there is none.
    """

    label: str
    weights: str = "pretrained"
    deterministic: bool = False
    trains: bool = False
    keeps: bool = False
    fresh: str = ""

    @abc.abstractmethod
    def settings(self, task: EvaluationTask) -> Any:
        """Returns the settings that this protocol reads, as a dataclass or plain values."""

    def selects_by(self, task: EvaluationTask) -> tuple[str, str, str]:
        """Names the metric that something is selected by, the part, and the setting; else ""."""
        del task
        return "", "", ""

    def selection(self, task: EvaluationTask) -> str:
        """Says what is selected, and on which part; "" where nothing is."""
        del task
        return ""

    def caveats(self, task: EvaluationTask) -> str:
        """Says what settings make it do that a reader would not expect; "" for nothing."""
        del task
        return ""

    @abc.abstractmethod
    def run(self, task: EvaluationTask, seed: int, log: MetricLog | None = None) -> Predictions:
        """Evaluates with one seed.

        Args:
          task: Clips, split, visible labels and encoder.
          seed: Seed of fresh weights, batches and the labelled subset.
          log: Where the curves of protocols that train go.

        Raises:
          UserError: The task lacks what the protocol needs, such as a pre-trained encoder.
        """


def require_selectable(protocol: EvaluationProtocol, task: EvaluationTask) -> None:
    """Refuses to select by a metric that the selecting part does not have.

    Raises:
      UserError: It is the AUC, and the part holds one class.
    """
    metric, part, setting = protocol.selects_by(task)
    if metric == "auc" and len(np.unique(task.corpus.labels[task.split.parts()[part]])) < 2:
        raise UserError(
            f"fold {task.fold}: {part} holds one class, and {setting}=auc is not defined there; "
            f"set {setting}=balanced_accuracy, or give {part} recordings of other classes"
        )


def encoder_identity(protocol: EvaluationProtocol, task: EvaluationTask, seed: int) -> Any:
    """Identifies the encoder that a protocol starts from, without building random weights."""
    if protocol.weights == "pretrained":
        return task.encoder("pretrained", seed).fingerprint
    if protocol.weights == "none":
        return None
    settings = task.encoder_settings.for_patches(task.windows.frames)
    return [to_dict(settings), task.normalise, list(task.statistics), seed]


def plain(settings: Any) -> Any:
    """Turns dataclasses into plain values, for fingerprints."""
    return to_dict(settings) if dataclasses.is_dataclass(settings) else settings
