"""Prints the encoders: python -m cryjax.models [--frames=101] [--mels=96]."""

import argparse
import math
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

from cryjax.models import ENCODERS, build_encoder, settings_of
from cryjax.models.layers import in_eval_mode


def multiply_adds(function, *args) -> int:
    """Multiplications of a function's convolutions and matrix products, by its jaxpr."""

    def count(jaxpr) -> int:
        total = 0
        for eqn in jaxpr.eqns:
            out = math.prod(eqn.outvars[0].aval.shape)
            if eqn.primitive.name == "conv_general_dilated":
                kernel = eqn.invars[1].aval.shape
                features = kernel[eqn.params["dimension_numbers"].rhs_spec[0]]
                total += out * math.prod(kernel) // features
            elif eqn.primitive.name == "dot_general":
                (contracted, _), _ = eqn.params["dimension_numbers"]
                total += out * math.prod(eqn.invars[0].aval.shape[i] for i in contracted)
            inner = (getattr(p, "jaxpr", p) for p in eqn.params.values())
            total += sum(count(p) for p in inner if hasattr(p, "eqns"))
        return total

    return count(jax.make_jaxpr(function)(*args).jaxpr)


def describe(name: str, shape: tuple[int, int], **settings: Any) -> tuple[int, int, int]:
    """Parameters, features and multiply-adds of one (frames, mels) patch; nothing is allocated."""
    abstract = nnx.eval_shape(lambda: build_encoder(name, shape[1], **settings, rngs=nnx.Rngs(0)))
    graphdef, state = nnx.split(in_eval_mode(abstract))
    parameters = sum(math.prod(x.shape) for x in jax.tree.leaves(nnx.state(abstract, nnx.Param)))
    mel = jax.ShapeDtypeStruct((1, *shape), jnp.float32)
    encode = lambda state, mel: nnx.merge(graphdef, state)(mel)  # noqa: E731
    return parameters, abstract.features, multiply_adds(encode, state, mel)


def main() -> None:
    """Prints one line an encoder."""
    parser = argparse.ArgumentParser(description="Encoders and what they cost.")
    parser.add_argument("--frames", type=int, default=101, help="frames of a patch")
    parser.add_argument("--mels", type=int, default=96, help="mel bands")
    args = parser.parse_args()
    print(f"one patch of {args.frames} frames x {args.mels} mels")
    print(f"{'encoder':16}{'parameters':>14}{'features':>10}{'multiply-adds':>16}")
    for name in ENCODERS:
        fixed = {"frames": args.frames} if "frames" in settings_of(name) else {}
        parameters, features, work = describe(name, (args.frames, args.mels), **fixed)
        print(f"{name:16}{parameters:>14,}{features:>10}{work / 1e6:>14,.1f} M")


if __name__ == "__main__":
    main()
