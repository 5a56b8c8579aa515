"""Augmentations against the original code's outputs with pinned draws."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from policies import policy as build

from cryjax.augment import PatchInfo, crop, mask, mix, noise, normalise, resize, shift


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


@pytest.mark.parametrize(("log", "units"), [("ln", np.log(10)), ("db", 10)])
def test_mix_back_mixes_powers_whatever_the_unit(log, units):
    fg, bg = -3 + 3 * jax.random.normal(jax.random.key(0), (2, 3, 2, 20, 8))  # 120 dB and more
    lam = jnp.array([0.0, 0.1, 0.5])
    want = mix.mix_with(fg, bg, lam, adjust_energy=True)
    got = mix.mix_with(units * fg, units * bg, lam, adjust_energy=True, log=log)
    np.testing.assert_allclose(got / units, want, atol=1e-4)
    far = mix.mix_with(1e4 * fg, 1e4 * bg, lam, adjust_energy=True, log=log)
    assert np.isfinite(far).all()
    with pytest.raises(ValueError, match="mix_back needs mels of log log10, db, ln, got 'none'"):
        build("mix_back,normalise", PatchInfo(20, 8, log="none"))(jax.random.key(0), fg, bg)


def test_resized_crop_equals_the_original(golden):
    g = golden("uclser_rrc")
    boxes = jnp.asarray(g["boxes"], jnp.int32)
    patches = jnp.broadcast_to(jnp.asarray(g["patch"], jnp.float32), (len(boxes), 101, 96))
    np.testing.assert_allclose(crop.resize_boxes(patches, boxes), g["out"], atol=1e-5)


def test_what_is_cropped_is_computed_once_not_for_every_tap():
    policy, mel = (
        build("mix_back,random_resized_crop,normalise", PatchInfo(20, 16)),
        jnp.zeros((4, 2, 20, 16)),
    )
    compiled = str(jax.jit(policy).lower(jax.random.key(0), mel, mel).compile().as_text())
    assert compiled.count(" conditional(") == 1
    assert compiled.count(" log(") == 1


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


@pytest.mark.parametrize("shape", [(101, 96), (64, 96), (401, 80), (48, 96)])
def test_crops_happen_on_patches_of_any_shape(shape):
    mel = jax.random.normal(jax.random.key(0), (400, *shape))
    got = crop.random_resized_crop(jax.random.key(1), mel)
    changed = (np.abs(got - mel).max(axis=(1, 2)) > 1e-3).mean()
    assert changed > 0.97  # the source's own patches: all but 0.76 %


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


def test_moves_equal_the_original(golden):
    g = golden("uclser_augment")
    mel = jnp.asarray(g["patch"], jnp.float32)[None]
    for name, got in (
        ("time_shift_17", shift.roll(mel, jnp.array([17]), axis=1)),
        ("freq_shift_4", shift.roll(mel, jnp.array([4]), axis=2)),
        ("time_reversal", shift.time_reversal(jax.random.key(0), mel, probability=1.0)),
        ("blur_k5x3_s1.0", shift.smooth(mel, jnp.array([5]), jnp.array([3]), sigma=1.0, widest=7)),
    ):
        np.testing.assert_allclose(got[0], g[name], atol=1e-5, err_msg=name)


def test_resize_crop_equals_torchs_bicubic(golden):
    g = golden("rrc_bicubic")
    i, j, h, w = g["ijhw"].T
    boxes = jnp.asarray(np.stack([j, i, w, h], axis=1), jnp.int32)  # here time comes first
    mel = jnp.broadcast_to(jnp.asarray(g["x"][0].T, jnp.float32), (len(boxes), 96, 64))
    got = resize.resize_box(mel, boxes, canvas=144)
    np.testing.assert_allclose(got, g["out"][:, 0].transpose(0, 2, 1), atol=5e-5)


def test_resize_crops_cover_the_published_ranges():
    mel = jnp.ones((4000, 16, 8))
    got = resize.byola_resize_crop(jax.random.key(0), mel)
    assert not np.allclose(got, 1)  # some boxes reach beyond the patch
    np.testing.assert_allclose(resize.byola_resize_crop(jax.random.key(0), 0 * mel), 0)
    whole = resize.byola_resize_crop(jax.random.key(0), mel, canvas=1.0, scale=(1.0, 1.0))
    np.testing.assert_allclose(whole, mel, atol=1e-5)


def test_time_warp_moves_the_centre_to_its_target():
    ramp = jnp.broadcast_to(jnp.arange(40.0)[None, :, None], (1, 40, 3))
    got = resize.warp(ramp, jnp.array(20), jnp.array(25))[0, :, 0]
    np.testing.assert_allclose(got[0], 0, atol=1e-5)
    np.testing.assert_allclose(got[24], 19, atol=1e-4)  # the last frame of the left part
    np.testing.assert_allclose(got[25], 20, atol=1e-4)
    np.testing.assert_allclose(got[-1], 39, atol=1e-4)
    np.testing.assert_allclose(np.diff(got[2:22]), 19 / 24, atol=0.08)  # a line, nearly
    same = resize.warp(ramp, jnp.array(20), jnp.array(20))
    np.testing.assert_allclose(same, ramp, atol=1e-4)
    assert resize.time_warp(jax.random.key(0), ramp).shape == ramp.shape


@pytest.mark.parametrize(("released", "prefix"), [(False, "byola"), (True, "lape")])
def test_running_norm_equals_the_original(golden, released, prefix):
    g = golden("running_norm")
    views = jnp.asarray(g["seq"], jnp.float32).transpose(0, 1, 3, 2)
    norm = normalise.RunningNorm(released=released)
    got = [norm.in_training(part) for part in jnp.split(views, 2)]  # two batches of four
    got = jnp.concatenate(got)[:, 0]
    np.testing.assert_allclose(got, g[f"{prefix}_out"][:, 0].transpose(0, 2, 1), atol=2e-4)
    np.testing.assert_allclose(norm.mean[...], g[f"{prefix}_mean"][-1], rtol=1e-5)
    np.testing.assert_allclose(jnp.sqrt(norm.variance[...]), g[f"{prefix}_std"][-1], rtol=1e-4)
    still = norm(views[-1])  # evaluation reads the statistics and leaves them
    np.testing.assert_allclose(still[0], got[-1], atol=1e-5)


def test_running_norm_freezes():
    norm = normalise.RunningNorm(freeze_after=3)
    norm.in_training(jnp.arange(8.0).reshape(4, 2, 1, 1))
    np.testing.assert_allclose([norm.mean[...], norm.count[...]], [1, 3])


def test_post_normalisation_is_torchs():
    views = 3 + 2 * jax.random.normal(jax.random.key(0), (4, 2, 5, 6))
    got = normalise.post_normalise(views)
    np.testing.assert_allclose(got.mean(), 0, atol=1e-5)
    np.testing.assert_allclose(np.std(got, ddof=1), 1, rtol=1e-5)


POLICY = (
    "mix_back,time_shift,frequency_shift,random_resized_crop,time_reversal,time_warp,compress,"
    "spec_augment,gaussian_noise,blur,normalise,byola_resize_crop,linear_fader,post_normalise"
)


def views(batch=8, frames=101):
    return jax.random.normal(jax.random.key(3), (2, batch, 2, frames, 96)) - 3


@pytest.mark.slow
def test_equal_keys_give_equal_views_and_views_differ():
    policy, (mel, background) = build(POLICY), views()
    once, again, other = (policy(jax.random.key(k), mel, background) for k in (0, 0, 1))
    np.testing.assert_array_equal(once, again)
    assert (once != other).any()
    same = policy(jax.random.key(0), mel.at[:, 1].set(mel[:, 0]), background)
    assert (same[:, 0] != same[:, 1]).any()


@pytest.mark.slow
def test_strength_zero_is_the_identity():
    mel, background = views()
    calm = build(
        "mix_back,random_resized_crop,compress,spec_augment,gaussian_noise,blur,linear_fader,"
        "normalise",
        mix_back={"alpha": 0.0},
        blur={"widest": 1},
        linear_fader={"gain": 0.0},
        random_resized_crop={"scale": (1.0, 1.0), "ratio": (96 / 101, 96 / 101)},
        compress={"low": 1.0},
        gaussian_noise={"max_std": 0.0},
        spec_augment={"max_bands": 1, "max_frames": 1},
    )
    got = calm(jax.random.key(0), mel, background)
    np.testing.assert_allclose(got, mel, atol=1e-5)


@pytest.mark.slow
def test_values_do_not_depend_on_the_number_of_devices():
    policy, (mel, background) = build(POLICY), views(batch=16)
    mesh = jax.make_mesh((8,), ("data",), axis_types=(jax.sharding.AxisType.Auto,))
    sharding = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec("data"))
    apply = jax.jit(policy)
    sharded = apply(jax.random.key(0), *jax.device_put((mel, background), sharding))
    np.testing.assert_allclose(apply(jax.random.key(0), mel, background), sharded, atol=1e-6)


def test_the_geometry_of_a_policy_moves_as_the_whole_does():
    mel, _ = views()
    moves = "time_shift,random_resized_crop,{}normalise"
    whole = build(moves.format("gaussian_noise,"), gaussian_noise={"max_std": 1e-3})
    moved = whole.geometry(jax.random.key(0), mel)
    np.testing.assert_allclose(whole(jax.random.key(0), mel), moved, atol=5e-3)
    assert np.abs(moved - mel).max() > 0.1
    masked = build(moves.format("spec_augment,"))
    got, clean = masked(jax.random.key(0), mel), masked.geometry(jax.random.key(0), mel)
    assert 0.3 < (got == clean).mean() < 0.99  # masks are left out, the rest is the same


def test_wrong_settings_are_named():
    with pytest.raises(ValueError, match="got \\['nois'\\]; nearest: "):
        build("nois,normalise")
    with pytest.raises(ValueError, match="must name each step once, and normalise"):
        build("gaussian_noise")
    with pytest.raises(ValueError, match=r"fill must be one of min, mean, zero, got 'max'"):
        build("spec_augment,normalise", spec_augment={"fill": "max"})(jax.random.key(0), views()[0])
    with pytest.raises(ValueError, match="mix_back needs views of other clips"):
        build("mix_back,normalise")(jax.random.key(0), views()[0])
