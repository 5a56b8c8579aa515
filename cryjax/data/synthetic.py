"""Synthetic infant cries and generic sounds: for demonstration and tests only, no medical meaning.

A cry is a source-filter model: a glottal pulse train whose F0 follows a contour, with phonation
breaks, through three formant resonators, in expiratory bursts separated by inspirations, over the
noise of a recording site. The ranges follow what the cry literature reports (F0 350-600 Hz, bursts
of 0.5-1.5 s); the link from trigger and "injury" to the sound is invented.
"""

import dataclasses

import numpy as np
import scipy  # scipy.signal takes a second to import: scipy does that on first use

RATE_HZ = 16_000
TRIGGERS = ("pain", "hunger", "discomfort")
SITES = ("ward_a", "ward_b", "ward_c")
SOUNDS = ("tone", "chirp", "clicks", "noise_band", "hum", "knocks", "birdlike", "engine")


@dataclasses.dataclass(frozen=True)
class Baby:
    """A voice: what stays the same in all of one baby's cries.

    Attributes:
      name: Its group.
      f0_hz: Resting fundamental.
      formants_hz: Centres of three resonances.
      breathiness: Share of noise in the source.
      site: Where it is recorded.
      injured: The subtle factor: unstable, higher-pitched, with more breaks.
    """

    name: str
    f0_hz: float
    formants_hz: tuple[float, float, float]
    breathiness: float
    site: str
    injured: bool


def make_baby(number: int, seed: int) -> Baby:
    """Makes the voice of baby `number`; every third one is injured, at any site."""
    rng = np.random.default_rng([seed, 1, number])
    formants = rng.normal([1100, 3000, 5200], [120, 250, 300])
    site = SITES[int(rng.integers(len(SITES)))]
    f0, breath = rng.normal(440, 35), rng.uniform(0.03, 0.12)
    return Baby(f"baby{number:03d}", f0, tuple(formants), breath, site, number % 3 == 0)


# trigger: (F0 factor, F0 fall over a burst, burst seconds, pause seconds)
_CONTOURS = {
    "pain": (1.25, 0.10, (0.9, 1.5), (0.15, 0.35)),
    "hunger": (1.00, 0.25, (0.5, 0.9), (0.30, 0.50)),
    "discomfort": (0.88, 0.05, (0.3, 0.6), (0.40, 0.80)),
}


def _filter(b, a, x: np.ndarray) -> np.ndarray:
    return np.asarray(scipy.signal.lfilter(b, a, x))


def _band(x: np.ndarray, low_hz: float, high_hz: float) -> np.ndarray:
    """Applies a second-order Butterworth band-pass."""
    sections = scipy.signal.butter(2, [low_hz, high_hz], "band", fs=RATE_HZ, output="sos")
    return np.asarray(scipy.signal.sosfilt(sections, x))


