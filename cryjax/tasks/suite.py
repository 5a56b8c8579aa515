"""A suite: for every fold and seed, pre-train and evaluate; then one table and one report."""

import dataclasses
import pathlib

import jax

from cryjax.data.corpus import open_corpus
from cryjax.data.parts import folds_of
from cryjax.errors import UserError
from cryjax.evaluate.outcomes import Outcome, count_runs, evaluate
from cryjax.evaluate.report.publish import facts_of, publish
from cryjax.evaluate.task import EvaluationTask, open_tasks
from cryjax.pretraining import PretrainSettings
from cryjax.settings import free
from cryjax.studies.parts import pretraining_of
from cryjax.tasks import pretrain
from cryjax.tasks.transfer import TransferSettings
from cryjax.train.log import Countdown


@dataclasses.dataclass(frozen=True)
class SuiteSettings:
    """What a suite pre-trains and how it evaluates.

    Attributes:
      task: Name of the task.
      seed: First seed.
      seeds: Number of pre-trainings of each fold, each evaluated with `transfer.seeds` seeds of
        head and batches.
      folds: Splits that are tested on in turn, "*" for every one; without any, `transfer.data`
        says what is trained, validated and tested on.
      pretrain: Pre-training; its clips are the training part of `transfer.data`, its seed the
        suite's.
      transfer: Evaluation of the encoder that was pre-trained.
    """

    task: str = "suite"
    seed: int = free(0)
    seeds: int = free(3)
    folds: tuple[str, ...] = free(())
    pretrain: PretrainSettings = PretrainSettings()
    transfer: TransferSettings = TransferSettings()

    def __post_init__(self):
        if self.seeds < 1:
            raise UserError(f"seeds must be at least 1, got {self.seeds}")


def run(settings: SuiteSettings, workdir: pathlib.Path) -> None:
    """Runs as `configs/suite.py` describes; finished parts of the workdir are skipped."""
    data = dataclasses.replace(settings.transfer.data, folds=settings.folds)
    folds = folds_of(data, open_corpus(data.dirs, data).splits)
    outcomes: list[Outcome] = []
    curves: list[pathlib.Path] = []
    tasks: dict[str, EvaluationTask] = {}
    countdown = Countdown("pre-training and evaluation", len(folds) * settings.seeds)
    for change in folds:
        of_fold = dataclasses.replace(data, **change)
        for seed in range(settings.seed, settings.seed + settings.seeds):
            place = workdir / f"{'+'.join(of_fold.test).replace('/', '-')}-seed{seed}"
            countdown.begin(place.name)
            pretrain.run(pretraining_of(settings.pretrain, of_fold, seed), place / "pretrain")
            transfer = dataclasses.replace(
                settings.transfer, checkpoint=str(place / "pretrain"), data=of_fold
            )
            (task,) = open_tasks(transfer)
            seeds = range(seed * transfer.seeds, (seed + 1) * transfer.seeds)
            made = evaluate(
                task,
                transfer.modes,
                seeds,
                place / "transfer",
                save_best=transfer.save_best,
                countdown=Countdown("fit", count_runs(task, transfer.modes, seeds)),
            )
            of = seed if settings.seeds > 1 else None
            outcomes += [dataclasses.replace(outcome, pretraining=of) for outcome in made]
            tasks[task.fold] = task
            curves.append(place / "pretrain")
    if jax.process_index():
        return
    facts = facts_of(list(tasks.values()), settings.transfer.modes, settings.seed) | {
        "checkpoint": "one for each fold and seed, in this workdir",
        "seeds": f"{settings.seeds} of each fold, of pre-training, head and batches"
        if settings.transfer.seeds == 1
        else f"{settings.seeds} pre-trainings of each fold, {settings.transfer.seeds} evaluations "
        f"of each; spread is over {'pre-trainings' if settings.seeds > 1 else 'evaluations'}",
        "pre-training steps": settings.pretrain.steps,
        "pre-training batch": settings.pretrain.batch_size,
    }
    chosen = list(tasks.values())
    publish(workdir, chosen, outcomes, facts, settings.transfer.clinical, settings, curves=curves)
