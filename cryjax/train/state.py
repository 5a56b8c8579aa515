"""The one train step: pure arrays in, pure arrays out, whatever the objective."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from flax import nnx
from jaxtyping import Array, Int

from cryjax.types import Batch, Metrics, RngKey


class TrainState(NamedTuple):
    """All that a checkpoint holds, as arrays; the static rest is the `graphdef`.

    Attributes:
      step: Updates made so far.
      params: What the optimiser trains.
      rest: Every other variable: frozen parameters, batch statistics, a teacher, a queue.
      opt_state: Of optax, over `params`.
    """

    step: Int[Array, ""]
    params: Any
    rest: Any
    opt_state: Any


def merge_trees(first: dict, second: dict) -> dict:
    """Two nested dictionaries as one: a module's arrays may be split over both."""
    both = {**first, **second}
    for key in first.keys() & second.keys():
        both[key] = merge_trees(first[key], second[key])
    return both


Step = Callable[[TrainState, Batch, RngKey], tuple[TrainState, Metrics]]


def create(
    objective: Any, tx: optax.GradientTransformation, trainable: Any = nnx.Param
) -> tuple[Any, TrainState]:
    """Splits an objective into its static structure and its arrays.

    Args:
      objective: See `cryjax.objectives.base.Objective`.
      tx: Optimiser, schedule included.
      trainable: NNX filter of the variables to train.

    Returns:
      The structure, to close over, and the state, to thread through the steps.
    """
    graphdef, params, rest = nnx.split(objective, trainable, ...)
    params, rest = nnx.to_pure_dict(params), nnx.to_pure_dict(rest)
    return graphdef, TrainState(jnp.zeros((), jnp.int32), params, rest, tx.init(params))


def make_step(graphdef: Any, tx: optax.GradientTransformation, trainable: Any = nnx.Param) -> Step:
    """Builds the jitted update; `trainable` must be the filter given to `create`."""

    def untrained(objective):
        return nnx.to_pure_dict(nnx.state(objective, nnx.Not(trainable)))

    def step(state: TrainState, batch: Batch, key: RngKey) -> tuple[TrainState, Metrics]:
        key = jax.random.fold_in(key, state.step)

        def loss_fn(params):
            objective = nnx.merge(graphdef, params, state.rest)
            loss, metrics = objective.loss(batch, key)
            return loss, (metrics, untrained(objective))

        value_and_grad = jax.value_and_grad(loss_fn, has_aux=True)
        (loss, (metrics, rest)), grads = value_and_grad(state.params)
        updates, opt_state = tx.update(grads, state.opt_state, state.params)
        params = optax.apply_updates(state.params, updates)

        objective = nnx.merge(graphdef, params, rest)
        objective.after_update(state.step)
        new = TrainState(state.step + 1, params, untrained(objective), opt_state)
        return new, {"loss": loss, "grad_norm": optax.tree.norm(grads), **metrics}

    return jax.jit(step, donate_argnums=0)
