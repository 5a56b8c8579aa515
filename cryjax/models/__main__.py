"""Lists the encoders and their cost: python -m cryjax.models [--frames=101] [--mels=96]."""

import argparse
import math

import jax
import jax.numpy as jnp
from flax import nnx

from cryjax.models import ENCODERS, EncoderSettings, build_encoder
from cryjax.models.layers import in_eval_mode


def multiply_adds(function, *args) -> int:
    """Counts the multiplications of a function's convolutions and matrix products."""

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


def describe(settings: EncoderSettings, shape: tuple[int, int]) -> tuple[int, int, int]:
    """Counts parameters, features and multiply-adds of a (frames, mels) patch."""
    settings = settings.for_patches(shape[0])
    abstract = nnx.eval_shape(lambda: build_encoder(settings, shape[1], rngs=nnx.Rngs(0)))
    graphdef, state = nnx.split(in_eval_mode(abstract))
    parameters = sum(math.prod(x.shape) for x in jax.tree.leaves(nnx.state(abstract, nnx.Param)))
    mel = jax.ShapeDtypeStruct((1, *shape), jnp.float32)
    encode = lambda state, mel: nnx.merge(graphdef, state)(mel)  # noqa: E731
    return parameters, abstract.features, multiply_adds(encode, state, mel)


def main() -> None:
    """Prints one line for each encoder."""
    parser = argparse.ArgumentParser(description="Encoders and what they cost.")
    parser.add_argument("--frames", type=int, default=101, help="length of a patch in frames")
    parser.add_argument("--mels", type=int, default=96, help="number of mel bands")
    args = parser.parse_args()
    print(f"one patch of {args.frames} frames x {args.mels} mels")
    print(f"{'encoder':16}{'parameters':>14}{'features':>10}{'multiply-adds':>16}")
    for name in ENCODERS:
        parameters, features, work = describe(EncoderSettings(name), (args.frames, args.mels))
        print(f"{name:16}{parameters:>14,}{features:>10}{work / 1e6:>14,.1f} M")


if __name__ == "__main__":
    main()
