"""Optimisers and learning-rate schedules."""

import dataclasses
from typing import Any

import jax
import numpy as np
import optax

from cryjax.errors import UserError

RULES = ("sgd", "adamw", "lars")
SCHEDULES = ("constant", "step", "cosine")
DECAYS = ("all", "kernels")


@dataclasses.dataclass(frozen=True)
class OptimSettings:
    """An optimiser and its schedule.

    Attributes:
      name: "sgd", "adamw" or "lars".
      learning_rate: Highest learning rate.
      momentum: Momentum of SGD and LARS.
      weight_decay: Added to the gradient by SGD and LARS (coupled), decoupled for AdamW.
      decay: Which parameters decay: "all", as the sources do, or "kernels" alone.
      schedule: "constant", "step" (times 0.1 at each boundary) or "cosine" (down to `final`).
      boundaries: Boundaries of "step" as shares of the run; 325/500 and 425/500 epochs in Fonseca
        et al. 2021.
      final: Learning rate at the end of the cosine.
      warmup: Share of the run with a linear rise from zero that peaks at its last step.
      clip: Longest gradient; None does not clip.
      constant: Top-level part of the model whose rate stays at the peak, such as "predictor".
      encoder_rate: Factor on the encoder's updates; 0.1 moves a pre-trained encoder slowly.
    """

    name: str = "sgd"
    learning_rate: float = 0.03
    momentum: float = 0.9
    weight_decay: float = 1e-4
    decay: str = "all"
    schedule: str = "step"
    boundaries: tuple[float, ...] = (0.65, 0.85)
    final: float = 0.0
    warmup: float = 0.0
    clip: float | None = None
    constant: str | None = None
    encoder_rate: float = 1.0

    def __post_init__(self):
        for field, known in (("name", RULES), ("schedule", SCHEDULES), ("decay", DECAYS)):
            if getattr(self, field) not in known:
                raise UserError(
                    f"optim.{field} must be one of {', '.join(known)}, got {getattr(self, field)!r}"
                )


def make_schedule(settings: OptimSettings, steps: int) -> optax.Schedule:
    """Makes the learning rate by step of a run of this many steps."""
    peak, warm = settings.learning_rate, round(settings.warmup * steps)
    if settings.schedule == "constant":
        main = optax.constant_schedule(peak)
    elif settings.schedule == "cosine":
        alpha = settings.final / peak if peak else 0.0
        main = optax.cosine_decay_schedule(peak, max(steps - warm, 1), alpha)
    else:
        drops = {max(round(b * steps) - warm, 1): 0.1 for b in settings.boundaries}
        main = optax.piecewise_constant_schedule(peak, drops)
    if not warm:
        return main
    rise = optax.linear_schedule(0.0, peak, max(warm - 1, 1))
    return optax.join_schedules([rise, main], [warm])


def describe_extension(settings: OptimSettings, old: int, new: int, step: int) -> str:
    """Says what the schedule, which depends on the length, does to a run that is extended.

    Args:
      settings: Optimiser and schedule.
      old: Length in steps that the run had before.
      new: Its length now.
      step: Number of updates so far.
    """
    before, after = (float(np.asarray(make_schedule(settings, n)(step))) for n in (old, new))
    return (
        f"extended from {old} to {new} steps: the {settings.schedule} schedule is that of the "
        f"longer run, the learning rate at step {step} goes from {before:.3g} to {after:.3g}"
    )


def _decay_mask(settings: OptimSettings) -> Any:
    if settings.decay == "all":
        return True
    return lambda params: jax.tree.map(lambda p: p.ndim > 1, params)


def _scale_encoder(rate: float) -> optax.GradientTransformation:
    """Multiplies the updates of the top-level part "encoder"."""

    def scale(updates, _):
        return {
            key: jax.tree.map(lambda u: u * rate, value) if key == "encoder" else value
            for key, value in updates.items()
        }

    return optax.stateless(scale)


def _rule(settings: OptimSettings, rate: optax.Schedule) -> optax.GradientTransformation:
    """Makes the optimiser proper."""
    mask, decay, momentum = _decay_mask(settings), settings.weight_decay, settings.momentum
    if settings.name == "sgd":
        coupled = optax.add_decayed_weights(decay, mask)
        return optax.chain(coupled, optax.sgd(rate, momentum=momentum))
    if settings.name == "adamw":
        return optax.adamw(rate, weight_decay=decay, mask=mask)
    return optax.lars(rate, decay, mask, trust_ratio_mask=mask, momentum=momentum)


def build_optimiser(settings: OptimSettings, steps: int) -> optax.GradientTransformation:
    """Builds the optimiser of a run of this many steps."""
    tx = _rule(settings, make_schedule(settings, steps))
    if settings.constant:
        peak = optax.constant_schedule(settings.learning_rate)
        rules: dict[Any, Any] = {"scheduled": tx, "constant": _rule(settings, peak)}

        def labels(params):
            kind = lambda key: "constant" if key == settings.constant else "scheduled"  # noqa: E731
            return {k: jax.tree.map(lambda _: kind(k), v) for k, v in params.items()}  # noqa: B023

        tx = optax.partition(rules, labels)
    if settings.clip:
        tx = optax.chain(optax.clip_by_global_norm(settings.clip), tx)
    if settings.encoder_rate == 1.0:
        return tx
    return optax.chain(tx, _scale_encoder(settings.encoder_rate))
