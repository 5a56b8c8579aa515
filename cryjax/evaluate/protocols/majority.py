"""Majority: the share of each class among the training labels, for every recording."""

import dataclasses
from typing import Any

import numpy as np

from cryjax.evaluate.protocols.base import EvaluationProtocol, Predictions
from cryjax.evaluate.task import EvaluationTask
from cryjax.train.log import MetricLog


@dataclasses.dataclass(frozen=True)
class Majority(EvaluationProtocol):
    """Predicts the class shares of the visible training labels; hears nothing."""

    def settings(self, task: EvaluationTask) -> Any:
        """Reads no settings."""
        return {}

    def run(self, task: EvaluationTask, seed: int, log: MetricLog | None = None) -> Predictions:
        """Predicts the same for every recording; see `EvaluationProtocol.run`."""
        labels = task.corpus.labels[task.labelled(seed).train]
        share = np.bincount(labels, minlength=len(task.corpus.classes)) / len(labels)
        val, test = (
            task.scored(part, np.tile(share, (len(task.split.parts()[part]), 1)))
            for part in ("val", "test")
        )
        return Predictions(val, test)
