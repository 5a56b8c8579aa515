"""A policy: which augmentations run, in the field's usual order, each under its own key."""

import dataclasses
import difflib
from collections.abc import Callable, Mapping
from typing import Any

import jax
from jaxtyping import Array, Float

from cryjax.augment.crop import random_resized_crop
from cryjax.augment.mask import spec_augment
from cryjax.augment.mix import mix_back
from cryjax.augment.noise import compress, gaussian_noise
from cryjax.types import Mel, RngKey, Views

# name -> f(key, mel, **settings); the order of this table is the order in which they run
AUGMENTATIONS: dict[str, Callable[..., Mel]] = {
    "crop": random_resized_crop,
    "compress": compress,
    "spec_augment": spec_augment,
    "noise": gaussian_noise,
}


@dataclasses.dataclass(frozen=True, eq=False)
class Policy:
    """Augments a batch of views.

    Attributes:
      mix: Settings of mix-back, None without it.
      steps: Name and settings of the others, in the order of `AUGMENTATIONS`.
    """

    mix: Mapping[str, Any] | None
    steps: tuple[tuple[str, Mapping[str, Any]], ...]

    def __call__(
        self, key: RngKey, mel: Views, background: Float[Array, "..."] | None = None
    ) -> Views:
        """Augments every view on its own; lambda of mix-back alone is shared by a clip's views.

        Args:
          key: Of all draws; equal keys give equal views.
          mel: Log-mel views.
          background: Views of other clips, needed when the policy mixes.
        """
        key, k_mix = jax.random.split(key)
        if self.mix is not None:
            if background is None:
                raise ValueError("mix_back needs backgrounds: Sampling(backgrounds=True)")
            mel = mix_back(k_mix, mel, background, **self.mix)
        flat = mel.reshape(-1, *mel.shape[2:])
        for index, (name, settings) in enumerate(self.steps):
            flat = AUGMENTATIONS[name](jax.random.fold_in(key, index), flat, **settings)
        return flat.reshape(mel.shape)


def build_policy(config: Mapping[str, Mapping[str, Any]]) -> Policy:
    """Builds a policy from `{name: {"enabled": bool, **settings}}`.

    Raises:
      ValueError: A name is unknown; the nearest ones are named.
    """
    known = ["mix_back", *AUGMENTATIONS]
    if unknown := [name for name in config if name not in known]:
        near = difflib.get_close_matches(unknown[0], known) or known
        raise ValueError(f"augment must name {', '.join(known)}, got {unknown}; near: {near}")
    settings = {
        name: {key: value for key, value in chosen.items() if key != "enabled"}
        for name, chosen in config.items()
        if chosen.get("enabled", True)
    }
    steps = tuple((name, settings[name]) for name in AUGMENTATIONS if name in settings)
    return Policy(settings.get("mix_back"), steps)
