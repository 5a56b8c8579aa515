"""Log-mel spectrograms on the host, as a FeatureSpec says: librosa's numbers, computed faster.

librosa gives filters and padding; the spectrum is ours: only the window's samples are multiplied
(where they lie within the transform does not change its power), some hundred frames at a time stay
in the cache, and the filters meet real and imaginary squares at once as a sparse matrix.
"""

import dataclasses
from collections.abc import Callable
from typing import Any, cast

import librosa
import numpy as np
import scipy  # its parts, a second of imports, are imported on first use

from cryjax.spec import FeatureSpec

SAMPLES_AT_ONCE = 1 << 17  # of all frames that are transformed together: they stay in the cache


def _symmetric_triangles(spec: FeatureSpec) -> np.ndarray:
    """Builds SpeechBrain's filters: both half-widths are the distance to the band on the left."""
    edges = librosa.mel_frequencies(
        n_mels=spec.n_mels + 2, fmin=spec.f_min_hz, fmax=spec.f_max_hz, htk=spec.mel_scale == "htk"
    )
    width = np.diff(edges)[:-1, None]
    slope = librosa.fft_frequencies(sr=spec.sample_rate_hz, n_fft=spec.n_fft) - edges[1:-1, None]
    return np.maximum(0, 1 - np.abs(slope) / width)


def mel_filters(spec: FeatureSpec) -> np.ndarray:
    """Builds the (n_mels, 1 + n_fft // 2) float32 matrix from power spectrum to mel bands."""
    if spec.mel_shape == "symmetric":
        return _symmetric_triangles(spec).astype(np.float32)
    norm: Any = None if spec.mel_norm == "none" else spec.mel_norm
    return librosa.filters.mel(
        sr=spec.filter_rate_hz or spec.sample_rate_hz,
        n_fft=spec.n_fft,
        n_mels=spec.n_mels,
        fmin=spec.f_min_hz,
        fmax=spec.f_max_hz,
        htk=spec.mel_scale == "htk",
        norm=norm,
    )


@dataclasses.dataclass(frozen=True)
class Analysis:
    """The arrays of a feature specification; cheaper to send to a process than to make there.

    Attributes:
      window: (window_samples,) float32 window.
      filters: (n_mels, 1 + n_fft // 2) float32 filters.
    """

    window: np.ndarray
    filters: np.ndarray


def make_analysis(spec: FeatureSpec) -> Analysis:
    """Makes the arrays of a feature specification; the first call imports for a second or two."""
    window = np.asarray(scipy.signal.get_window(spec.window, spec.window_samples), np.float32)
    return Analysis(window, mel_filters(spec))


def shortest_samples(spec: FeatureSpec) -> int:
    """Returns the length to which shorter waveforms are tiled."""
    return max(spec.min_samples, spec.n_fft)


def scale_wave(wave: Any, spec: FeatureSpec) -> Any:
    """Brings (..., samples) waveforms, numpy's or JAX's, to the level that the spec asks for."""
    xp = wave.__array_namespace__()
    if spec.wave_norm == "dc_peak":
        wave = wave - wave.mean(axis=-1, keepdims=True)
        wave = wave / (xp.abs(wave).max(axis=-1, keepdims=True) + 0.005)
    elif spec.wave_norm == "peak_0.9":
        peak = xp.abs(wave).max(axis=-1, keepdims=True)
        wave = wave * xp.where(peak > 0, 0.9 / xp.where(peak > 0, peak, 1), 1)
    return wave + np.float32(spec.wave_offset)


def prepare_wave(wave: np.ndarray, spec: FeatureSpec) -> np.ndarray:
    """Brings a waveform to the level and the length that the specification asks for."""
    wave = scale_wave(wave, spec)
    return wave if len(wave) >= shortest_samples(spec) else np.resize(wave, shortest_samples(spec))


def compress_level(mel: Any, spec: FeatureSpec) -> Any:
    """Takes the logarithm of power spectrograms, with offset, floor and dynamic range.

    Args:
      mel: (..., frames, mels) power, numpy's or JAX's; the dynamic range is that of each.
      spec: What to compute.
    """
    if spec.log == "none":
        return mel
    xp = mel.__array_namespace__()
    mel = xp.maximum(mel + spec.log_offset, spec.log_floor)
    level = xp.log(mel) if spec.log == "ln" else xp.log10(mel)
    level = 10 * level if spec.log == "db" else level
    if not spec.top_db:
        return level
    return xp.maximum(level, level.max(axis=(-2, -1), keepdims=True) - spec.top_db)


