"""Semi-supervised objectives: few labels and many recordings, one method a file."""

import dataclasses
from typing import Any

from cryjax.objectives.semi.autoencoder import Autoencoder, AutoencoderSettings
from cryjax.objectives.semi.base import Ramp, SemiSettings
from cryjax.objectives.semi.consistency import (
    MeanTeacher,
    MeanTeacherSettings,
    PiModel,
    PiModelSettings,
)
from cryjax.objectives.semi.pseudo_label import PseudoLabel, PseudoLabelSettings
from cryjax.objectives.semi.vat import VAT, VATSettings

SEMI_SUPERVISED: dict[str, type[Any]] = {
    "autoencoder": Autoencoder,
    "pi_model": PiModel,
    "vat": VAT,
    "pseudo_label": PseudoLabel,
    "mean_teacher": MeanTeacher,
}


@dataclasses.dataclass(frozen=True)
class SelfTrainingSettings:
    """Settings of self-training.

    Attributes:
      rounds: Number of trainings, of which the first sees the given labels alone.
      threshold: Smallest probability of a prediction that becomes a label.
    """

    rounds: int = 4
    threshold: float = 0.5


@dataclasses.dataclass(frozen=True)
class SemiSupervisedSettings:
    """Settings of all semi-supervised methods, by their names.

    Attributes:
      ratio: Unlabelled rows of a batch for each labelled one.
      autoencoder: See `AutoencoderSettings`.
      pi_model: See `PiModelSettings`.
      vat: See `VATSettings`.
      pseudo_label: See `PseudoLabelSettings`.
      mean_teacher: See `MeanTeacherSettings`.
      self_training: See `SelfTrainingSettings`.
    """

    ratio: float = 1.0
    autoencoder: AutoencoderSettings = AutoencoderSettings()
    pi_model: PiModelSettings = PiModelSettings()
    vat: VATSettings = VATSettings()
    pseudo_label: PseudoLabelSettings = PseudoLabelSettings()
    mean_teacher: MeanTeacherSettings = MeanTeacherSettings()
    self_training: SelfTrainingSettings = SelfTrainingSettings()


__all__ = ["SEMI_SUPERVISED", "Ramp", "SemiSettings", "SemiSupervisedSettings"]
