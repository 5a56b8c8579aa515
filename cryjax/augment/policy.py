"""A policy: which augmentations run, in which order, each under its own random key."""

import dataclasses
import difflib
from collections.abc import Callable
from typing import Any

import jax
from flax import nnx

from cryjax.augment.bank import KMix, LogMixup
from cryjax.augment.crop import random_resized_crop
from cryjax.augment.mask import spec_augment
from cryjax.augment.mix import mix_back
from cryjax.augment.noise import compress, gaussian_noise, linear_fader
from cryjax.augment.normalise import (
    NormaliseSettings,
    PatchMean,
    Standardise,
    build_normaliser,
    post_normalise,
)
from cryjax.augment.resize import byola_resize_crop, time_warp
from cryjax.augment.shift import blur, frequency_shift, time_reversal, time_shift
from cryjax.augment.steps import Context, MixBack, Normalise, PatchInfo, PerPatch, PostNormalise
from cryjax.errors import UserError
from cryjax.settings import keyword_settings
from cryjax.types import Mel, RngKey, Views

# augmentations of each patch on its own, by the name of their function
PER_PATCH: dict[str, Callable[..., Mel]] = {
    "time_shift": time_shift,
    "frequency_shift": frequency_shift,
    "random_resized_crop": random_resized_crop,
    "byola_resize_crop": byola_resize_crop,
    "time_reversal": time_reversal,
    "time_warp": time_warp,
    "compress": compress,
    "spec_augment": spec_augment,
    "gaussian_noise": gaussian_noise,
    "blur": blur,
    "linear_fader": linear_fader,
}
# augmentations with a bank of past patches as their state
BANKS: dict[str, type[Any]] = {"log_mixup": LogMixup, "k_mix": KMix}
# augmentations that move content instead of changing it; see `Policy.geometry`
GEOMETRIC = (
    "time_shift",
    "frequency_shift",
    "random_resized_crop",
    "byola_resize_crop",
    "time_reversal",
    "time_warp",
)
AUGMENTATIONS = ("mix_back", "normalise", "post_normalise", *PER_PATCH, *BANKS)


def _settings_of_each() -> Any:
    """Collects the keyword arguments of all augmentations; their defaults are in the signatures."""
    kinds = {"mix_back": keyword_settings(mix_back, "mix_back", without=("log",))}
    kinds |= {name: keyword_settings(f, name) for name, f in (PER_PATCH | BANKS).items()}
    fields = [(n, kind, dataclasses.field(default_factory=kind)) for n, kind in kinds.items()]
    return dataclasses.make_dataclass("SettingsOfEach", fields, frozen=True)


@dataclasses.dataclass(frozen=True)
class AugmentSettings(_settings_of_each()):
    """What runs and in which order.

    All further fields are the keyword arguments of the augmentation of their name.

    Attributes:
      order: Names of augmentations in the order in which they run; what it leaves out is off. The
        default is the policy of Fonseca et al. 2021.
      normalise: How log-mels are normalised.
    """

    order: tuple[str, ...] = (
        "mix_back",
        "random_resized_crop",
        "compress",
        "gaussian_noise",
        "normalise",
    )
    normalise: NormaliseSettings = NormaliseSettings()

    def __post_init__(self):
        if unknown := [name for name in self.order if name not in AUGMENTATIONS]:
            near = difflib.get_close_matches(unknown[0], AUGMENTATIONS) or list(AUGMENTATIONS)
            raise UserError(
                f"augment.order must name {', '.join(AUGMENTATIONS)}, got {unknown}; nearest: "
                f"{', '.join(near)}"
            )
        if len(set(self.order)) < len(self.order) or "normalise" not in self.order:
            raise UserError(
                f"augment.order must name each step once, and normalise, got {','.join(self.order)}"
            )


