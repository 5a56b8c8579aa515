"""uclser's policy on one core: ours beside the per-patch way, numpy and PIL in a loader's worker.

    python -m benchmarks.augmentation       needs pillow

Mix-back, random resized crop, compression, noise, normalisation of 256 patches of 101 x 96. Both
draw their own numbers; what is compared first is each deterministic part.
"""

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.timing import LIMIT, copying, in_turns, machine, need, on_cores, report
from configs import simclr
from cryjax.augment import PatchInfo, build_policy
from cryjax.augment.crop import resize_boxes
from cryjax.augment.mix import mix_with

PATCHES, FRAMES, MELS, ALPHA, MEAN, STD = 256, 101, 96, 0.05, -4.0, 2.0


def mixed(x: np.ndarray, back: np.ndarray, lam: float, base: float = 10.0) -> np.ndarray:
    """Applies mix-back with energy adjustment to logarithms of a base."""
    fore, behind = base**x, base**back
    total = (1 - lam) * fore + lam * fore.sum() / behind.sum() * behind
    return np.log(total) / np.float32(math.log(base))


def crop_box(rng: np.random.Generator, frames: int, mels: int) -> tuple[int, int, int, int]:
    """Draws top, left, height and width by torchvision's rule."""
    for _ in range(10):
        area = rng.uniform(0.8, 1.0) * frames * mels
        aspect = math.exp(rng.uniform(math.log(3 / 4), math.log(4 / 3)))
        wide, high = round(math.sqrt(area * aspect)), round(math.sqrt(area / aspect))
        if wide <= mels and high <= frames:
            top, left = rng.integers(frames - high + 1), rng.integers(mels - wide + 1)
            return int(top), int(left), high, wide
    return 0, 0, frames, mels


def resized(image: Any, x: np.ndarray, box: tuple[int, int, int, int]) -> np.ndarray:
    """Resizes the box of a patch to the patch's size."""
    top, left, high, wide = box
    part = image.fromarray(np.ascontiguousarray(x[top : top + high, left : left + wide]))
    return np.asarray(part.resize(x.shape[::-1], image.BILINEAR))


def one_patch(
    image: Any, rng: np.random.Generator, x: np.ndarray, back: np.ndarray, base: float = 10.0
) -> np.ndarray:
    """Does what a worker does to a patch of (frames, mels), but for the normalisation."""
    x = mixed(x, back, rng.uniform(0, ALPHA), base)
    x = resized(image, x, crop_box(rng, *x.shape)) * np.float32(rng.uniform(0.75, 1))
    return x + rng.normal(0, rng.uniform(0, 0.01), x.shape).astype(np.float32)


def main() -> None:
    """Compares values, then prints both times."""
    on_cores(1)
    image = need("PIL.Image", "pip install pillow")
    rng = np.random.default_rng(0)
    shape = (PATCHES // 2, 2, FRAMES, MELS)
    mel, back = (rng.normal(MEAN, STD, shape).astype(np.float32) for _ in range(2))
    boxes = np.array([crop_box(rng, FRAMES, MELS) for _ in range(len(mel))])
    got = resize_boxes(jnp.asarray(mel[:, 0]), jnp.asarray(boxes[:, [0, 1, 2, 3]]))
    want = [resized(image, x, tuple(b)) for x, b in zip(mel[:, 0], boxes, strict=True)]
    np.testing.assert_allclose(got, want, atol=1e-4)
    lam = jnp.full(len(mel), 0.03)
    got = mix_with(jnp.asarray(mel), jnp.asarray(back), lam, adjust_energy=True)
    want = [
        [mixed(x, b, 0.03) for x, b in zip(*pair, strict=True)]
        for pair in zip(mel, back, strict=True)
    ]
    np.testing.assert_allclose(got, want, atol=1e-4)

    patch = PatchInfo(FRAMES, MELS, "log10", (MEAN, STD))
    policy = build_policy(simclr.settings().augment, patch)
    jitted, key = jax.jit(policy), jax.random.key(0)
    flat = [x.reshape(PATCHES, FRAMES, MELS) for x in (mel, back)]
    work = {
        "ours (jit, batch of 256)": lambda: jax.block_until_ready(jitted(key, mel, back)),
        f"{LIMIT}copying patches and backgrounds": copying(mel, back),
        "numpy and PIL, patch by patch": lambda: [
            (one_patch(image, rng, x, b) - MEAN) / STD for x, b in zip(*flat, strict=True)
        ],
    }
    print(machine("jax", "numpy", "pillow"))
    report("uclser's augmentation policy", in_turns(work), count=PATCHES, unit="patches")


if __name__ == "__main__":
    main()
