"""Encoders against activations, statistics and gradients of the original modules."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from torch_names import PROJECTOR, fill, nchw, resnet_recipe, vgg_names

from cryjax.models import CNN14, EncoderSettings, ResNet18, VGGLike, build_encoder, layers
from cryjax.models.__main__ import describe
from cryjax.models.heads import Projector
from cryjax.models.layers import in_eval_mode


def test_vgg_with_its_released_weights(golden):
    g, weights = golden("uclser_vgg"), golden("uclser_vgg_weights")
    encoder, projector = VGGLike(96, rngs=nnx.Rngs(0)), Projector(512, rngs=nnx.Rngs(0))
    fill(encoder, weights, vgg_names())
    fill(projector, weights, PROJECTOR)
    h = in_eval_mode(encoder)(nchw(g["input"]))
    np.testing.assert_allclose(h, g["h"], rtol=1e-4, atol=1e-4)
    z = in_eval_mode(projector)(jnp.asarray(g["h"]))
    np.testing.assert_allclose(z, g["proj_unnormalised"], rtol=1e-4, atol=1e-4)
    x = nchw(g["input"])[:1, ..., None]
    for i, conv in enumerate(in_eval_mode(encoder).convs):
        x = conv(x)
        x = nnx.max_pool(x, (2, 2), strides=(2, 2)) if i in (2, 4, 5) else x
        if f"act0_conv{i}" in g:
            want = g[f"act0_conv{i}"].transpose(1, 2, 0)
            np.testing.assert_allclose(x[0], want, rtol=1e-3, atol=1e-3 * np.abs(want).max())


@pytest.mark.slow
def test_resnet18_equals_the_original_arithmetic(golden):
    g = golden("uclser_resnet18")
    encoder = ResNet18(96, rngs=nnx.Rngs(0))
    weights, names = resnet_recipe()
    fill(encoder, weights, names)
    h = in_eval_mode(encoder)(nchw(g["input"]))
    np.testing.assert_allclose(h, g["h"], rtol=1e-3, atol=1e-3 * np.abs(g["h"]).max())


def cnn14(g):
    encoder = CNN14(64, widths=g["meta/widths"].tolist(), dropout=0.0, rngs=nnx.Rngs(0))
    names = {"norm": "w/bn0"}
    for i in range(12):
        names[f"convs.{i}.conv"] = f"w/block{i // 2 + 1}.conv{i % 2 + 1}"
        names[f"convs.{i}.norm"] = f"w/block{i // 2 + 1}.bn{i % 2 + 1}"
    fill(encoder, g, names)
    return encoder, names


@pytest.mark.slow
def test_cnn14_in_eval(golden):
    g = golden("cnn14_small")
    encoder, _ = cnn14(g)
    for name in ("x101", "x200"):
        h = in_eval_mode(encoder)(nchw(g[f"in/{name}"]))
        np.testing.assert_allclose(h, g[f"eval/{name}/embedding"], rtol=1e-4, atol=1e-4)


@pytest.mark.slow
def test_cnn14_in_training_with_statistics_and_gradients(golden):
    g = golden("cnn14_small")
    encoder, names = cnn14(g)
    graphdef, params, rest = nnx.split(encoder, nnx.Param, ...)
    params, rest = nnx.to_pure_dict(params), nnx.to_pure_dict(rest)

    def loss(params, mel):
        model = nnx.merge(graphdef, params, rest)
        h = model(mel)
        return (h * g["train/G"]).sum(), (h, nnx.to_pure_dict(nnx.state(model, nnx.BatchStat)))

    grad = jax.jit(jax.value_and_grad(loss, argnums=(0, 1), has_aux=True))
    (value, (h, stats)), (grads, d_mel) = grad(params, nchw(g["in/x101"]))
    np.testing.assert_allclose(h, g["train/x101/embedding"], atol=1e-3)
    np.testing.assert_allclose(value, g["train/loss"], rtol=1e-3)
    scale = np.abs(g["train/grad/input"]).max()
    np.testing.assert_allclose(d_mel, nchw(g["train/grad/input"]), atol=2e-3 * scale)
    for ours, theirs in names.items():
        here = theirs.removeprefix("w/")
        check_grads(grads, ours, g, f"train/grad/{here}")
        if "norm" in ours:
            check_statistics(get(stats, ours), g, here)


def get(tree, path):
    for key in path.split("."):
        tree = tree[int(key) if key.isdigit() else key]
    return tree


def check_grads(grads, ours, g, theirs):
    for name, wanted in (("kernel", "weight"), ("scale", "weight"), ("bias", "bias")):
        node = get(grads, ours)
        if name in node and f"{theirs}.{wanted}" in g:
            want = g[f"{theirs}.{wanted}"]
            want = want.transpose(2, 3, 1, 0) if want.ndim == 4 else want
            atol = 3e-3 * np.abs(want).max()
            np.testing.assert_allclose(node[name], want, atol=atol, err_msg=theirs)


def check_statistics(node, g, name):
    old, new = g[f"w/{name}.running_var"], g[f"train/stats/{name}.running_var"]
    np.testing.assert_allclose(node["mean"], g[f"train/stats/{name}.running_mean"], atol=1e-3)
    # torch keeps the unbiased variance, flax the biased one: n / (n - 1) apart
    n = positions(name)
    biased = 0.9 * old + (new - 0.9 * old) * (n - 1) / n
    np.testing.assert_allclose(node["var"], biased, rtol=2e-3, atol=1e-4)


def positions(name, frames=101, mels=64, batch=2):
    if name == "bn0":
        return batch * frames
    pooled = int(name[len("block")]) - 1
    return batch * (frames >> pooled) * (mels >> pooled)


@pytest.mark.parametrize(
    ("name", "mels", "parameters"),
    [("vgg", 96, 280_032), ("resnet18", 96, 11_170_240), ("cnn14", 80, 75_477_472)],
)
def test_parameters_are_those_of_the_papers(name, mels, parameters):
    assert describe(EncoderSettings(name), (101, mels))[0] == parameters


def test_multiply_adds_are_those_of_the_card():
    assert round(describe(EncoderSettings("cnn14"), (401, 80))[2] / 1e9, 1) == 9.6


@pytest.mark.parametrize(
    ("shape", "size", "stride"),
    [
        ((3, 2), 3, 1),
        ((4, 2), 3, 2),
        ((1, 1), 3, 1),
        ((16, 12), 3, 1),
        ((31, 26), 3, 2),
        ((40, 31), 7, 2),
        ((9, 9), 1, 2),
        ((5, 6), 3, 2),
        ((6, 7), 7, 2),
    ],
)
def test_convolution_and_its_gradients_are_xlas(shape, size, stride):
    keys = jax.random.split(jax.random.key(0), 3)
    x = jax.random.normal(keys[0], (8, *shape, 5))
    kernel = jax.random.normal(keys[1], (size, size, 5, 7))

    def by_xla(x, kernel):
        edges, dimensions = ((size // 2,) * 2,) * 2, ("NHWC", "HWIO", "NHWC")
        return jax.lax.conv_general_dilated(
            x, kernel, (stride, stride), edges, dimension_numbers=dimensions
        )

    outs = []
    for conv in (functools.partial(layers.convolve, stride=stride), by_xla):
        out, pull = jax.vjp(conv, x, kernel)
        outs.append((out, *pull(jax.random.normal(keys[2], out.shape))))
    for got, want in zip(*outs, strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-3)


def test_an_unknown_encoder_is_named():
    with pytest.raises(ValueError, match="encoder.name must be one of .* got 'vg'; nearest: vgg"):
        build_encoder(EncoderSettings("vg"), 96, rngs=nnx.Rngs(0))
