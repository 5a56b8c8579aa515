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
      schedule: "constant", "step" (times 0.1 at each boundary) or "cosine" (to `final`).
      final: Rate at the end of the cosine.
      boundaries: Of "step", as shares of the run; uclser: 325/500 and 425/500 epochs.
      warmup: Share of the run with a linear rise from zero, the peak at its last step.
      clip: Longest gradient; 0 does not clip.
      constant: Part of the model whose rate stays at the peak, such as "predictor"; "" is none.
      encoder_rate: Factor on the updates of the encoder; 0.1 spares a pre-trained one.
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
    clip: float = 0.0
    constant: str = ""
    encoder_rate: float = 1.0


def make_schedule(settings: OptimSettings, steps: int) -> optax.Schedule:
    """The learning rate by step."""
    peak, warm = settings.learning_rate, round(settings.warmup * steps)
    if settings.schedule == "constant":
        main = optax.constant_schedule(peak)
    elif settings.schedule == "cosine":
        alpha = settings.final / peak if peak else 0.0
        main = optax.cosine_decay_schedule(peak, max(steps - warm, 1), alpha)
    elif settings.schedule == "step":
        drops = {max(round(b * steps) - warm, 1): 0.1 for b in settings.boundaries}
        main = optax.piecewise_constant_schedule(peak, drops)
    else:
        raise ValueError(f"schedule must be one of {SCHEDULES}, got {settings.schedule!r}")
    if not warm:
        return main
    rise = optax.linear_schedule(0.0, peak, max(warm - 1, 1))
    return optax.join_schedules([rise, main], [warm])


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


def _rule(settings: OptimSettings, rate: optax.Schedule) -> optax.GradientTransformation:
    """The optimiser proper; a wrong name is refused."""
    mask, decay, momentum = _decay_mask(settings), settings.weight_decay, settings.momentum
    if settings.name == "sgd":
        coupled = optax.add_decayed_weights(decay, mask)
        return optax.chain(coupled, optax.sgd(rate, momentum=momentum))
    if settings.name == "adamw":
        return optax.adamw(rate, weight_decay=decay, mask=mask)
    if settings.name == "lars":
        return optax.lars(rate, decay, mask, trust_ratio_mask=mask, momentum=momentum)
    raise ValueError(f"optim.name must be sgd, adamw or lars, got {settings.name!r}")


def build_optimiser(settings: OptimSettings, steps: int) -> optax.GradientTransformation:
    """Builds the optimiser for a run of that many steps."""
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
