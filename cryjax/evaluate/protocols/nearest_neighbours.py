"""Nearest neighbours: a recording's windows vote with the labels of the windows most like them."""

import dataclasses

import numpy as np

from cryjax.evaluate.embeddings import Embeddings
from cryjax.evaluate.knn import KnnSettings, knn_shares, vote
from cryjax.evaluate.protocols.base import EvaluationProtocol, Predictions
from cryjax.evaluate.scoring import Scored
from cryjax.evaluate.task import EvaluationTask
from cryjax.train.log import MetricLog


@dataclasses.dataclass(frozen=True)
class NearestNeighbours(EvaluationProtocol):
    """kNN on frozen representations.

    Attributes:
      bank: Where neighbours come from: "train", the labelled training recordings, or "within", the
        other recordings of the evaluated part itself, whose labels are then read (Fonseca et al.
        2021).
    """

    bank: str = "train"

    def settings(self, task: EvaluationTask) -> KnnSettings:
        """Reads `knn`."""
        return task.settings.knn

    def caveats(self, task: EvaluationTask) -> str:
        """Tells whose labels are read, of the released lookup, and of what stands in for z."""
        said = []
        if self.bank == "within":
            said.append("labels of other test recordings, of the same group too, are read")
        if task.settings.knn.released_lookup:
            said.append("kNN looks labels up at shifted positions, as released")
        if task.settings.knn.features == "z" and self.weights == "random":
            said.append("fresh weights are compared by h, because they have no projector")
        return "; ".join(said)

    def run(self, task: EvaluationTask, seed: int, log: MetricLog | None = None) -> Predictions:
        """Classifies by votes; see `EvaluationProtocol.run`."""
        encoder = task.encoder(self.weights, seed)
        if task.settings.knn.features == "z" and self.weights == "pretrained":
            encoder = encoder.with_projection()
        made = task.embeddings(encoder)
        val, test = (self._part(task, made, part, seed) for part in ("val", "test"))
        return Predictions(val, test)

    def _part(self, task: EvaluationTask, made: Embeddings, part: str, seed: int) -> Scored:
        split, corpus = task.split, task.corpus
        wanted = split.parts()[part]
        first = len(split.train) + (0 if part == "val" else len(split.val))
        owner, rows = made.window_to_clip, split.rows
        asked = (owner >= first) & (owner < first + len(wanted))
        known = asked
        if self.bank == "train":
            visible = np.isin(split.train, task.labelled(seed).train)
            known = np.concatenate([visible, np.zeros(len(rows) - len(visible), bool)])[owner]
        shares = knn_shares(
            made.h[asked],
            owner[asked],
            made.h[known],
            owner[known],
            corpus.labels[rows[owner[known]]],
            task.settings.knn,
            classes=len(corpus.classes),
        )
        return task.scored(part, *vote(shares, owner[asked] - first, len(wanted)))
