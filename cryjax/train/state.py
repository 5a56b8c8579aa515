"""The one train step: pure arrays in, pure arrays out, whatever the objective."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from flax import nnx
from jax.sharding import Mesh
from jaxtyping import Array, Int

from cryjax.errors import UserError
from cryjax.train.mesh import gathered, split
from cryjax.types import Batch, Metrics, RngKey


class TrainState(NamedTuple):
    """All arrays of a training run, which a checkpoint holds; the static rest is the `graphdef`.

    Attributes:
      step: Number of updates so far.
      params: Parameters that the optimiser trains.
      rest: Every other variable: frozen parameters, batch statistics, a teacher, a queue.
      opt_state: State of the optimiser.
    """

    step: Int[Array, ""]
    params: Any
    rest: Any
    opt_state: Any


def merge_trees(first: dict, second: dict) -> dict:
    """Merges two nested dictionaries; a module's arrays may be divided between both."""
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
      objective: An `Objective`.
      tx: Optimiser, schedule included.
      trainable: NNX filter of the variables that are trained.

    Returns:
      The structure, to close over, and the state, to thread through the steps.
    """
    graphdef, params, rest = nnx.split(objective, trainable, ...)
    params, rest = nnx.to_pure_dict(params), nnx.to_pure_dict(rest)
    return graphdef, TrainState(jnp.zeros((), jnp.int32), params, rest, tx.init(params))


def _in_parts(value_and_grad: Callable, parts: int) -> Callable:
    """Averages loss and gradient over parts of a batch; statistics and queues see part by part.

    Each part takes every parts-th row, so that every device keeps its own rows. A contrastive loss
    sees the negatives of its part alone.
    """

    def accumulated(params, rest, batch, key):
        if any(len(x) % parts for x in batch.values()):
            raise UserError(f"batch_size must be a multiple of accumulate {parts}")
        dealt = {
            k: jnp.moveaxis(x.reshape(-1, parts, *x.shape[1:]), 1, 0) for k, x in batch.items()
        }

        def one(carry, given):
            (rest, total), (part, index) = carry, given
            found, grads = value_and_grad(params, rest, part, jax.random.fold_in(key, index))
            loss, (metrics, rest) = found
            return (rest, jax.tree.map(jnp.add, total, grads)), (loss, metrics)

        start = rest, jax.tree.map(jnp.zeros_like, params)
        (rest, total), seen = jax.lax.scan(one, start, (dealt, jnp.arange(parts)))
        loss, metrics = jax.tree.map(lambda x: x.mean(axis=0), seen)
        return (loss, (metrics, rest)), jax.tree.map(lambda x: x / parts, total)

    return accumulated


def make_step(
    graphdef: Any,
    tx: optax.GradientTransformation,
    trainable: Any = nnx.Param,
    *,
    accumulate: int = 1,
    mesh: Mesh | None = None,
) -> Step:
    """Builds the jitted update.

    An update whose loss or gradient is not finite changes nothing but the step's number; the metric
    "skipped" is 1 then.

    Args:
      graphdef: Structure from `create`.
      tx: Optimiser that was given to `create`.
      trainable: Filter that was given to `create`.
      accumulate: Number of parts of a batch whose gradients are computed one after another and
        averaged.
      mesh: Mesh whose second axis the state is split over by `shard_state`; None where every device
        holds all of it.

    Returns:
      A function of (state, batch, key) that returns the next state and metrics; the old state's
      buffers are donated.
    """

    def untrained(objective):
        return nnx.to_pure_dict(nnx.state(objective, nnx.Not(trainable)))

    def loss_fn(params, rest, batch, key):
        objective = nnx.merge(graphdef, *gathered((params, rest), mesh))
        loss, metrics = objective.loss(batch, key)
        return loss, (metrics, untrained(objective))

    whole = jax.value_and_grad(loss_fn, has_aux=True)

    def value_and_grad(*given):
        (loss, (metrics, rest)), grads = whole(*given)
        rest, grads = split((rest, grads), mesh)
        return (loss, (metrics, rest)), grads

    if accumulate > 1:
        value_and_grad = _in_parts(value_and_grad, accumulate)

    def step(state: TrainState, batch: Batch, key: RngKey) -> tuple[TrainState, Metrics]:
        key = jax.random.fold_in(key, state.step)
        (loss, (metrics, rest)), grads = value_and_grad(state.params, state.rest, batch, key)
        updates, opt_state = tx.update(grads, state.opt_state, state.params)
        params = optax.apply_updates(state.params, updates)
        objective = nnx.merge(graphdef, params, rest)
        objective.after_update(state.step)

        norm = optax.tree.norm(grads)
        finite = jnp.isfinite(loss) & jnp.isfinite(norm)
        new = params, untrained(objective), opt_state
        kept = jax.tree.map(lambda a, b: jnp.where(finite, a, b), new, tuple(state[1:]))
        skipped = 1.0 - finite.astype(jnp.float32)
        return TrainState(state.step + 1, *split(kept, mesh)), {
            "loss": loss,
            "grad_norm": norm,
            "skipped": skipped,
            **metrics,
        }

    return jax.jit(step, donate_argnums=0)
