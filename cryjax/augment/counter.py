"""Cheap noise: a hash of each value's position, the same on one device and on many.

Threefry and the inverse error function cost more than the rest of a policy together. Augmentation
needs noise that is Gaussian to the eye and does not repeat, not a generator for statistics: the
bytes of a hash of (position, key) are added up, and a cubic gives the sum a Gaussian's kurtosis.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, UInt32

from cryjax.types import RngKey

MEAN, STD = 4 * 127.5, (4 * (256**2 - 1) / 12) ** 0.5  # of the sum of four bytes
EXCESS = -6 / 5 / 4  # kurtosis of four uniform values, against a Gaussian's
BENT = 0.997  # standard deviation after the cubic


def _mixed(x: UInt32[Array, "..."]) -> UInt32[Array, "..."]:
    """Applies Murmur3's 32-bit finaliser: every bit of the input moves every bit of the output."""
    x = (x ^ (x >> 16)) * jnp.uint32(0x85EBCA6B)
    x = (x ^ (x >> 13)) * jnp.uint32(0xC2B2AE35)
    return x ^ (x >> 16)


def cheap_normal(key: RngKey, shape: tuple[int, ...]) -> Float[Array, "..."]:
    """Draws nearly standard normal values, within 3.9 of zero; beyond 3 a third rarer.

    Args:
      key: Equal keys give equal values, whatever the devices.
      shape: Shape of the result, of fewer than 2^32 values.
    """
    first, second = jax.random.key_data(key).reshape(-1)[:2]
    at, stride = jnp.zeros(shape, jnp.uint32), 1
    for axis in reversed(range(len(shape))):
        at += jnp.uint32(stride) * jax.lax.broadcasted_iota(jnp.uint32, shape, axis)
        stride *= shape[axis]
    bits = _mixed(_mixed(at ^ first) + second)
    even = (bits & 0x00FF00FF) + ((bits >> 8) & 0x00FF00FF)
    x = (((even & 0xFFFF) + (even >> 16)).astype(jnp.float32) - MEAN) / STD
    return (x - EXCESS / 24 * (x**3 - 3 * x)) / BENT  # Cornish-Fisher
