"""The other encoders: golden activations, parameter counts of the papers, their own options."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from shell import OLDER_FUSIONS
from torch_names import PROJECTOR, fill, nchw, set_gru

from cryjax.errors import UserError
from cryjax.models import (
    CNN14,
    CNNGRU,
    CRNN,
    ENCODERS,
    AudioNTT,
    EncoderSettings,
    SimpleCNN,
    build_encoder,
    recurrent,
)
from cryjax.models.__main__ import describe
from cryjax.models.heads import Classifier, CosineClassifier, Projector
from cryjax.models.layers import Dropout, in_eval_mode
from cryjax.models.teacher import ema_update, frozen_copy
from cryjax.train.variables import trainable
from cryjax.types import Buffer


def test_crnn_with_its_released_weights(golden):
    g, weights = golden("uclser_crnn"), golden("uclser_crnn_weights")
    encoder, projector = CRNN(96, rngs=nnx.Rngs(0)), Projector(64, rngs=nnx.Rngs(0))
    names = {}
    for i in range(3):
        names |= {f"convs.{i}.conv": f"conv{i + 1}.conv", f"convs.{i}.norm": f"conv{i + 1}.bn"}
    fill(encoder, weights, names)
    for gru, suffix in ((encoder.forward, ""), (encoder.backward, "_reverse")):
        parts = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
        set_gru(gru, *(weights[f"rnn1.{part}_l0{suffix}"] for part in parts))
    fill(projector, weights, PROJECTOR)
    h = in_eval_mode(encoder)(nchw(g["input"]))
    np.testing.assert_allclose(h, g["h"], rtol=1e-3, atol=1e-4)
    z = in_eval_mode(projector)(jnp.asarray(g["h"]))
    np.testing.assert_allclose(z, g["proj_unnormalised"], rtol=1e-3, atol=1e-4)


def audio_ntt(g, **settings):
    encoder: Any = AudioNTT(64, width=48, dropout=0.0, **settings, rngs=nnx.Rngs(0))
    for i in range(3):
        conv, norm = encoder.blocks[i].conv, encoder.blocks[i].norm
        for variable, value in (
            (conv.kernel, g[f"p_conv{i}_w"].transpose(3, 2, 1, 0)),  # time comes first here
            (conv.bias, g[f"p_conv{i}_b"]),
            (norm.scale, g[f"p_bn{i}_scale"]),
            (norm.bias, g[f"p_bn{i}_bias"]),
            (norm.mean, g[f"p_bn{i}_mean"]),
            (norm.var, g[f"p_bn{i}_var"]),
        ):
            assert variable.shape == value.shape
            variable[...] = jnp.asarray(value, jnp.float32)
    for layer, i in ((encoder.hidden, 0), (encoder.out, 1)):
        layer.kernel[...] = jnp.asarray(g[f"p_fc{i}_w"].T, jnp.float32)
        layer.bias[...] = jnp.asarray(g[f"p_fc{i}_b"], jnp.float32)
    return encoder


def time_first(x):
    return jnp.asarray(x, jnp.float32)[:, 0].transpose(0, 2, 1)


def close(got, want):
    np.testing.assert_allclose(got, want, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("frames", ["96", "101"])
def test_audio_ntt_in_eval_with_frames_taps_and_both_poolings(golden, frames):
    g = golden("audiontt_random")
    encoder, mel = in_eval_mode(audio_ntt(g)), time_first(g[f"x{frames}"])
    close(encoder.frames(mel), g[f"eval{frames}_frames"])
    close(encoder(mel), g[f"eval{frames}_max_plus_mean"])
    close(in_eval_mode(audio_ntt(g, pool="mean"))(mel), g[f"eval{frames}_mean"])
    h, taps = encoder.tapped(mel)
    close(h, g[f"eval{frames}_max_plus_mean"])
    assert encoder.tap_features == (2048, 1024, 512)
    for i, tap in enumerate(taps, 1):
        # ours are mel-major, channel-minor, like the original's flattening
        close(tap, g[f"eval{frames}_layer{i}"])


def test_audio_ntt_in_training_with_statistics(golden):
    g = golden("audiontt_random")
    encoder = audio_ntt(g)
    h, taps = encoder.tapped(time_first(g["x96"]))
    close(h, g["train96_max_plus_mean"])
    for i, tap in enumerate(taps):
        close(tap, g[f"train96_layer{i + 1}"])
        norm, n = encoder.blocks[i].norm, 3 * (96 >> i) * (64 >> i)
        close(norm.mean[...], g[f"train96_bn{i}_mean_after"])
        old, new = g[f"p_bn{i}_var"], g[f"train96_bn{i}_var_after"]
        close(norm.var[...], 0.9 * old + (new - 0.9 * old) * (n - 1) / n)  # ours is biased


def practical(seed, *shape, scale):
    return jnp.asarray(np.random.RandomState(seed).standard_normal(shape) * scale, jnp.float32)


@pytest.mark.slow
def test_simple_cnn_of_the_practical(golden):
    g = golden("practical_small")
    encoder: Any = SimpleCNN(128, rngs=nnx.Rngs(0))
    head: Any = Classifier(128, 2, rngs=nnx.Rngs(0))
    for variable, seed, shape, scale, axes in (
        (encoder.trunk.conv1.kernel, 10, (16, 1, 3, 3), 0.3, (3, 2, 1, 0)),
        (encoder.trunk.conv1.bias, 11, (16,), 0.1, (0,)),
        (encoder.trunk.conv2.kernel, 12, (32, 16, 3, 3), 0.08, (3, 2, 1, 0)),
        (encoder.trunk.conv2.bias, 13, (32,), 0.1, (0,)),
        (encoder.dense.kernel, 14, (128, 16384), 0.01, (1, 0)),
        (encoder.dense.bias, 15, (128,), 0.1, (0,)),
        (head.out.kernel, 16, (2, 128), 0.1, (1, 0)),
        (head.out.bias, 17, (2,), 0.1, (0,)),
    ):
        variable[...] = practical(seed, *shape, scale=scale).transpose(axes)
    mel = time_first(practical(18, 4, 1, 128, 64, scale=1.0))
    close(encoder.trunk(mel).sum(axis=(1, 3)), g["simplecnn_feat_sum_per_channel"])
    close(encoder(mel), g["simplecnn_hidden"])
    close(head(encoder(mel)), g["simplecnn_logits"])
    graphdef, params, rest = nnx.split(nnx.Sequential(encoder, head), nnx.Param, ...)

    def loss(params):
        logits = nnx.merge(graphdef, params, rest)(mel)
        return -jax.nn.log_softmax(logits)[jnp.arange(4), jnp.array([0, 1, 1, 0])].mean()

    value, grads = jax.value_and_grad(loss)(nnx.to_pure_dict(params))
    np.testing.assert_allclose(value, g["simplecnn_loss_y0110"], rtol=1e-5)
    trunk, dense, out = grads["layers"][0]["trunk"], grads["layers"][0]["dense"], grads["layers"][1]
    for got, name in (
        (trunk["conv1"]["kernel"].transpose(3, 2, 1, 0), "conv1.w"),
        (trunk["conv1"]["bias"], "conv1.b"),
        (trunk["conv2"]["bias"], "conv2.b"),
        (dense["bias"], "fc1.b"),
        (out["out"]["kernel"].T, "fc2.w"),
        (out["out"]["bias"], "fc2.b"),
    ):
        want = g[f"simplecnn_grad/{name}"]
        np.testing.assert_allclose(got, want, rtol=1e-3, atol=1e-4 * np.abs(want).max())
    for got, name in ((dense["kernel"], "fc1.w"), (trunk["conv2"]["kernel"], "conv2.w")):
        np.testing.assert_allclose(
            jnp.sqrt((got**2).sum()), g[f"simplecnn_grad_norm/{name}"], rtol=1e-3
        )
    with pytest.raises(ValueError, match="simple_cnn reads 64 frames, got 63"):
        encoder(mel[:, :63])


def test_the_gru_is_torchs_and_reads_backwards_too(golden):
    g = golden("practical_small")
    gru = recurrent.GRU(12, 7, rngs=nnx.Rngs(0))
    set_gru(gru, g["gru_w_ih"], g["gru_w_hh"], g["gru_b_ih"], g["gru_b_hh"])
    x = jnp.asarray(g["gru_x"], jnp.float32)
    close(gru(x), g["gru_out"])
    close(gru(x)[:, -1], g["gru_last"])
    gru.reverse = True
    close(gru(x[:, ::-1])[:, ::-1], g["gru_out"])


def test_cnn_gru_reads_channel_by_channel(golden):
    g = golden("practical_small")
    nchw_map = practical(25, 2, 32, 32, 16, scale=1.0)  # (N, C, F, T)
    ours = nchw_map.transpose(0, 3, 1, 2)  # what the trunk gives: (N, T, C, F)
    np.testing.assert_allclose(ours.reshape(2, 16, -1)[:, :3, :5], g["seq_from_cnn_first3"])
    for both, features in ((False, 64), (True, 128)):
        encoder = CNNGRU(32, bidirectional=both, rngs=nnx.Rngs(0))
        assert encoder(jnp.ones((2, 40, 32))).shape == (2, features) == (2, encoder.features)


@pytest.mark.parametrize(
    ("name", "settings", "mels", "parameters"),
    [
        ("crnn", {}, 96, 946_816),
        ("audio_ntt", {}, 64, 5_321_856),
        ("audio_ntt", {"width": 512}, 64, 600_192),
        ("simple_cnn", {}, 128, 2_102_338 - (128 * 2 + 2)),
        ("efficientnet_b0", {}, 64, 4_007_548 - 2 * 9 * 32),  # torchvision's, less two colours
        ("cnn14", {"tail": True}, 64, 75_477_472 - 2 * 16 + 2048 * 2049),
    ],
)
def test_parameters_are_those_of_the_cards(name, settings, mels, parameters):
    assert describe(EncoderSettings(name, **settings), (64, mels))[0] == parameters


def test_ubenwas_table_of_trainable_parameters():
    """The poster's numbers, part by part, beside what is really trained (card, section 1)."""
    encoder = nnx.eval_shape(lambda: CNN14(80, rngs=nnx.Rngs(0)))
    head = nnx.eval_shape(lambda: CosineClassifier(2048, 2, rngs=nnx.Rngs(0)))
    count = lambda m, kind=nnx.Param: sum(x.size for x in jax.tree.leaves(nnx.state(m, kind)))  # noqa: E731
    model = nnx.Dict(encoder=encoder, head=head)
    norms = count(model, trainable(model, "head_and_norms")) - count(head)
    assert (count(encoder), norms, count(head)) == (75_477_472, 16_288, 4_096)
    vggsound_head, residue = 308 * 2048, 4_098
    assert count(head) == 4_096
    assert norms + count(head) + residue == 24_482
    assert count(encoder) + vggsound_head + count(head) + residue == 76_116_450
    honest = (count(head), norms + count(head), count(encoder) + count(head))
    print("honest counts: linear, linear+BN, end-to-end:", *honest)
    assert honest == (4_096, 20_384, 75_481_568)


