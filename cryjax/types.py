"""Types of arrays and variables that cross module borders; shapes are spelt where they are used."""

from flax import nnx
from jaxtyping import Array, Float, Int, Key

Mel = Float[Array, "batch time mel"]
Views = Float[Array, "batch views time mel"]
Scalar = Float[Array, ""]
Count = Int[Array, ""]
RngKey = Key[Array, ""]
Metrics = dict[str, Scalar]
Batch = dict[str, Array]


class Constant(nnx.Variable):
    """A value that is set once, before training, and that no optimiser changes."""


class Buffer(nnx.Variable):
    """A value that a rule updates and not an optimiser: a teacher's weight, a queue, a counter."""
