"""How far do few labels go? Protocols and encoders by share of labels, in one figure."""

import dataclasses
import pathlib
from collections import defaultdict

import jax

from cryjax.errors import UserError
from cryjax.evaluate.metrics import NAMES
from cryjax.evaluate.named import named_checkpoints, named_once
from cryjax.evaluate.outcomes import Outcome, distinct_fractions, evaluate_fractions, protocols_of
from cryjax.evaluate.report import crossings, plots, tables
from cryjax.evaluate.report.publish import facts_of, shown_path
from cryjax.evaluate.task import EvaluationSettings, EvaluationTask, open_tasks
from cryjax.settings import free
from cryjax.train.workdir import claim


@dataclasses.dataclass(frozen=True)
class LabelFractionSettings(EvaluationSettings):
    """What the curves show.

    Attributes:
      task: Name of the task.
      seed: First seed, of label subsets, heads and batches.
      seeds: Number of seeds.
      fractions: Shares of training groups with labels, nested in a seed; equal draws stand once.
      modes: Protocols; those of a pre-trained encoder have a curve for each checkpoint.
      checkpoints: name=workdir of pre-trained encoders; {fold} and {seed} are filled in.
      metric: Metric of the figure.
    """

    task: str = "label_fractions"
    seed: int = 0
    seeds: int = 10
    fractions: tuple[float, ...] = (0.01, 0.03, 0.05, 0.1, 0.2, 0.5, 1.0)
    modes: tuple[str, ...] = ("majority", "mel_statistics", "random_logistic", "logistic")
    checkpoints: tuple[str, ...] = free(())
    metric: str = "balanced_accuracy"

    def __post_init__(self):
        if self.metric not in NAMES:
            raise UserError(f"config.metric must be one of {', '.join(NAMES)}, got {self.metric!r}")
        if bad := [f for f in self.fractions if not 0 < f <= 1]:
            raise UserError(f"config.fractions must lie in (0, 1], got {bad}")
        protocols_of(self.modes)

    def encoders(self) -> dict[str, str | None]:
        """Maps names of encoders to their workdirs; {"": None} where there is none."""
        own = {"pre-trained": self.checkpoint} if self.checkpoint else {}
        others = named_checkpoints(self.checkpoints).items()
        return named_once([*own.items(), *others], "config.checkpoints") or {"": None}


def _series(settings: LabelFractionSettings) -> list[tuple[str, str, str | None]]:
    """Lists (name, protocol, checkpoint) of every curve."""
    encoders, curves = settings.encoders(), []
    for mode, protocol in protocols_of(settings.modes).items():
        if protocol.weights != "pretrained":
            curves.append((mode, mode, next(iter(encoders.values()))))
        else:
            curves += [(f"{name}: {mode}", mode, path) for name, path in encoders.items() if path]
    if not curves:
        raise UserError(
            "config.modes has protocols of pre-trained encoders alone: name some in "
            "config.checkpoints, or add random_logistic or scratch"
        )
    return curves


def run(settings: LabelFractionSettings, workdir: pathlib.Path) -> None:
    """Draws the curves as `configs/label_fractions.py` describes."""
    seeds = list(range(settings.seed, settings.seed + settings.seeds))
    outcomes: list[Outcome] = []
    counts: dict[str, list[int]] = defaultdict(list)
    tasks: dict[str | None, dict[str, EvaluationTask]] = defaultdict(dict)
    folds = list(open_tasks(dataclasses.replace(settings, checkpoint=None)))
    fractions = distinct_fractions(folds, seeds, settings.fractions)
    for name, mode, checkpoint in _series(settings):
        by_path: dict[str | None, list[int]] = defaultdict(list)
        for seed in seeds:
            by_path[checkpoint and checkpoint.replace("{seed}", str(seed))].append(seed)
        for path, mine in by_path.items():
            for task in open_tasks(dataclasses.replace(settings, checkpoint=path)):
                claim(workdir, settings, task.corpus.describe())
                tasks[path][task.fold] = task
                for share, outcome in evaluate_fractions(task, mode, mine, fractions, workdir):
                    row = f"{name} @ {crossings.column_of(share)}"
                    outcomes.append(dataclasses.replace(outcome, mode=row))
                    counts[row].append(task.with_fraction(share).labelled(outcome.seed).train.size)
    if jax.process_index() == 0:  # leaks are those of the encoder that has heard most
        heard = lambda of: sum(sum(t.seen_in_training().values()) for t in of.values())  # noqa: E731
        most = max(tasks.values(), key=heard)
        _publish(settings, workdir, list(most.values()), outcomes, counts)


def _publish(
    settings: LabelFractionSettings,
    workdir: pathlib.Path,
    tasks: list[EvaluationTask],
    outcomes: list[Outcome],
    counts: dict[str, list[int]],
) -> None:
    """Writes the table and the figure."""
    facts = facts_of(tasks, settings.modes, settings.seed) | {
        "labels": f"nested, drawn by {settings.label.unit}, stratified; the validation part keeps "
        "all of its labels",
        "checkpoint": ", ".join(f"{n} {shown_path(p)}" for n, p in settings.encoders().items() if p)
        or "none",
    }
    facts |= tables.learnt(outcomes)
    facts["title"] = f"{facts['title']}, by share of labels"
    rows = tables.save(workdir, tables.unique_runs(outcomes), tasks[-1].corpus, facts)
    figure = plots.fraction_curve(rows, counts, settings.metric)
    figure.savefig(workdir / "curve.png", dpi=130, bbox_inches="tight")
    plots.close(figure)
    print("\n" + tables.main_table(rows, facts["title"]).as_markdown())
    print(f"curve: {workdir / 'curve.png'}")
