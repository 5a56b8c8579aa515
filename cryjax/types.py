"""Array types that cross module borders; shapes are spelt where they are used."""

from jaxtyping import Array, Float, Int, Key

Mel = Float[Array, "batch time mel"]
Views = Float[Array, "batch views time mel"]
Scalar = Float[Array, ""]
Count = Int[Array, ""]
RngKey = Key[Array, ""]
Metrics = dict[str, Scalar]
Batch = dict[str, Array]
