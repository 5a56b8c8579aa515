"""Augmentations on the device: f(key, mel, *, ...) -> mel, batched, nothing dynamic in shape."""

from cryjax.augment.policy import AUGMENTATIONS, Policy, build_policy

__all__ = ["AUGMENTATIONS", "Policy", "build_policy"]