def _burst(rng: np.random.Generator, baby: Baby, trigger: str) -> np.ndarray:
    """Synthesises one expiration: pulses along an F0 contour through the formants."""
    factor, fall, (short, long), _ = _CONTOURS[trigger]
    n = int(rng.uniform(short, long) * RATE_HZ)
    t = np.linspace(0, 1, n)
    wander = 0.05 if baby.injured else 0.015
    jitter = _filter([0.002], [1, -0.998], rng.normal(0, 1, n)) * wander * 20
    f0 = baby.f0_hz * factor * (1.06 if baby.injured else 1.0)
    f0 = f0 * (1 + 0.15 * np.sin(np.pi * t) - fall * t + jitter)
    phase = np.cumsum(np.clip(f0, 150, 1500)) / RATE_HZ
    source = scipy.signal.sawtooth(2 * np.pi * phase) + baby.breathiness * rng.normal(0, 1, n)
    if rng.random() < (0.5 if baby.injured else 0.15):  # a phonation break: noise, no pulses
        at = int(rng.uniform(0.2, 0.7) * n)
        source[at : at + n // 8] = 0.5 * rng.normal(0, 1, len(source[at : at + n // 8]))
    voice = np.zeros(n)
    for formant, gain in zip(baby.formants_hz, (1.0, 0.6, 0.3), strict=True):
        b, a = scipy.signal.iirpeak(formant, 6, fs=RATE_HZ)
        voice += gain * _filter(b, a, source)
    return voice * np.minimum(1, np.minimum(t, 1 - t) * 12)


def _site_noise(rng: np.random.Generator, site: str, n: int) -> np.ndarray:
    """Makes hum, hiss or rumble: the shortcut that a leaky split lets a classifier take."""
    white = rng.normal(0, 1, n)
    if site == "ward_a":
        return 0.5 * np.sin(2 * np.pi * 120 * np.arange(n) / RATE_HZ) + 0.2 * white
    low, high = (200, 900) if site == "ward_b" else (3000, 7000)
    return _band(white, low, high)


def cry(baby: Baby, trigger: str, *, seconds: float, seed: int) -> np.ndarray:
    """Synthesises one recording of a baby as (samples,) float32 at `RATE_HZ`, peak 0.8.

    Args:
      baby: Voice of the baby.
      trigger: One of `TRIGGERS`.
      seconds: Length.
      seed: Seed of everything that is not the voice.
    """
    rng = np.random.default_rng([seed, 2, int(baby.name[4:]), TRIGGERS.index(trigger)])
    n, at = int(seconds * RATE_HZ), int(rng.uniform(0, 0.3) * RATE_HZ)
    wave = np.zeros(n)
    while at < n:
        burst = _burst(rng, baby, trigger) * rng.uniform(0.7, 1.0)
        wave[at : at + len(burst)] += burst[: n - at]
        at += len(burst) + int(rng.uniform(*_CONTOURS[trigger][3]) * RATE_HZ)
    wave += _site_noise(rng, baby.site, n) * wave.std() * rng.uniform(0.03, 0.10)
    return (0.8 * wave / np.abs(wave).max()).astype(np.float32)


def _tonal(rng: np.random.Generator, kind: str, t: np.ndarray) -> np.ndarray:
    f = rng.uniform(150, 2500)
    if kind == "tone":
        return np.sin(2 * np.pi * f * t) * np.exp(-t * rng.uniform(0, 2))
    if kind == "chirp":
        return scipy.signal.chirp(t, f, t[-1], rng.uniform(150, 6000), "logarithmic")
    if kind == "hum":
        return np.sum([np.sin(2 * np.pi * 60 * k * t) / k for k in range(1, 12)], axis=0)
    rate = rng.uniform(3, 9)  # birdlike
    sweep = 3000 + 1500 * np.sin(2 * np.pi * rate * t)
    gate = scipy.signal.square(2 * np.pi * rate * t, 0.4) > 0
    return np.sin(2 * np.pi * np.cumsum(sweep) / RATE_HZ) * gate


def _noisy(rng: np.random.Generator, kind: str, t: np.ndarray) -> np.ndarray:
    white = rng.normal(0, 1, len(t))
    if kind in ("clicks", "knocks"):
        hits = rng.random(len(t)) < rng.uniform(2, 12) / RATE_HZ
        ring = rng.uniform(0.002, 0.01) if kind == "clicks" else rng.uniform(0.03, 0.08)
        decay = np.exp(-np.arange(int(8 * ring * RATE_HZ)) / (ring * RATE_HZ))
        return scipy.signal.fftconvolve(hits * 10.0, decay * rng.normal(0, 1, len(decay)))[: len(t)]
    low = rng.uniform(100, 3000)
    band = _band(white, low, low * 2)
    if kind == "engine":
        band = band * (1 + scipy.signal.sawtooth(2 * np.pi * rng.uniform(12, 40) * t))
    return band


def sound(kind: str, *, seconds: float, seed: int) -> np.ndarray:
    """Synthesises one of the `SOUNDS` as (samples,) float32 at `RATE_HZ`, peak 0.8."""
    rng = np.random.default_rng([seed, 3, SOUNDS.index(kind)])
    t = np.arange(int(seconds * RATE_HZ)) / RATE_HZ
    make = _tonal if kind in ("tone", "chirp", "hum", "birdlike") else _noisy
    wave = make(rng, kind, t) + 0.01 * rng.normal(0, 1, len(t))
    return (0.8 * wave / np.abs(wave).max()).astype(np.float32)
