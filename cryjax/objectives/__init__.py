"""Objectives: what pre-training minimises, one class a file, all with the interface of base.py."""

from typing import Any

from flax import nnx

from cryjax.augment import Policy
from cryjax.objectives.byola import BYOLA, BYOLASettings
from cryjax.objectives.cola import COLA, COLASettings
from cryjax.objectives.delores import DeLoResM, DeLoResMSettings, DeLoResS, DeLoResSSettings
from cryjax.objectives.simclr import SimCLR, SimCLRSettings
from cryjax.objectives.slicer import SLICER, SLICERSettings
from cryjax.objectives.supervised import Supervised, SupervisedSettings

OBJECTIVES: dict[type[Any], type[Any]] = {
    SimCLRSettings: SimCLR,
    SLICERSettings: SLICER,
    BYOLASettings: BYOLA,
    COLASettings: COLA,
    DeLoResSSettings: DeLoResS,
    DeLoResMSettings: DeLoResM,
    SupervisedSettings: Supervised,
}
ObjectiveSettings = (
    SimCLRSettings
    | SLICERSettings
    | BYOLASettings
    | COLASettings
    | DeLoResSSettings
    | DeLoResMSettings
    | SupervisedSettings
)

__all__ = ["OBJECTIVES", "ObjectiveSettings", "SimCLR", "Supervised", "build_objective"]


def build_objective(
    settings: ObjectiveSettings, encoder: Any, policy: Policy, classes: int, rngs: nnx.Rngs
) -> Any:
    """Builds the objective that the settings are of.

    Args:
      settings: Settings of one objective.
      encoder: Module with an attribute `features`.
      policy: Augmentations.
      classes: Number of classes, for supervised training.
      rngs: Generators of the heads' weights.
    """
    labelled = (
        {"class_weights": [1.0] * classes} if isinstance(settings, SupervisedSettings) else {}
    )
    return OBJECTIVES[type(settings)](encoder, policy, settings, rngs=rngs, **labelled)
