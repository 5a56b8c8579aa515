"""Optimisers and schedules from plain settings."""

import dataclasses
from typing import Any

import jax
import optax

SCHEDULES = ("constant", "step", "cosine")
DECAYS = ("all", "kernels")


@dataclasses.dataclass(frozen=True)
class OptimSettings:
    """An optimiser and its schedule.

    Attributes:
      name: "sgd", "adamw" or "lars".
      learning_rate: Peak rate.
      momentum: Of SGD and LARS.
      weight_decay: For SGD and LARS added to the gradient (coupled), for AdamW decoupled.
      decay: "all" parameters (as the sources do) or "kernels" alone.
      schedule: "constant", "step" (times 0.1 at each boundary) or "cosine" (to zero).
      boundaries: Of "step", as shares of the run; uclser: 325/500 and 425/500 epochs.
      warmup: Share of the run with a linear rise from zero.
      encoder_rate: Factor on the updates of the encoder; 0.1 spares a pre-trained one.
    """

    name: str = "sgd"
    learning_rate: float = 0.03
    momentum: float = 0.9
    weight_decay: float = 1e-4
    decay: str = "all"
    schedule: str = "step"
    boundaries: tuple[float, ...] = (0.65, 0.85)
    warmup: float = 0.0
    encoder_rate: float = 1.0


def make_schedule(settings: OptimSettings, steps: int) -> optax.Schedule:
    """The learning rate by step."""
    peak, warm = settings.learning_rate, round(settings.warmup * steps)
    if settings.schedule == "constant":
        main = optax.constant_schedule(peak)
    elif settings.schedule == "cosine":
        main = optax.cosine_decay_schedule(peak, max(steps - warm, 1))
    elif settings.schedule == "step":
        drops = {max(round(b * steps) - warm, 1): 0.1 for b in settings.boundaries}
        main = optax.piecewise_constant_schedule(peak, drops)
    else:
        raise ValueError(f"schedule must be one of {SCHEDULES}, got {settings.schedule!r}")
    if not warm:
        return main
    return optax.join_schedules([optax.linear_schedule(0.0, peak, warm), main], [warm])


def _decay_mask(settings: OptimSettings) -> Any:
    if settings.decay not in DECAYS:
        raise ValueError(f"decay must be one of {DECAYS}, got {settings.decay!r}")
    if settings.decay == "all":
        return True
    return lambda params: jax.tree.map(lambda p: p.ndim > 1, params)


def _scale_encoder(rate: float) -> optax.GradientTransformation:
    """Multiplies the updates below the top-level key "encoder"."""

    def scale(updates, _):
        return {
            key: jax.tree.map(lambda u: u * rate, value) if key == "encoder" else value
            for key, value in updates.items()
        }

    return optax.stateless(scale)


def build_optimiser(settings: OptimSettings, steps: int) -> optax.GradientTransformation:
    """Builds the optimiser for a run of that many steps; a wrong name is refused."""
    rate, mask = make_schedule(settings, steps), _decay_mask(settings)
    decay, momentum = settings.weight_decay, settings.momentum
    if settings.name == "sgd":
        coupled = optax.add_decayed_weights(decay, mask)
        tx = optax.chain(coupled, optax.sgd(rate, momentum=momentum))
    elif settings.name == "adamw":
        tx = optax.adamw(rate, weight_decay=decay, mask=mask)
    elif settings.name == "lars":
        tx = optax.lars(rate, decay, mask, trust_ratio_mask=mask, momentum=momentum)
    else:
        raise ValueError(f"optim.name must be sgd, adamw or lars, got {settings.name!r}")
    if settings.encoder_rate == 1.0:
        return tx
    return optax.chain(tx, _scale_encoder(settings.encoder_rate))
