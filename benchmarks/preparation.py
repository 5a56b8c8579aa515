"""Decode, resample, log-mel and write a real folder, with two workers beside a librosa loop.

    python -m benchmarks.preparation FOLDER       of recordings, such as ../shared/data/esc10

Ours also checks, hashes and counts every clip; the loop is librosa.load, melspectrogram, np.save.
"""

import pathlib
import sys
import tempfile
import time

import librosa
import numpy as np
import soundfile

from benchmarks.logmel import librosa_mel
from benchmarks.timing import machine, on_cores, report
from cryjax.spec import preset
from data_prep.corpus import audio_files
from data_prep.main import prepare


def main() -> None:
    """Prints both, in turn, three times."""
    on_cores(2)
    if len(sys.argv) != 2:
        sys.exit("which folder? python -m benchmarks.preparation FOLDER")
    root, spec = pathlib.Path(sys.argv[1]), preset("uclser")
    files = [root / name for name in audio_files(root)]
    hours = sum(soundfile.info(path).duration for path in files) / 3600
    took: dict[str, list[float]] = {"ours, 2 workers": [], "librosa loop": []}
    for _ in range(3):
        with tempfile.TemporaryDirectory() as folder:
            started = time.perf_counter()
            prepare("folder", str(root), folder, split="by_clip", workers=2)
            took["ours, 2 workers"].append(time.perf_counter() - started)
        with tempfile.TemporaryDirectory() as folder:
            started = time.perf_counter()
            for i, path in enumerate(files):
                wave, _ = librosa.load(path, sr=spec.sample_rate_hz)
                mel = librosa_mel(wave, spec)
                np.save(f"{folder}/{i}.npy", np.log10(mel + 1e-8).astype(np.float16))
            took["librosa loop"].append(time.perf_counter() - started)
    print(machine("numpy", "scipy", "librosa", "soxr"))
    report(f"{len(files)} files, {hours:.2f} h", took, count=hours, unit="hours of audio")


if __name__ == "__main__":
    main()
