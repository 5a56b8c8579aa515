"""How an encoder computes: number format, and what the backward pass computes again."""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

from cryjax.errors import UserError

DTYPES = {"float32": jnp.float32, "bfloat16": jnp.bfloat16}


def rematerialised(call: Callable) -> Callable:
    """Wraps a block's call so that its backward pass repeats the forward pass if `self.remat`.

    Only the block's input is kept then, and nothing within the block.
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


@dataclasses.dataclass(frozen=True)
class ComputeSettings:
    """How an encoder computes.

    Attributes:
      dtype: Number format of activations: "float32" or "bfloat16".
      remat: Whether the outermost blocks are computed again in the backward pass, to save memory.
    """

    dtype: str = "float32"
    remat: bool = False

    def __post_init__(self):
        if self.dtype not in DTYPES:
            raise UserError(f"compute.dtype must be one of {', '.join(DTYPES)}, got {self.dtype!r}")


def set_compute(encoder: Any, settings: ComputeSettings) -> None:
    """Sets how an encoder computes; its parameters and statistics stay float32.

    Args:
      encoder: Convolutions, dense layers and batch normalisation compute in the given number
        format; recurrent layers and everything behind the encoder stay in float32.
      settings: Number format and rematerialisation.

    Raises:
      UserError: The encoder has no blocks to rematerialise.
    """
    parts: dict[Any, Any] = dict(nnx.iter_modules(encoder))
    for part in parts.values():
        if hasattr(part, "dtype"):
            part.dtype = DTYPES[settings.dtype]
    if not settings.remat:
        return
    blocks = [path for path, part in parts.items() if hasattr(part, "remat")]
    outer = [p for p in blocks if not any(p[:n] in blocks for n in range(len(p)))]
    if not outer:
        raise UserError(f"compute.remat: {type(encoder).__name__} has no blocks to compute again")
    for path in outer:
        parts[path].remat = True