def normalise_clip(mel: Any, spec: FeatureSpec) -> Any:
    """Normalises (..., frames, mels) spectrograms, numpy's or JAX's, each by itself."""
    if spec.clip_norm == "mean":
        return mel - mel.mean(axis=-2, keepdims=True)
    if spec.clip_norm == "standardise":
        mean, std = (f(axis=(-2, -1), keepdims=True) for f in (mel.mean, mel.std))
        return (mel - mean) / (std + 1e-6)
    return mel


def resize_matrix(n_in: int, n_out: int, *, antialias: bool = True) -> np.ndarray:
    """Builds linear interpolation with half-pixel centres as an (n_out, n_in) matrix.

    Equals torchvision's tensor resize of either setting and `jax.image.resize(..., "linear")`.
    """
    scale = n_in / n_out
    support = max(scale, 1.0) if antialias else 1.0
    centre = (np.arange(n_out) + 0.5) * scale - 0.5
    weights = np.maximum(0, 1 - np.abs(np.arange(n_in) - centre[:, None]) / support)
    return weights / weights.sum(axis=1, keepdims=True)


def _make_power_mel(spec: FeatureSpec, analysis: Analysis) -> Callable[[np.ndarray], np.ndarray]:
    """Builds the function from samples to (frames, mels) power; frame i is centred on i hops."""
    margin = (spec.n_fft - spec.window_samples) // 2
    at_once, pad_mode = SAMPLES_AT_ONCE // spec.n_fft, cast(Any, spec.pad_mode)
    nonzero_bins = np.flatnonzero(analysis.filters.any(axis=0))
    bins = slice(nonzero_bins[0], nonzero_bins[-1] + 1)
    filters = scipy.sparse.csr_matrix(analysis.filters[:, bins])

    def power_mel(wave: np.ndarray) -> np.ndarray:
        padded = np.pad(wave, spec.n_fft // 2, mode=pad_mode)[margin:]
        frames = np.lib.stride_tricks.sliding_window_view(padded, spec.window_samples)
        frames = frames[:: spec.hop_samples][: 1 + len(wave) // spec.hop_samples]
        mel = np.empty((len(frames), spec.n_mels), np.float32)
        block = np.zeros((at_once, spec.n_fft), np.float32)  # zero behind every frame
        for at in range(0, len(frames), at_once):
            part = frames[at : at + at_once]
            np.multiply(part, analysis.window, out=block[: len(part), : spec.window_samples])
            spectrum = cast(Any, scipy.fft.rfft(block[: len(part)], axis=1))[:, bins]
            power = np.square(spectrum.real)
            power += np.square(spectrum.imag)
            mel[at : at + len(part)] = (filters @ power.T).T
        return mel

    return power_mel


def make_logmel(
    spec: FeatureSpec, analysis: Analysis | None = None
) -> Callable[[np.ndarray], np.ndarray]:
    """Builds the function from a waveform to its log-mel spectrogram.

    Args:
      spec: What to compute.
      analysis: Arrays of the specification where they were made before.

    Returns:
      A function of (samples,) float32 at `spec.sample_rate_hz` that returns (frames, mels) float32;
      without a resize there are `1 + samples // hop_samples` frames.
    """
    power_mel = _make_power_mel(spec, analysis or make_analysis(spec))

    def logmel(wave: np.ndarray) -> np.ndarray:
        mel = power_mel(prepare_wave(wave, spec).astype(np.float32))
        mel = normalise_clip(compress_level(mel, spec), spec)
        if spec.resize_frames:
            mel = resize_matrix(len(mel), spec.resize_frames) @ mel
        return mel.astype(np.float32)

    return logmel


def band_centres_hz(spec: FeatureSpec) -> np.ndarray:
    """Returns the centre of every mel band in Hz, (mels,), for the axes of pictures."""
    edges = librosa.mel_frequencies(
        spec.n_mels + 2, fmin=spec.f_min_hz, fmax=spec.f_max_hz, htk=spec.mel_scale == "htk"
    )
    return edges[1:-1] * spec.sample_rate_hz / (spec.filter_rate_hz or spec.sample_rate_hz)
