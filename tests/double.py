"""Objectives in float64, where two orders of summation give the same numbers."""

import jax
import jax.numpy as jnp
from flax import nnx

from cryjax.models.compute import ComputeSettings, set_compute


def in_float64(objective):
    """The same objective in double precision; needs x64, and "float64" among `compute.DTYPES`."""
    graphdef, state = nnx.split(objective)
    wide = jax.tree.map(lambda x: x.astype(jnp.float64) if x.dtype == jnp.float32 else x, state)
    objective = nnx.merge(graphdef, wide)
    set_compute(objective, ComputeSettings(dtype="float64"))
    return objective
