"""Log-mel spectrograms on the device: `cryjax.audio.logmel` in JAX, for artefacts.

Frames are transformed some at a time, so that an hour of audio needs no memory for an hour of
spectra. Shapes may be symbolic, so that `jax.export` keeps batch and length open.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import core

from cryjax.audio.logmel import (
    SAMPLES_AT_ONCE,
    Analysis,
    compress_level,
    make_analysis,
    normalise_clip,
    scale_wave,
)
from cryjax.spec import FeatureSpec


def fft(frames: jax.Array, n_fft: int) -> tuple[jax.Array, jax.Array]:
    """Transforms (..., window) samples; returns real and imaginary parts (..., bins)."""
    spectrum = jnp.fft.rfft(frames, n_fft)
    return spectrum.real, spectrum.imag


def dft(frames: jax.Array, n_fft: int) -> tuple[jax.Array, jax.Array]:
    """Transforms like `fft` by two matrix products, for ONNX, which knows no such FFT."""
    turns = np.outer(np.arange(frames.shape[-1]), np.arange(1 + n_fft // 2)) % n_fft
    angle = 2 * np.pi * turns / n_fft
    parts = [np.cos(angle).astype(np.float32), -np.sin(angle).astype(np.float32)]
    real, imaginary = (jnp.matmul(frames, part, precision="highest") for part in parts)
    return real, imaginary


def _power_mel(wave: jax.Array, spec: FeatureSpec, analysis: Analysis, spectrum: Any) -> jax.Array:
    """Computes (batch, frames, mels) power from (batch, samples)."""
    size, hop = spec.window_samples, spec.hop_samples
    margin = (spec.n_fft - size) // 2
    at_once = max(1, SAMPLES_AT_ONCE // spec.n_fft)
    frames = 1 + wave.shape[1] // hop
    blocks = -(-frames // at_once)
    half: Any = spec.n_fft // 2
    padded = jnp.pad(wave, ((0, 0), (half, half)), mode=spec.pad_mode)[:, margin:]
    reach = (at_once - 1) * hop + size
    padded = jnp.pad(padded, ((0, 0), (0, reach)))  # the last block may be read beyond the end
    within = np.arange(at_once)[:, None] * hop + np.arange(size)
    window, filters = analysis.window[None, None], np.ascontiguousarray(analysis.filters.T)

    def block(number: jax.Array) -> jax.Array:
        part = jax.lax.dynamic_slice_in_dim(padded, number * (at_once * hop), reach, axis=1)
        real, imaginary = spectrum(part[:, within] * window, spec.n_fft)
        power = jnp.square(real) + jnp.square(imaginary)
        return jnp.matmul(power, filters, precision="highest")

    mel = jax.lax.map(block, jnp.arange(blocks))  # (blocks, batch, at_once, mels)
    mel = jnp.moveaxis(mel, 0, 1).reshape(wave.shape[0], blocks * at_once, spec.n_mels)
    return mel[:, :frames]


def _resize(mel: jax.Array, n_out: int) -> jax.Array:
    """Resizes the time axis linearly with antialiasing; see `cryjax.audio.logmel.resize_matrix`."""
    n_in = mel.shape[1]
    inputs, outputs = jnp.arange(n_in)[None], jnp.arange(n_out)[:, None]
    # distance in half steps of the finer axis: whole numbers, so that rounding adds nothing
    distance = jnp.abs(2 * n_out * inputs - ((2 * outputs + 1) * n_in - n_out))
    weights = jnp.maximum(0.0, 1 - distance / (2 * core.max_dim(n_in, n_out)))
    weights = weights / weights.sum(axis=1, keepdims=True)
    return jnp.einsum("of,bfm->bom", weights, mel, precision="highest")


def make_device_logmel(spec: FeatureSpec, spectrum: Any = fft) -> Callable[[jax.Array], jax.Array]:
    """Builds the function from waveforms to log-mel spectrograms.

    Args:
      spec: What to compute.
      spectrum: `fft`, or `dft` where no FFT can be had.

    Returns:
      A function of (batch, samples) float32 at `spec.sample_rate_hz`, each row a whole recording of
      at least `shortest_samples(spec)`, that returns (batch, frames, mels) float32.
    """
    analysis = make_analysis(spec)

    def logmel(wave: jax.Array) -> jax.Array:
        mel = _power_mel(scale_wave(wave, spec), spec, analysis, spectrum)
        mel = normalise_clip(compress_level(mel, spec), spec)
        return _resize(mel, spec.resize_frames) if spec.resize_frames else mel

    return logmel
