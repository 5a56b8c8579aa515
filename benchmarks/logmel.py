"""Log-mel of ten-second clips on one core: ours beside librosa, one clip at a time.

    python -m benchmarks.logmel

uclser's features of made-up noise; levels are compared first.
"""

import librosa
import numpy as np

from benchmarks.timing import in_turns, machine, on_cores, report
from cryjax.audio.logmel import make_logmel
from cryjax.spec import FeatureSpec, preset

CLIPS = 10


def librosa_mel(wave: np.ndarray, spec: FeatureSpec) -> np.ndarray:
    """Computes (mels, frames) powers of a waveform at the spec's rate, by librosa alone."""
    return librosa.feature.melspectrogram(
        y=wave,
        sr=spec.sample_rate_hz,
        n_fft=spec.n_fft,
        hop_length=spec.hop_samples,
        win_length=spec.window_samples,
        window=spec.window,
        n_mels=spec.n_mels,
        fmin=spec.f_min_hz,
        fmax=spec.f_max_hz,
        norm=None if spec.mel_norm == "none" else "slaney",
        pad_mode="reflect",
    )


def main() -> None:
    """Prints both."""
    on_cores(1)
    spec, rng = (
        preset("uclser,wave_norm=none,wave_offset=0,log_offset=1e-8"),
        np.random.default_rng(0),
    )
    waves = 0.1 * rng.normal(size=(CLIPS, 10 * spec.sample_rate_hz)).astype(np.float32)
    logmel = make_logmel(spec)

    def theirs(wave: np.ndarray) -> np.ndarray:
        return np.log10(librosa_mel(wave, spec) + spec.log_offset).T

    np.testing.assert_allclose(logmel(waves[0]), theirs(waves[0]), atol=2e-4)
    work = {
        "ours": lambda: [logmel(w) for w in waves],
        "librosa.feature.melspectrogram": lambda: [theirs(w) for w in waves],
    }
    print(machine("numpy", "scipy", "librosa"))
    report(f"log-mel, {CLIPS} clips of 10 s", in_turns(work), count=CLIPS, unit="clips")


if __name__ == "__main__":
    main()
