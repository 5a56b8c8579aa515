"""A gated recurrent unit with the gates of torch, over whole sequences."""

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from cryjax.models.initializers import draw

Sequence = Float[Array, "batch time features"]


class GRU(nnx.Module):
    """One direction of a GRU layer (Cho et al. 2014, with the reset after the product).

    r, z = sigmoid(x W_i + b_i + h W_h + b_h); n = tanh(x W_in + b_in + r (h W_hn + b_hn));
    h' = (1 - z) n + z h; both biases exist, as in torch.

    Args:
      n_in: Length of a step's input.
      features: Length of the state.
      reverse: Whether it reads from the last step to the first.
      rngs: Generators of the weights.
    """

    def __init__(self, n_in: int, features: int, *, reverse: bool = False, rngs: nnx.Rngs):
        self.features, self.reverse = features, reverse

        def weights(*shape: int) -> nnx.Param:
            return nnx.Param(draw("uniform", rngs.params(), shape, features**-0.5))

        self.w_in, self.w_state = weights(n_in, 3 * features), weights(features, 3 * features)
        self.b_in, self.b_state = weights(3 * features), weights(3 * features)

    def __call__(self, x: Sequence) -> Float[Array, "batch time state"]:
        """Returns the state after every step, (batch, time, state)."""
        inputs = jnp.moveaxis(x @ self.w_in[...] + self.b_in[...][None, None], 1, 0)
        w, b = self.w_state[...], self.b_state[...][None]

        def step(h, given):
            r_in, z_in, n_in = jnp.split(given, 3, axis=-1)
            r_h, z_h, n_h = jnp.split(h @ w + b, 3, axis=-1)
            r, z = jax.nn.sigmoid(r_in + r_h), jax.nn.sigmoid(z_in + z_h)
            h = (1 - z) * jnp.tanh(n_in + r * n_h) + z * h
            return h, h

        start = jnp.zeros((x.shape[0], self.features), x.dtype)
        turned = jnp.flip(inputs, 0) if self.reverse else inputs
        states = jax.lax.scan(step, start, turned)[1]
        return jnp.moveaxis(jnp.flip(states, 0) if self.reverse else states, 0, 1)
