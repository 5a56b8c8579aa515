"""Self-training: rounds of training, labelling the most confident recordings, training anew."""

import dataclasses
from typing import Any

import numpy as np

from cryjax.evaluate.protocols.base import Predictions
from cryjax.evaluate.protocols.probe import FromScratch, predictions
from cryjax.evaluate.task import EvaluationTask
from cryjax.settings import to_dict
from cryjax.train.log import MetricLog


@dataclasses.dataclass(frozen=True)
class SelfTraining(FromScratch):
    """Training from scratch whose own confident predictions become labels, round by round."""

    def settings(self, task: EvaluationTask) -> Any:
        """Reads `semi.self_training` besides what training from scratch reads."""
        return [*super().settings(task), to_dict(task.settings.semi.self_training)]

    def run(self, task: EvaluationTask, seed: int, log: MetricLog | None = None) -> Predictions:
        """Trains in rounds, the last of which is logged; see `EvaluationProtocol.run`."""
        chosen, split = task.settings.semi.self_training, task.labelled(seed)
        pool = np.setdiff1d(task.split.train, split.train)
        rounds = chosen.rounds if len(pool) else 1  # every label is known: nothing to add
        hidden, trainer = task.hidden(seed), self.trainer(task, seed)
        last = lambda number: log if number == rounds - 1 else None  # noqa: E731
        trained = trainer.fit(seed, hidden, split, log=last(0), extra=pool)
        for number in range(1, rounds):
            if trained.objective is None:  # diverged: it has no opinion on any label
                break
            most = round(number / (rounds - 1) * len(pool) / len(task.corpus.classes))
            taken = _surest(trained.extra, max(1, most), chosen.threshold)
            labels = hidden.labels.copy()
            labels[pool[taken]] = trained.extra[taken].argmax(axis=1)
            corpus = dataclasses.replace(hidden, labels=labels)
            rows = np.concatenate([split.train, pool[taken]])
            more = dataclasses.replace(split, train=rows)
            trained = trainer.fit(seed, corpus, more, log=last(number), extra=pool)
        return predictions(task, trained)


def _surest(scores: np.ndarray, most: int, threshold: float) -> np.ndarray:
    """Lists positions of the most confident predictions, at most so many of each class."""
    guess, sure = scores.argmax(axis=1), scores.max(axis=1)
    taken = [
        mine[np.argsort(-sure[mine], kind="stable")][:most]
        for mine in (np.flatnonzero((guess == c) & (sure >= threshold)) for c in np.unique(guess))
    ]
    return np.concatenate(taken)
