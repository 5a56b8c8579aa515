"""Evaluation: from a checkpoint's folder alone to a table, predictions and a report."""

import dataclasses
import pathlib
from typing import Any

import jax

from cryjax.errors import UserError
from cryjax.evaluate.outcomes import count_runs, evaluate, protocols_of
from cryjax.evaluate.report.clinical import ClinicalSettings
from cryjax.evaluate.report.publish import caution, facts_of, publish
from cryjax.evaluate.task import EvaluationSettings, open_tasks
from cryjax.settings import free
from cryjax.train.log import Countdown
from cryjax.train.workdir import claim


@dataclasses.dataclass(frozen=True)
class TransferSettings(EvaluationSettings):
    """What an evaluation runs and reports.

    Attributes:
      task: Name of the task.
      seed: First seed.
      seeds: Number of seeds; a protocol that gives the same with every seed runs once.
      modes: Names of protocols; see `cryjax.evaluate.protocols`.
      save_best: Whether classifiers that a protocol trained are written to `best/`, each with its
        encoder, for `cryjax.load` and `cryjax predict`.
      clinical: What is reported besides the metrics.
    """

    task: str = "transfer"
    seed: int = free(0)
    seeds: int = free(3)
    modes: tuple[str, ...] = free(
        (
            "majority",
            "mel_statistics",
            "random_knn",
            "knn",
            "random_linear",
            "linear",
            "linear_bn",
            "finetune",
            "scratch",
        )
    )
    save_best: bool = free(True)
    clinical: ClinicalSettings = free(ClinicalSettings())

    def __post_init__(self):
        if self.seeds < 1:
            raise UserError(f"seeds must be at least 1, got {self.seeds}")
        protocols_of(self.modes)


def run(settings: TransferSettings, workdir: pathlib.Path) -> None:
    """Evaluates as `configs/transfer.py` and `configs/knn.py` describe."""
    seeds = range(settings.seed, settings.seed + settings.seeds)
    tasks = list(open_tasks(settings))
    claim(workdir, settings, tasks[0].corpus.describe())
    print("".join(f"caution: {text}\n" for text in caution(tasks)), end="")
    outcomes, total = [], sum(count_runs(task, settings.modes, seeds) for task in tasks)
    options: dict[str, Any] = {
        "save_best": settings.save_best,
        "countdown": Countdown("fit", total),
    }
    for task in tasks:
        place = workdir if len(tasks) == 1 else workdir / task.fold.replace("/", "-")
        outcomes += evaluate(task, settings.modes, seeds, place, **options)
    if jax.process_index():
        return
    curves = [pathlib.Path(settings.checkpoint)] if settings.checkpoint else []
    facts = facts_of(tasks, settings.modes, settings.seed)
    facts["seeds"] = str(settings.seeds)
    publish(workdir, tasks, outcomes, facts, settings.clinical, settings, curves=curves)
