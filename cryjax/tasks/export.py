"""Export: the encoder alone, which every other task accepts as a checkpoint."""

import dataclasses
import pathlib

from cryjax.errors import UserError
from cryjax.train.checkpoint import load_model, save_model


@dataclasses.dataclass(frozen=True)
class ExportSettings:
    """What is exported.

    Attributes:
      task: Name of the task.
      checkpoint: Workdir of a training run.
      step: Which checkpoint; None is the best by the run's own selection, else the latest.
    """

    task: str = "export"
    checkpoint: str | None = None
    step: int | None = None


def run(settings: ExportSettings, workdir: pathlib.Path) -> None:
    """Copies the encoder of `checkpoint` to the workdir."""
    if settings.checkpoint is None:
        raise UserError("config.checkpoint must name the workdir of a training run")
    parts, meta = load_model(settings.checkpoint, settings.step)
    save_model(workdir, {"encoder": parts["encoder"]}, meta)
    print(f"encoder of step {meta.step} exported to {workdir}")
