"""What a study compares."""

import dataclasses
from typing import Any

from cryjax.errors import UserError
from cryjax.evaluate.metrics import NAMES
from cryjax.evaluate.outcomes import protocols_of
from cryjax.evaluate.task import EvaluationSettings
from cryjax.settings import free, from_dict, merged

RANDOM = "random"  # name of the encoder that is not pre-trained


@dataclasses.dataclass(frozen=True)
class StudySettings:
    """What a study compares.

    Attributes:
      task: Name of the task.
      study: Name of the study, of its folder and files.
      question: What it asks, in one sentence.
      recordings: Folder of the recordings as they were downloaded; see `corpora`.
      prepared: Folder of the prepared corpora.
      corpora: What is prepared first, by name: corpus, source (below `recordings`), spec, label
        and split, as the flags of `cryjax prepare`.
      runs: Folder of all pre-trainings; studies with the same pre-training share it.
      seeds: Number of pre-trainings of an encoder in each fold.
      seeds_of: Encoders that have another number of seeds.
      folds: Splits of the first task that are tested on in turn; without any, its own train, val
        and test.
      pretrain: What all pre-trainings share, in plain values.
      encoders: Changes of each encoder; `init` may name an encoder above it. `random` has no
        changes and is not pre-trained.
      only: Encoders to run, in the order of the table.
      transfer: What all evaluations share, in plain values.
      tasks: Changes of each evaluation.
      home: Task whose training part is what is pre-trained on.
      modes: Protocols.
      tuned: Changes of the evaluation that a column's protocols are tried with, with the first
        seed and encoder of each task and fold; the best on validation is used for all seeds, a
        single one without trial.
      fractions: Shares of the training groups whose labels are visible; the table then has one
        row for each encoder and protocol, and one column for each share.
      metric: Metric of the table and of what is chosen.
      compare: Comparisons of cells, as "row/column > row/column".
      crossings: Rows of which one reaches another, or a cell of it, as "row > row" or
        "row > row/column"; for studies with `fractions`.
      published: Figures of the source by encoder.
      ranks: Protocol by whose scores encoders are ranked over all tasks; "" for none.
    """

    task: str = "study"
    study: str = ""
    question: str = ""
    recordings: str = free("recordings")
    prepared: str = free("prepared/studies")
    corpora: dict[str, dict[str, Any]] = free({})
    runs: str = free("runs/studies")
    seeds: int = free(3)
    seeds_of: dict[str, int] = free({})
    folds: tuple[str, ...] = free(())
    pretrain: dict[str, Any] = dataclasses.field(default_factory=dict)
    encoders: dict[str, dict[str, Any]] = free({})
    only: tuple[str, ...] = free(())
    transfer: dict[str, Any] = dataclasses.field(default_factory=dict)
    tasks: dict[str, dict[str, Any]] = free({})
    home: str = ""
    modes: tuple[str, ...] = free(("knn", "linear"))
    tuned: dict[str, tuple[dict[str, Any], ...]] = free({})
    fractions: tuple[float, ...] = free(())
    metric: str = "accuracy"
    compare: tuple[str, ...] = free(())
    crossings: tuple[str, ...] = free(())
    published: dict[str, float] = free({})
    ranks: str = ""

    def __post_init__(self):
        if self.metric not in NAMES:
            raise UserError(f"config.metric must be one of {', '.join(NAMES)}, got {self.metric!r}")
        protocols_of(self.modes)
        for kind, names, known in (
            ("only", self.only, self.encoders),
            ("home", [self.home], self.tasks),
            ("seeds_of", self.seeds_of, self.encoders),
        ):
            if (self.encoders or self.tasks) and (unknown := set(names) - known.keys()):
                there = ", ".join(known)
                raise UserError(f"config.{kind}: no {', '.join(unknown)}; there are {there}")
        for pair in (*self.compare, *self.crossings) if self.encoders else ():
            self._require_cells(pair)
        if self.fractions and any(len(tried) > 1 for tried in self.tuned.values()):
            raise UserError(
                "config.tuned would choose for few labels by all of them: name one each"
            )
        if self.encoders.get(RANDOM):
            raise UserError(f"the encoder {RANDOM!r} is not pre-trained and takes no changes")

    def _require_cells(self, pair: str) -> None:
        """Refuses a comparison of what the table cannot hold: it would be left out in silence."""
        for side in pair.split(">"):
            row, _, column = side.strip().partition("/")
            encoder, _, mode = row.partition(": ") if self.fractions else (row, "", column)
            if encoder not in self.encoders or (mode and mode not in self.modes):
                raise UserError(
                    f"{pair!r} compares {side.strip()!r}, which is no cell: rows are of "
                    f"{', '.join(self.encoders)}, protocols {', '.join(self.modes)}"
                )


def evaluation_of(settings: StudySettings, task: str) -> EvaluationSettings:
    """Returns the settings of a task of the study."""
    plain = merged(settings.transfer, settings.tasks[task])
    return from_dict(EvaluationSettings, plain, f"task {task}")
