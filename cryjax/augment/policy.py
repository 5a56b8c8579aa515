"""A policy: which augmentations run, in which order, each under its own key."""

import difflib
from collections.abc import Callable, Mapping
from typing import Any

import jax
from flax import nnx
from jaxtyping import Array, Float

from cryjax.augment.bank import KMix, LogMixup
from cryjax.augment.crop import random_resized_crop
from cryjax.augment.mask import spec_augment
from cryjax.augment.mix import mix_back
from cryjax.augment.noise import compress, gaussian_noise, linear_fader
from cryjax.augment.normalise import build_normaliser, post_normalise
from cryjax.augment.resize import resize_crop, time_warp
from cryjax.augment.shift import blur, frequency_shift, time_reversal, time_shift
from cryjax.types import Mel, RngKey, Views

# name -> f(key, mel, **settings), for each patch on its own
AUGMENTATIONS: dict[str, Callable[..., Mel]] = {
    "time_shift": time_shift,
    "frequency_shift": frequency_shift,
    "crop": random_resized_crop,
    "resize_crop": resize_crop,
    "time_reversal": time_reversal,
    "time_warp": time_warp,
    "compress": compress,
    "spec_augment": spec_augment,
    "noise": gaussian_noise,
    "blur": blur,
    "linear_fader": linear_fader,
}
# name -> module with state of its own, built with the patch's shape
BANKS: dict[str, Callable[..., Any]] = {"log_mixup": LogMixup, "k_mix": KMix}
OTHERS = ("mix_back", "normalise", "post_normalise")
KNOWN = (*OTHERS, *AUGMENTATIONS, *BANKS)


class Policy(nnx.Module):
    """Augments and normalises a batch of views.

    Attributes:
      order: Names, in the order in which they run.
      settings: Of each, besides those with state.
      banks: Those with state, by name.
      normaliser: Also what an encoder is judged with (see `normalise`).
    """

    def __init__(
        self,
        order: tuple[str, ...],
        settings: Mapping[str, Any],
        normaliser: Any,
        banks: dict[str, Any],
    ):
        self.order, self.settings = order, settings
        self.normaliser, self.banks = normaliser, nnx.Dict(banks)

    @property
    def backgrounds(self) -> bool:
        """Whether it needs views of other clips."""
        return "mix_back" in self.order

    @property
    def augments(self) -> bool:
        """Whether it does more than normalise."""
        return self.order != ("normalise",)

    def normalise(self, mel: Mel) -> Mel:
        """Brings log-mels as they come from the shards to the scale the encoder expects."""
        return self.normaliser(mel)

    def __call__(
        self, key: RngKey, views: Views, background: Float[Array, "..."] | None = None
    ) -> Views:
        """Runs the policy; lambda of mix-back alone is shared by a clip's views.

        Args:
          key: Of all draws; equal keys give equal views.
          views: Log-mels.
          background: Views of other clips, needed when the policy mixes them.
        """
        for index, name in enumerate(self.order):
            k = jax.random.fold_in(key, index)
            if name == "mix_back":
                if background is None:
                    raise ValueError("mix_back needs backgrounds: Sampling(backgrounds=True)")
                views = mix_back(k, views, background, **self.settings[name])
            elif name == "normalise":
                views = self.normaliser.in_training(views)
            elif name == "post_normalise":
                views = post_normalise(k, views)
            elif name in self.banks:
                views = self.banks[name](k, views)
            else:
                flat = views.reshape(-1, *views.shape[2:])
                flat = AUGMENTATIONS[name](k, flat, **self.settings[name])
                views = flat.reshape(views.shape)
        return views


def build_policy(
    config: Mapping[str, Any],
    *,
    statistics: tuple[float, float] = (0.0, 1.0),
    frames: int = 0,
    mels: int = 0,
    log: str = "log10",
) -> Policy:
    """Builds a policy from `{"order": "crop,noise,normalise", name: settings...}`.

    Args:
      config: As `configs.common.augment`; what `order` leaves out does not run.
      statistics: Of the training mels.
      frames: Of a view, for those with a bank.
      mels: Bands of a view, for those with a bank.
      log: What the mels are, for mix_back; see `FeatureSpec.log`.

    Raises:
      ValueError: A name is unknown (the nearest ones are named), twice there, or normalise lacks.
    """
    order = tuple(name.strip() for name in config["order"].split(",") if name.strip())
    if unknown := [name for name in order if name not in KNOWN]:
        near = difflib.get_close_matches(unknown[0], KNOWN) or list(KNOWN)
        raise ValueError(f"augment.order must name {', '.join(KNOWN)}, got {unknown}; near: {near}")
    if len(set(order)) < len(order) or "normalise" not in order:
        raise ValueError(f"augment.order must name each once and normalise too, got {order}")
    settings = {name: dict(config.get(name, {})) for name in order}
    chosen: dict[str, Any] = {"by": "dataset"} | settings["normalise"]
    normaliser = build_normaliser(**chosen, statistics=statistics)
    banks = {n: BANKS[n](frames=frames, mels=mels, **settings[n]) for n in order if n in BANKS}
    plain = {n: settings[n] for n in order if n in AUGMENTATIONS or n == "mix_back"}
    if "mix_back" in plain:
        plain["mix_back"]["log"] = log
    return Policy(order, plain, normaliser, banks)
