"""Objectives: what is minimised, one module class a file, all of the shape of base.py."""

from cryjax.objectives.simclr import SimCLR
from cryjax.objectives.supervised import Supervised

OBJECTIVES = {"simclr": SimCLR}

__all__ = ["OBJECTIVES", "SimCLR", "Supervised"]
