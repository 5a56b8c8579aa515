"""Learning from few labels and many recordings: one file a method, all of base.py's form."""

from collections.abc import Callable
from typing import Any

from cryjax.objectives.semi.autoencoder import Autoencoder
from cryjax.objectives.semi.base import Ramp
from cryjax.objectives.semi.consistency import MeanTeacher, PiModel
from cryjax.objectives.semi.pseudo_label import PseudoLabel
from cryjax.objectives.semi.vat import VAT

SEMI: dict[str, Callable[..., Any]] = {
    "autoencoder": Autoencoder,
    "pi_model": PiModel,
    "vat": VAT,
    "pseudo_label": PseudoLabel,
    "mean_teacher": MeanTeacher,
}

__all__ = ["SEMI", "Ramp"]
