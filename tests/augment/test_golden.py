"""Augmentations against the original code's outputs with pinned draws."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from cryjax.augment import build_policy, crop, mask, mix, noise


def test_mix_back_equals_the_original(golden):
    g = golden("uclser_mixback")
    fg, bg = (jnp.asarray(g[name])[:, None] for name in ("fg", "bg"))
    out = mix.mix_with(fg, bg, jnp.asarray(g["lam"], jnp.float32), adjust_energy=True)[:, 0]
    np.testing.assert_allclose(out, g["out"], atol=2e-6)
    plain = mix.mix_with(fg, bg, jnp.asarray(g["lam"], jnp.float32), adjust_energy=False)[:, 0]
    lam = g["lam"][:, None, None]
    by_hand = np.log10((1 - lam) * 10.0 ** g["fg"] + lam * 10.0 ** g["bg"])
    np.testing.assert_allclose(plain, by_hand, atol=1e-5)


def test_mix_back_keeps_the_energy():
    fg, bg = jax.random.normal(jax.random.key(0), (2, 3, 2, 20, 8))
    out = mix.mix_back(jax.random.key(1), fg, 5 + bg, alpha=0.5)
    energy = [(10.0**x).sum(axis=(2, 3)) for x in (fg, out)]
    np.testing.assert_allclose(*energy, rtol=1e-5)


def test_resized_crop_equals_the_original(golden):
    g = golden("uclser_rrc")
    boxes = jnp.asarray(g["boxes"], jnp.int32)
    patches = jnp.broadcast_to(jnp.asarray(g["patch"], jnp.float32), (len(boxes), 101, 96))
    np.testing.assert_allclose(crop.resize_crop(patches, boxes), g["out"], atol=1e-5)


def test_crop_sizes_follow_the_original_distribution(golden):
    g = golden("uclser_rrc")
    boxes = crop.sample_boxes(
        jax.random.key(0), 20_000, frames=101, mels=96, scale=(0.8, 1.0), ratio=(3 / 4, 4 / 3)
    )
    for column, name in ((2, "sampled_h_hist"), (3, "sampled_w_hist")):
        got = np.bincount(boxes[:, column], minlength=len(g[name]))
        cdf = np.abs(np.cumsum(got) - np.cumsum(g[name])) / 20_000
        assert cdf.max() < 0.02, name  # Kolmogorov-Smirnov: 0.0136 at the 5 % level
    assert (boxes[:, 0] + boxes[:, 2] <= 101).all()
    assert (boxes[:, 1] + boxes[:, 3] <= 96).all()


@pytest.mark.parametrize("fill", ["min", "mean"])
def test_masks_equal_the_original(golden, fill):
    g = golden("uclser_augment")
    mel = jnp.asarray(g["patch"], jnp.float32)[None]
    for axis, first, last in ((2, 30, 42), (2, 80, 85), (1, 10, 19), (1, 60, 75)):
        start, width = jnp.array([first]), jnp.array([last - first])
        mel = mask.mask_stretch(mel, start, width, axis=axis, fill=fill)
    np.testing.assert_allclose(mel[0], g[f"specaug_{fill}"], atol=1e-5)


def test_compression_equals_the_original(golden):
    g = golden("uclser_augment")
    mel = jnp.asarray(g["patch"], jnp.float32)[None]
    got = noise.scale_level(mel, jnp.array([0.8]))[0]
    np.testing.assert_allclose(got, g["compress_0.8"], rtol=1e-6)


POLICY = {
    "mix_back": {"alpha": 0.05}, "crop": {}, "compress": {}, "noise": {"max_std": 0.01},
    "spec_augment": {"enabled": True},
}  # fmt: skip


def views(batch=8, frames=101):
    return jax.random.normal(jax.random.key(3), (2, batch, 2, frames, 96)) - 3


def test_equal_keys_give_equal_views_and_views_differ():
    policy, (mel, background) = build_policy(POLICY), views()
    once, again, other = (
        policy(jax.random.key(k), mel, background) for k in (0, 0, 1)
    )  # fmt: skip
    np.testing.assert_array_equal(once, again)
    assert (once != other).any()
    same = policy(jax.random.key(0), mel.at[:, 1].set(mel[:, 0]), background)
    assert (same[:, 0] != same[:, 1]).any()


def test_strength_zero_is_the_identity():
    mel, background = views()
    calm = build_policy(
        {
            "mix_back": {"alpha": 0.0},
            "crop": {"scale": (1.0, 1.0), "ratio": (96 / 101, 96 / 101)},
            "compress": {"low": 1.0}, "noise": {"max_std": 0.0},
            "spec_augment": {"max_bands": 1, "max_frames": 1},
        }
    )  # fmt: skip
    got = calm(jax.random.key(0), mel, background)
    np.testing.assert_allclose(got, mel, atol=1e-5)


def test_values_do_not_depend_on_the_number_of_devices():
    policy, (mel, background) = build_policy(POLICY), views(batch=16)
    mesh = jax.make_mesh((8,), ("data",), axis_types=(jax.sharding.AxisType.Auto,))
    sharding = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec("data"))
    apply = jax.jit(policy)
    sharded = apply(jax.random.key(0), *jax.device_put((mel, background), sharding))
    np.testing.assert_allclose(apply(jax.random.key(0), mel, background), sharded, atol=1e-6)


def test_wrong_settings_are_named():
    with pytest.raises(ValueError, match="got \\['nois'\\]; near: \\['noise'\\]"):
        build_policy({"nois": {}})
    with pytest.raises(ValueError, match=r"fill must be one of min, mean, zero, got 'max'"):
        build_policy({"spec_augment": {"fill": "max"}})(jax.random.key(0), views()[0])
    with pytest.raises(ValueError, match="mix_back needs backgrounds"):
        build_policy({"mix_back": {}})(jax.random.key(0), views()[0])