@pytest.mark.slow
def test_cnn14s_tail_and_dropout(golden):
    g = golden("cnn14_small")
    encoder = CNN14(64, widths=g["meta/widths"].tolist(), tail=True, rngs=nnx.Rngs(0))
    names = {"norm": "w/bn0", "tail": "w/fc1"}
    for i in range(12):
        names[f"convs.{i}.conv"] = f"w/block{i // 2 + 1}.conv{i % 2 + 1}"
        names[f"convs.{i}.norm"] = f"w/block{i // 2 + 1}.bn{i % 2 + 1}"
    fill(encoder, g, names)
    mel = nchw(g["in/x101"])
    still = nnx.jit(in_eval_mode(encoder))
    close(still(mel), g["eval/x101/panns_embedding"])
    head = CosineClassifier(64, 2, rngs=nnx.Rngs(0))
    head.kernel[...] = jnp.asarray(g["w/cos.weight"].T, jnp.float32)
    close(head(jnp.asarray(g["eval/x101/embedding"])), g["eval/x101/cosine_logits"])
    assert int(encoder.dropout.calls[...]) == 0
    assert np.abs(encoder(mel) - encoder(mel)).max() > 0


def test_dropout_draws_anew_scales_and_stops_in_eval_mode():
    drop = Dropout(0.25, rngs=nnx.Rngs(0))
    x = jnp.ones((100, 100))
    first, second = drop(x), drop(x)
    assert (first != second).any()
    assert int(drop.calls[...]) == 2
    np.testing.assert_allclose([first.mean(), (first == 0).mean()], [1, 0.25], atol=0.02)
    np.testing.assert_array_equal(in_eval_mode(drop)(x), x)
    with pytest.raises(ValueError, match=r"dropout must lie in \[0, 1\), got 1"):
        Dropout(1.0, rngs=nnx.Rngs(0))


