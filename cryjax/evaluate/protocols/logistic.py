"""Logistic regression on features of whole recordings; the strength is chosen on validation."""

import dataclasses
from collections.abc import Sequence

import numpy as np

from cryjax.data.fractions import nested_fractions
from cryjax.evaluate.logistic import Fits, LogisticSettings, fit_many
from cryjax.evaluate.metrics import score
from cryjax.evaluate.protocols.base import EvaluationProtocol, Predictions
from cryjax.evaluate.task import EvaluationTask
from cryjax.train.log import MetricLog


@dataclasses.dataclass(frozen=True)
class LogisticProbe(EvaluationProtocol):
    """Logistic regression on the mean representation of each recording.

    Features are standardised by all training recordings, labelled or not; no label is needed for
    that.
    """

    def settings(self, task: EvaluationTask) -> LogisticSettings:
        """Reads `logistic`."""
        return task.settings.logistic

    def selects_by(self, task: EvaluationTask) -> tuple[str, str, str]:
        """Names what the strength is selected by."""
        return task.settings.logistic.select, "val", "logistic.select"

    def selection(self, task: EvaluationTask) -> str:
        """Names the metric that selects the strength."""
        select = task.settings.logistic.select
        return f"strength of regularisation with the best {select} on val"

    def features(self, task: EvaluationTask, seed: int) -> np.ndarray:
        """Computes (recordings, features) of train, validation and test, one after another."""
        made = task.embeddings(task.encoder(self.weights, seed))
        return made.means(len(task.split.rows))

    def run(self, task: EvaluationTask, seed: int, log: MetricLog | None = None) -> Predictions:
        """Fits every strength and keeps the best; see `EvaluationProtocol.run`."""
        return self.run_many(task, [(seed, task.settings.label.fraction)])[0]

    def run_many(
        self, task: EvaluationTask, cells: Sequence[tuple[int, float]]
    ) -> list[Predictions]:
        """Runs several (seed, label fraction) pairs on the features of one encoder."""
        strengths, train = task.settings.logistic.strengths, task.split.train
        x = self.features(task, cells[0][0])
        counted = np.repeat([_visible(task, *cell) for cell in cells], len(strengths), axis=0)
        labels, classes = task.corpus.labels[train], len(task.corpus.classes)
        fits = fit_many(
            x[: len(train)], labels, counted, np.tile(strengths, len(cells)), classes=classes
        )
        n, m = len(train), len(task.split.val)
        val, test = fits.probabilities(x[n : n + m]), fits.probabilities(x[n + m :])
        per_cell = [slice(i, i + len(strengths)) for i in range(0, len(val), len(strengths))]
        return [_choose(task, fits, val, test, cell) for cell in per_cell]


def _visible(task: EvaluationTask, seed: int, fraction: float) -> np.ndarray:
    """Marks the training clips whose labels may be read with 1, others with 0."""
    train, unit = task.split.train, task.settings.label.unit
    labels, groups = task.corpus.labels[train], task.corpus.groups[train]
    return nested_fractions(labels, groups, [fraction], seed=seed, unit=unit)[0].astype(float)


def _choose(
    task: EvaluationTask, fits: Fits, val: np.ndarray, test: np.ndarray, cell: slice
) -> Predictions:
    """Takes the strength that is best on validation, the first of equals."""
    settings, at = task.settings.logistic, range(cell.start, cell.stop)
    values = [score(task.scored("val", val[i]))[settings.select] for i in at]
    best = cell.start + int(np.nanargmax(values)) if np.isfinite(values).any() else cell.start
    warning = "" if fits.converged[best] else "the logistic regression did not converge"
    return Predictions(
        task.scored("val", val[best]),
        task.scored("test", test[best]),
        {"strength": settings.strengths[best - cell.start]},
        warning=warning,
    )


@dataclasses.dataclass(frozen=True)
class MelStatistics(LogisticProbe):
    """Logistic regression on mean and standard deviation of every mel band: no network at all.

    These 2 x mels numbers tell devices and recording sites apart more easily than what is to be
    classified. Where they do as well as an encoder, the task is trivial or leaks through device or
    site.
    """

    def features(self, task: EvaluationTask, seed: int) -> np.ndarray:
        """Computes (recordings, 2 * mels) statistics of train, validation and test."""
        del seed
        frames, rows = task.corpus.frames, task.split.rows
        values = []
        for row, length in zip(rows, task.corpus.lengths[rows], strict=True):
            mel = frames.gather(np.array([row]), np.array([0]), int(length))[0].astype(np.float32)
            values.append(np.concatenate([mel.mean(axis=0), mel.std(axis=0)]))
        return np.stack(values)
