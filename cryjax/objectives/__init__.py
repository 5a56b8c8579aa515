"""Objectives: what is minimised, one module class a file, all of the shape of base.py."""

from collections.abc import Callable
from typing import Any

from cryjax.objectives.byola import BYOLA
from cryjax.objectives.cola import COLA
from cryjax.objectives.delores import DeLoResM, DeLoResS
from cryjax.objectives.simclr import SimCLR
from cryjax.objectives.slicer import SLICER
from cryjax.objectives.supervised import Supervised

OBJECTIVES: dict[str, Callable[..., Any]] = {
    "simclr": SimCLR,
    "slicer": SLICER,
    "byola": BYOLA,
    "cola": COLA,
    "delores_s": DeLoResS,
    "delores_m": DeLoResM,
    "supervised": Supervised,
}

__all__ = ["OBJECTIVES", "SimCLR", "Supervised"]