def test_a_teacher_follows_without_being_trained():
    student = AudioNTT(16, width=8, rngs=nnx.Rngs(0))
    teacher = frozen_copy(student)
    assert not jax.tree.leaves(nnx.state(teacher, nnx.Param))
    assert (teacher.dropout.key[...] != student.dropout.key[...]).any()
    student.out.kernel[...] = student.out.kernel[...] + 1.0
    before = jnp.copy(teacher.out.kernel[...])
    teacher(jnp.ones((2, 16, 16)))
    ema_update(teacher, student, decay=0.9)
    np.testing.assert_allclose(teacher.out.kernel[...], before + 0.1, atol=1e-6)
    assert isinstance(teacher.out.kernel, Buffer)
    assert (teacher.blocks[0].norm.mean[...] != student.blocks[0].norm.mean[...]).any()
    assert int(teacher.dropout.calls[...]) == 1


@pytest.mark.parametrize("name", ENCODERS)
def test_every_encoder_is_built_from_settings(name):
    settings = EncoderSettings(name, width=8).for_patches(48)
    build = lambda: build_encoder(settings, 48, rngs=nnx.Rngs(0))  # noqa: E731
    encoder, mel = nnx.eval_shape(build), jnp.ones((2, 48, 48))
    assert nnx.eval_shape(lambda: in_eval_mode(build())(mel)).shape == (2, encoder.features)
    if hasattr(encoder, "tapped"):
        taps = nnx.eval_shape(lambda: in_eval_mode(build()).tapped(mel)[1])
        assert tuple(t.shape[1] for t in taps) == encoder.tap_features


