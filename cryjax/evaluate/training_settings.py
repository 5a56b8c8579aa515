"""How a protocol trains on labels."""

import dataclasses

from cryjax.errors import UserError
from cryjax.evaluate.metrics import NAMES
from cryjax.train.optim import OptimSettings

BALANCE = ("sampling", "loss", "none")
SELECT_ON = ("val", "test")
EVALUATIONS = 20  # of a run whose settings name no interval
ADAM = OptimSettings("adamw", 1e-3, weight_decay=1e-4, decay="kernels", schedule="cosine")


@dataclasses.dataclass(frozen=True)
class TrainingSettings:
    """How a protocol trains on labels.

    Attributes:
      steps: Number of updates.
      epochs: Length in passes over the visible training clips instead; None takes `steps`.
      batch_size: Labelled clips of an update.
      eval_every: Updates between validations; None is a twentieth of the run, and with `epochs`
        once an epoch.
      patience: Validations without improvement after which training stops; None never stops early.
      balance: Against class imbalance: "sampling" draws all classes alike, "loss" weighs classes
        inversely to their share, "none" does neither.
      select: Metric of validation that selects the step.
      select_on: Part that selects it: "val", or "test" as LAPE's release does (LEAKY).
      train_mode: Leaves a frozen encoder in training mode, as the released codes do: its batch
        statistics and dropout live.
      optim: Optimiser.
    """

    steps: int = 200
    epochs: float | None = None
    batch_size: int = 32
    eval_every: int | None = None
    patience: int | None = None
    balance: str = "sampling"
    select: str = "balanced_accuracy"
    select_on: str = "val"
    train_mode: bool = False
    optim: OptimSettings = ADAM

    def __post_init__(self):
        for field, known in (("balance", BALANCE), ("select", NAMES), ("select_on", SELECT_ON)):
            if getattr(self, field) not in known:
                raise UserError(
                    f"{field} must be one of {', '.join(known)}, got {getattr(self, field)!r}"
                )
        if self.steps < 1 or self.batch_size < 1:
            raise UserError(
                f"a probe needs steps and batch_size of at least 1, got {self.steps} and "
                f"{self.batch_size}"
            )

    def resolved(self, clips: int) -> "TrainingSettings":
        """Fills in steps and eval_every for a number of visible training clips."""
        if self.epochs is None:
            return dataclasses.replace(
                self, eval_every=self.eval_every or max(1, self.steps // EVALUATIONS)
            )
        epoch = max(1, clips // self.batch_size)
        steps = max(1, round(self.epochs * epoch))
        return dataclasses.replace(self, steps=steps, eval_every=self.eval_every or epoch)


@dataclasses.dataclass(frozen=True)
class ProbeSettings:
    """How each protocol that trains does it.

    Attributes:
      linear: A linear classifier on frozen representations.
      linear_bn: A linear classifier and the encoder's batch normalisation.
      finetune: A linear classifier and the whole encoder.
      scratch: The whole network from fresh weights, semi-supervised protocols included.
    """

    linear: TrainingSettings = TrainingSettings(
        steps=1000, batch_size=64, optim=dataclasses.replace(ADAM, learning_rate=1e-2)
    )
    linear_bn: TrainingSettings = TrainingSettings(
        optim=dataclasses.replace(ADAM, learning_rate=1e-2, encoder_rate=0.1)
    )
    finetune: TrainingSettings = TrainingSettings(
        optim=dataclasses.replace(ADAM, learning_rate=3e-3, encoder_rate=0.1)
    )
    scratch: TrainingSettings = TrainingSettings()
