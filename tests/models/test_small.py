"""Encoders of few channels against PyTorch in float64: the parity that a clone can check alone."""

import re

import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from torch_names import fill, set_gru

from cryjax.models import EncoderSettings, build_encoder
from cryjax.models.layers import in_eval_mode

WIDTHS = {"vgg": 4, "resnet18": 4, "crnn": 8, "cnn14": 2}


def ours(theirs):
    """Our path of a module of benchmarks/peers.py, whose convolution and norm are 0 and 1."""
    path = re.sub(r"^blocks\.(\d)\.(\d)\.", lambda m: f"convs.{2 * int(m[1]) + int(m[2])}.", theirs)
    return re.sub(r"\.([01])$", lambda m: (".conv", ".norm")[int(m[1])], path)


def filled(golden, name):
    g = golden("encoders_small")
    weights = {k.removeprefix(f"{name}/w/"): g[k] for k in g if k.startswith(f"{name}/w/")}
    arrays = {k: v for k, v in weights.items() if not k.startswith("gru.")}
    x = jnp.asarray(g[f"{name}/x"])
    settings = EncoderSettings(name, width=WIDTHS[name])
    encoder = build_encoder(settings, x.shape[2], rngs=nnx.Rngs(0))
    fill(encoder, arrays, {ours(n): n for n in {k.rpartition(".")[0] for k in arrays}})
    if name == "crnn":
        for gru, suffix in ((encoder.forward, ""), (encoder.backward, "_reverse")):
            parts = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
            set_gru(gru, *(weights[f"gru.{part}_l0{suffix}"] for part in parts))
    return encoder, x, g


@pytest.mark.parametrize("name", WIDTHS)
def test_an_encoder_computes_what_torch_does(golden, name):
    encoder, x, g = filled(golden, name)
    for mode, network in (("eval", in_eval_mode(encoder)), ("train", encoder)):
        if f"{name}/{mode}" in g:
            want = g[f"{name}/{mode}"]
            atol = 2e-5 * np.abs(want).max()
            np.testing.assert_allclose(network(x), want, rtol=1e-4, atol=atol, err_msg=mode)