def test_a_setting_that_an_encoder_has_not_is_named():
    with pytest.raises(UserError, match=r"encoder vgg has no setting tail; set encoder.tail=None"):
        build_encoder(EncoderSettings("vgg", tail=True), 96, rngs=nnx.Rngs(0))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "width"), [("crnn", 8), ("vgg", 8), ("audio_ntt", 16), ("cnn14", 4)]
)
def test_the_compiled_gradient_is_that_of_one_operation_after_another(name, width):
    """XLA's CPU compiler has lost gradients of maxima, by fusing them with what comes before."""
    encoder = build_encoder(EncoderSettings(name, width=width), 48, rngs=nnx.Rngs(0))
    graphdef, *arrays = nnx.split(encoder, nnx.Param, ...)
    params, rest = map(nnx.to_pure_dict, arrays)
    x = jnp.asarray(np.random.default_rng(0).normal(size=(4, 48, 48)), jnp.float32)
    w = jnp.asarray(np.random.default_rng(1).normal(size=encoder.features), jnp.float32)
    grad = jax.grad(lambda p: jnp.sin(nnx.merge(graphdef, p, rest)(x) @ w).sum())
    lowered = jax.jit(grad).lower(params)
    as_users: dict[str, Any] = {"xla_cpu_use_fusion_emitters": True} if OLDER_FUSIONS else {}
    fused = lowered.compile(as_users)
    alone = lowered.compile(as_users | {"xla_disable_hlo_passes": "fusion"})
    operations = [str(program.as_text()).count(" fusion(") for program in (fused, alone)]
    assert operations[1] > 2 * operations[0]  # the flag does what its name says
    for a, b in zip(*(jax.tree.leaves(f(params)) for f in (fused, alone)), strict=True):
        assert jnp.linalg.norm(a - b) < 1e-3 * (jnp.linalg.norm(b) + 1e-2)
