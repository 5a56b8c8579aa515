"""How an encoder computes, whatever it is: number format and what the backward pass makes again."""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

DTYPES = {"float32": jnp.float32, "bfloat16": jnp.bfloat16}


def rematerialised(call: Callable) -> Callable:
    """Lets the block's backward pass compute its forward pass again where `self.remat` is set.

    Only the block's input is kept, not what lies within.
    """

    @functools.wraps(call)
    def wrapped(self: Any, x: Any) -> Any:
        if not self.remat:
            return call(self, x)
        graphdef, state = nnx.split(self)

        def pure(arrays: Any, x: Any) -> Any:
            block = nnx.merge(graphdef, arrays)
            y = call(block, x)
            return y, nnx.to_pure_dict(nnx.state(block))

        y, arrays = jax.checkpoint(pure)(nnx.to_pure_dict(state), x)
        nnx.update(self, arrays)  # batch statistics move once, as without
        return y

    return wrapped


def set_compute(encoder: Any, *, dtype: str = "float32", remat: bool = False) -> None:
    """Chooses how an encoder computes; its parameters and statistics stay float32.

    Args:
      encoder: Convolutions, dense layers and batch normalisation compute in `dtype`; recurrent
        layers and everything behind the encoder stay in float32.
      dtype: "float32" or "bfloat16".
      remat: Whether the outermost blocks are computed again in the backward pass, to save memory.

    Raises:
      ValueError: The dtype is unknown, or the encoder has no blocks.
    """
    if dtype not in DTYPES:
        raise ValueError(f"compute.dtype must be one of {', '.join(DTYPES)}, got {dtype!r}")
    parts: dict[Any, Any] = dict(nnx.iter_modules(encoder))
    for part in parts.values():
        if hasattr(part, "dtype"):
            part.dtype = DTYPES[dtype]
    if not remat:
        return
    blocks = [path for path, part in parts.items() if hasattr(part, "remat")]
    outer = [p for p in blocks if not any(p[:n] in blocks for n in range(len(p)))]
    if not outer:
        raise ValueError(f"compute.remat: {type(encoder).__name__} has no blocks to compute again")
    for path in outer:
        parts[path].remat = True
