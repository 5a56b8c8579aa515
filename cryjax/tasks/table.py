"""A table: variants of one suite or evaluation, one after another, beside the source's figures."""

import dataclasses
import pathlib
from typing import Any

import jax

from cryjax.errors import UserError
from cryjax.evaluate.named import named_checkpoints, task_rows
from cryjax.evaluate.outcomes import protocols_of
from cryjax.evaluate.report.clinical import require_metric
from cryjax.evaluate.report.combined import Combined
from cryjax.settings import choose, free, from_dict, merged
from cryjax.tasks import suite, transfer
from cryjax.train.log import Countdown

BASES: dict[str, Any] = {
    "suite": (suite.SuiteSettings, suite.run),
    "transfer": (transfer.TransferSettings, transfer.run),
}


@dataclasses.dataclass(frozen=True)
class TableSettings:
    """The rows of a table and what they share.

    Attributes:
      task: Name of the task.
      table: Title.
      base: Settings of a suite or a transfer that all rows share, in plain values.
      rows: Changes of each row, in plain values.
      only: Rows to run; all where it is empty.
      modes: Protocols that are columns.
      metric: Metric of the cells.
      published: Figures of the source by row and protocol, for columns of their own.
      tasks: Prepared folders that are the rows instead, each with settings of its own behind
        colons, such as prepared/us8k:test=fold10:val= or prepared/esc50:folds=*; a plus sign
        separates several splits. Without settings, splits named train and test are used as such,
        others as folds.
      checkpoints: name=workdir of encoders, each of which takes every row's place in turn.
    """

    task: str = "table"
    table: str = ""
    base: dict[str, Any] = dataclasses.field(default_factory=dict)
    rows: dict[str, dict[str, Any]] = dataclasses.field(default_factory=dict)
    only: tuple[str, ...] = free(())
    modes: tuple[str, ...] = ("knn",)
    metric: str = "accuracy"
    published: dict[str, dict[str, Any]] = dataclasses.field(default_factory=dict)
    tasks: tuple[str, ...] = ()
    checkpoints: tuple[str, ...] = free(())

    def __post_init__(self):
        protocols_of(self.modes)


def rows_of(settings: TableSettings) -> dict[str, dict[str, Any]]:
    """Lists the changes of every row; with `checkpoints` each of them in every row's place."""
    if unknown := [name for name in settings.only if name not in settings.rows]:
        raise UserError(f"config.only names {unknown}; there are {', '.join(settings.rows)}")
    rows = {name: settings.rows[name] for name in settings.only or settings.rows}
    if settings.tasks:
        rows = task_rows(settings.tasks)
    if not settings.checkpoints:
        return rows
    return {
        f"{row} · {name}": merged(changes, {"checkpoint": path})
        for row, changes in rows.items()
        for name, path in named_checkpoints(settings.checkpoints).items()
    }


def run(settings: TableSettings, workdir: pathlib.Path) -> None:
    """Runs as `configs/ablations.py` and `configs/protocol.py` describe."""
    kind, runner = choose(settings.base.get("task", ""), BASES, "config.base.task")
    rows, base = rows_of(settings), settings.base
    wanted = {n: from_dict(kind, merged(base, c), f"row {n}") for n, c in rows.items()}
    for name, changed in wanted.items():
        its = getattr(changed, "transfer", changed)
        require_metric(settings.metric, its.clinical)
        if not set(its.modes) & set(settings.modes):
            raise UserError(
                f"row {name} evaluates {', '.join(its.modes)} and config.modes shows "
                f"{', '.join(settings.modes)}: nothing of it would be in the table"
            )
    theirs = [name for name in settings.published if name not in settings.rows]  # stand below
    table = Combined(settings.table, settings.modes, settings.metric, settings.published)
    folders: dict[str, pathlib.Path] = {}
    countdown = Countdown("row", len(wanted))
    for place, (name, changed) in enumerate(wanted.items(), 1):
        countdown.begin(name)
        folders[name] = workdir / name.replace("/", "-").replace(" · ", "__").replace(" ", "_")
        runner(changed, folders[name])
        if jax.process_index() == 0:
            text = table.save(workdir, folders, theirs)
            print(f"\n{text}" if place == len(wanted) else "")
