"""Policies from plain settings, for tests."""

from cryjax.augment import AugmentSettings, PatchInfo, build_policy
from cryjax.settings import changed

PATCH = PatchInfo(101, 96)


def policy(order="normalise", patch=PATCH, **settings):
    """A policy of these steps, some of them with other settings than the defaults."""
    return build_policy(changed(AugmentSettings(), {"order": order, **settings}, "augment"), patch)
