"""Mixing with a bank of past patches: log-mixup-exp and k-mix."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from policies import policy as build

from cryjax.augment import PatchInfo, bank, fit_banks


def test_log_mixup_exp_equals_the_original(golden):
    g = golden("log_mixup_exp")
    n = len(g["lam"])
    x, z = (jnp.broadcast_to(jnp.asarray(g[k], jnp.float32), (n, 1, 64, 96)) for k in ("x", "z"))
    got = bank.log_mixup_exp(x, z, jnp.asarray(g["lam"], jnp.float32)[:, None])
    np.testing.assert_allclose(got, g["out"], atol=1e-5)


def patches(n, value=0.0):
    """Patches that say which they are."""
    return jnp.broadcast_to((value + jnp.arange(n, dtype=float))[:, None, None, None], (n, 2, 4, 3))


def test_a_bank_is_first_in_first_out_and_leaves_the_first_batch_alone():
    mix = bank.LogMixup(frames=4, mels=3, size=6)
    first = mix(jax.random.key(0), patches(4))
    np.testing.assert_array_equal(first, patches(4))
    mix(jax.random.key(1), patches(4, 10.0))
    np.testing.assert_array_equal(mix.items[...][:, 0, 0], [12, 13, 2, 3, 10, 11])
    assert int(mix.filled) == 6
    with pytest.raises(ValueError, match="bank of 6 must hold a batch of 7"):
        mix(jax.random.key(0), patches(7))


def test_mixing_follows_its_formula_with_partners_from_the_bank():
    mix = bank.LogMixup(frames=4, mels=3, size=8, alpha=1.0)
    mix(jax.random.key(0), patches(8, 20.0))
    got = np.asarray(mix(jax.random.key(1), patches(8)))[:, :, 0, 0]
    lam = np.asarray(jax.random.uniform(jax.random.split(jax.random.key(1))[0], (8, 2)))
    own = np.arange(8.0)[:, None]
    partner = np.log((np.exp(got) - (1 - lam) * np.exp(own)) / lam)
    np.testing.assert_allclose(partner, np.round(partner), atol=1e-2)
    assert partner.min() > 19
    assert partner.max() < 28
    assert len(np.unique(np.round(partner))) > 3


def test_k_mix_selects_as_the_release(golden):
    g = golden("kmix_select")
    memory, x, centroids = (jnp.asarray(g[k], jnp.float32) for k in ("memory", "x", "centroids"))
    members = bank.nearest(memory[:, 0].mean(axis=2), centroids)
    query = bank.nearest(x[:, 0].mean(axis=2), centroids)
    np.testing.assert_array_equal(members, g["mem_cluster"])
    np.testing.assert_array_equal(query, g["x_cluster"])
    for shift in (0, 50):  # the oldest need not stand first
        mask = bank.far_candidates(
            query,
            jnp.roll(members, shift),
            centroids,
            jnp.array(200),
            jnp.array(shift),
            top_k=int(g["top_k"]),
        )
        for row, wanted in zip(np.asarray(mask), g["candidates"], strict=True):
            got = (np.flatnonzero(row) - shift) % 200
            np.testing.assert_array_equal(sorted(got), wanted[wanted >= 0])


def test_k_mix_mixes_far_once_the_bank_has_enough():
    policy = build("normalise,k_mix", PatchInfo(4, 2), k_mix={"size": 8, "clusters": 2, "top_k": 2})
    low, high = jnp.array([1.0, 0.0]), jnp.array([0.0, 1.0])
    views = jnp.stack([low, high] * 4)[:, None, None, :] * jnp.ones((8, 1, 4, 2))
    fit_banks(policy, views[:, 0], (0.0, 1.0), seed=0)
    mix = policy.step("k_mix")
    first = int(mix.centroids[...][0, 0] < 0.5)
    policy(jax.random.key(0), views)
    np.testing.assert_array_equal(mix.clusters[...], [first, 1 - first] * 4)
    chosen = np.asarray(mix.partners(jax.random.key(2), views))[:, 0]
    assert set(chosen[::2]) <= {1, 3}  # the two oldest of the other cluster
    assert set(chosen[1::2]) <= {0, 2}
    with pytest.raises(ValueError, match="space must be one of normalised, raw, got 'x'"):
        bank.KMix(frames=4, mels=2, space="x")


def test_k_mix_clusters_what_it_will_compare_whatever_normalises():
    """A running normaliser has seen nothing yet: the training set's statistics stand in for it."""
    mel = jnp.asarray(np.random.default_rng(0).normal(size=(200, 4, 6)) - 8)
    for by in ("running", "dataset"):
        policy = build(
            "normalise,k_mix", PatchInfo(4, 6, statistics=(-8.0, 1.0)), normalise={"by": by}
        )
        fit_banks(policy, mel, (-8.0, 1.0), seed=0)
        mix = policy.step("k_mix")
        shares = np.bincount(bank.nearest((mel + 8).mean(axis=1), mix.centroids[...]), minlength=4)
        assert shares.min() > 20  # of raw mels, all of which are far below zero, one takes all
    with pytest.raises(ValueError, match="cannot cluster what normalise.by=patch_mean leaves"):
        fit_banks(build("normalise,k_mix", normalise={"by": "patch_mean"}), mel, (0.0, 1.0), seed=0)
