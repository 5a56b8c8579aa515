"""Semi-supervised training: few labels, and every training recording as an unlabelled stream."""

import dataclasses
from typing import Any

from flax import nnx

from cryjax.evaluate.protocols.probe import FromScratch
from cryjax.evaluate.task import EvaluationTask
from cryjax.evaluate.training import Trainer
from cryjax.evaluate.training_settings import TrainingSettings
from cryjax.objectives.semi import SEMI_SUPERVISED
from cryjax.settings import to_dict


@dataclasses.dataclass(frozen=True)
class SemiSupervised(FromScratch):
    """One of the semi-supervised objectives, from fresh weights.

    Attributes:
      method: Name in `SEMI_SUPERVISED`, and of its settings in `SemiSupervisedSettings`.
    """

    method: str = ""

    def settings(self, task: EvaluationTask) -> Any:
        """Reads `semi.ratio` and `semi.<method>` besides what training from scratch reads."""
        semi = task.settings.semi
        return [*super().settings(task), semi.ratio, to_dict(getattr(semi, self.method))]

    def _make_trainer(self, task: EvaluationTask, settings: TrainingSettings) -> Trainer:
        sizes: dict[str, Any] = {"labelled": settings.batch_size, "steps": settings.steps}
        if SEMI_SUPERVISED[self.method].reconstructs:
            sizes |= {"frames": task.windows.frames, "mels": task.corpus.spec.n_mels}

        def build(seed: int, class_weights: list[float]) -> Any:
            encoder = task.encoder(self.weights, seed)
            return SEMI_SUPERVISED[self.method](
                encoder.module,
                task.policy(encoder),
                getattr(task.settings.semi, self.method),
                class_weights=class_weights,
                rngs=nnx.Rngs(seed + 1),
                **sizes,
            )

        drawn = round(task.settings.semi.ratio * settings.batch_size)
        return Trainer(
            self.method,
            build,
            self.trains_what,
            settings,
            task.windows,
            unlabelled=(task.split.train, drawn),
        )
