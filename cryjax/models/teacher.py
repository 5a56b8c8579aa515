"""A teacher: a copy of modules that follows them by moving averages, without gradients."""

from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

from cryjax.models.layers import Dropout
from cryjax.types import Buffer, Scalar


def frozen_copy(module: Any) -> Any:
    """Copies a module; its parameters become `Buffer`s, which no optimiser trains.

    Statistics are copied too and move on their own; dropout draws other masks than the original's.
    """

    def convert(_, variable):
        kind = Buffer if isinstance(variable, nnx.Param) else type(variable)
        return kind(jnp.copy(variable.get_value()))

    graphdef, state = nnx.split(module)
    copy = nnx.merge(graphdef, nnx.map_state(convert, state))
    for _, part in nnx.iter_modules(copy):
        if isinstance(part, Dropout):
            key = jax.random.fold_in(jax.random.wrap_key_data(part.key[...]), 1)
            part.key[...] = jax.random.key_data(key)
    return copy


def ema_update(teacher: Any, student: Any, *, decay: float | Scalar) -> None:
    """Moves every parameter in place, t <- decay t + (1 - decay) s; leaves statistics alone."""

    def towards(old, new):
        return decay * old + (1 - decay) * new

    params = nnx.to_pure_dict(nnx.state(student, nnx.Param))
    moved = nnx.state(teacher, Buffer)
    old = nnx.to_pure_dict(moved)
    nnx.update(teacher, jax.tree.map(towards, _matching(old, params), params))


def _matching(tree: dict, like: dict) -> dict:
    """Picks the part of a tree that has the keys of another."""
    return {
        key: _matching(tree[key], value) if isinstance(value, dict) else tree[key]
        for key, value in like.items()
    }
