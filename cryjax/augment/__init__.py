"""Augmentations on the device: pure batched functions `f(key, mel, *, ...) -> mel` of one shape."""

from cryjax.augment.policy import AUGMENTATIONS, AugmentSettings, Policy, build_policy, fit_banks
from cryjax.augment.steps import PatchInfo

__all__ = ["AUGMENTATIONS", "AugmentSettings", "PatchInfo", "Policy", "build_policy", "fit_banks"]