class Policy(nnx.Module):
    """Augments and normalises a batch of views.

    Attributes:
      order: Names of the steps.
      steps: The steps, each a function `step(key, views, context) -> views`.
    """

    def __init__(self, order: tuple[str, ...], steps: list[Any]):
        self.order, self.steps = order, nnx.List(steps)

    @property
    def needs_backgrounds(self) -> bool:
        """Whether it mixes views of other clips into each view."""
        return "mix_back" in self.order

    @property
    def augments(self) -> bool:
        """Whether it does more than normalise."""
        return self.order != ("normalise",)

    @property
    def normaliser(self) -> Any:
        """What an encoder's input is brought to its scale with."""
        return self.steps[self.order.index("normalise")].normaliser

    def step(self, name: str) -> Any:
        """Returns a step by its name; None where the policy does not have it."""
        return self.steps[self.order.index(name)] if name in self.order else None

    def normalise(self, mel: Mel) -> Mel:
        """Brings (batch, time, mel) log-mels as stored to the scale that the encoder expects."""
        return self.normaliser(mel)

    def __call__(self, key: RngKey, views: Views, backgrounds: Views | None = None) -> Views:
        """Runs all steps.

        Args:
          key: Key of all draws; equal keys give equal views.
          views: (batch, views, time, mel) log-mels as stored.
          backgrounds: Views of other clips, of the same shape; needed where mix_back runs.
        """
        return self._run(key, views, Context(backgrounds), self.order)

    def geometry(self, key: RngKey, views: Views) -> Views:
        """Runs only the steps that move content, drawing as `__call__` does, and normalises."""
        return self._run(key, views, Context(None), (*GEOMETRIC, "normalise"))

    def _run(self, key: RngKey, views: Views, context: Context, names: tuple[str, ...]) -> Views:
        for index, (name, step) in enumerate(zip(self.order, self.steps, strict=True)):
            if name in names:
                views = step(jax.random.fold_in(key, index), views, context)
        return views


def fit_banks(policy: Policy, patches: Mel, statistics: tuple[float, float], *, seed: int) -> None:
    """Fits what has to be known before the first step: the clusters of k-mix, where it runs.

    A running normaliser knows nothing yet; the training set's statistics stand in for it.

    Args:
      policy: Fitted in place.
      patches: (patches, time, mel) random log-mel patches as stored.
      statistics: Mean and standard deviation of the training log-mels.
      seed: Seed of k-means.

    Raises:
      UserError: The policy normalises each patch by its own mean, after which all time-averages
        are zero and cannot be clustered.
    """
    k_mix = policy.step("k_mix")
    if k_mix is None:
        return
    if k_mix.space == "raw":
        return k_mix.fit(patches.mean(axis=1), seed=seed)
    if isinstance(policy.normaliser, PatchMean):
        raise UserError(
            "k_mix cannot cluster what normalise.by=patch_mean leaves: set "
            "augment.k_mix.space=raw, or another augment.normalise.by"
        )
    return k_mix.fit(Standardise(*statistics)(patches).mean(axis=1), seed=seed)


def build_policy(
    settings: AugmentSettings, patch: PatchInfo, *, evaluating: bool = False
) -> Policy:
    """Builds a policy.

    Args:
      settings: What runs and in which order.
      patch: What the patches are.
      evaluating: Normalises by the training set where training normalised by the stream.
    """
    steps = [_build_step(name, settings, patch, evaluating) for name in settings.order]
    return Policy(settings.order, steps)


def _build_step(name: str, settings: AugmentSettings, patch: PatchInfo, evaluating: bool) -> Any:
    if name == "normalise":
        return Normalise(build_normaliser(settings.normalise, patch.statistics, evaluating))
    if name == "post_normalise":
        return PostNormalise(post_normalise)
    chosen = dataclasses.asdict(getattr(settings, name))
    if name == "mix_back":
        return MixBack(mix_back, log=patch.log, **chosen)
    if name in BANKS:
        return BANKS[name](frames=patch.frames, mels=patch.mels, **chosen)
    return PerPatch(PER_PATCH[name], **chosen)
