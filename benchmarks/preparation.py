"""Decode, resample, log-mel and write a real folder: the whole command, with two workers.

    python -m benchmarks.preparation FOLDER [files]     such as ../shared/data/esc10

Ours is `python -m data_prep.main`, which also checks, hashes and counts every clip. Beside it a
script that runs joblib.Parallel(2) around librosa.load, melspectrogram and np.save. The limit is
decoding, resampling and transforming alone, by soundfile, soxr and our log-mel in two processes
that stand ready. With a number, the folder's files are linked so often that there are that many.
"""

import itertools
import pathlib
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence

import joblib
import librosa
import numpy as np
import soundfile

from benchmarks.logmel import librosa_mel
from benchmarks.timing import LIMIT, in_turns, machine, on_cores, report
from cryjax.audio.decode import resample
from cryjax.audio.logmel import make_logmel
from cryjax.spec import preset
from data_prep.corpus import audio_files

SPEC = "uclser"


def by_librosa(path: str, out: str) -> None:
    """Does with one file what many scripts do."""
    spec = preset(SPEC)
    wave, _ = librosa.load(path, sr=spec.sample_rate_hz)
    np.save(out, np.log10(librosa_mel(wave, spec) + 1e-8).astype(np.float16))


def steps_alone(paths: Sequence[str]) -> None:
    """Decodes, resamples and transforms files, and keeps nothing."""
    spec = preset(SPEC)
    logmel = make_logmel(spec)
    for path in paths:
        wave, rate = soundfile.read(path, dtype="float32", always_2d=True)
        logmel(resample(wave.mean(axis=1), rate, spec.sample_rate_hz))


def peer(root: str, out: str) -> None:
    """Runs librosa over a folder by two processes."""
    joblib.Parallel(2)(
        joblib.delayed(by_librosa)(f"{root}/{name}", f"{out}/{i}.npy")
        for i, name in enumerate(audio_files(pathlib.Path(root)))
    )


def linked(root: pathlib.Path, count: int, folder: str) -> pathlib.Path:
    """Fills a folder with links to the files of another, in turn, until there are so many."""
    names = itertools.islice(itertools.cycle(audio_files(root)), count)
    for i, name in enumerate(names):
        path = root.absolute() / name
        (pathlib.Path(folder) / f"{i}{path.suffix}").symlink_to(path)
    return pathlib.Path(folder)


def command(*arguments: str) -> Callable[[], None]:
    """Makes a function that runs a command into a fresh folder."""

    def run() -> None:
        with tempfile.TemporaryDirectory() as out:
            given = [argument.replace("OUT", out) for argument in arguments]
            subprocess.run([sys.executable, "-m", *given], check=True, stdout=subprocess.DEVNULL)

    return run


def main() -> None:
    """Prints all three, in turns."""
    if sys.argv[1:2] == ["--peer"]:
        peer(*sys.argv[2:])
        return
    on_cores(2)
    if len(sys.argv) not in (2, 3):
        sys.exit("which folder? python -m benchmarks.preparation FOLDER [files]")
    with tempfile.TemporaryDirectory() as folder:
        root = pathlib.Path(sys.argv[1])
        if len(sys.argv) == 3:
            root = linked(root, int(sys.argv[2]), folder)
        files = [str(root / name) for name in audio_files(root)]
        hours = sum(soundfile.info(path).duration for path in files) / 3600
        halves = [files[::2], files[1::2]]
        ours = (
            "data_prep.main",
            "--corpus=folder",
            f"--source={root}",
            "--out=OUT",
            f"--spec={SPEC}",
        )
        work = {
            "ours, 2 workers": command(*ours, "--split=by_clip", "--workers=2"),
            f"{LIMIT}decoding, resampling, transforming": lambda: joblib.Parallel(2)(
                joblib.delayed(steps_alone)(half) for half in halves
            ),
            "joblib.Parallel(2) of librosa": command(
                "benchmarks.preparation", "--peer", str(root), "OUT"
            ),
        }
        print(machine("numpy", "scipy", "librosa", "soxr", "joblib"))
        took = in_turns(work, 3)
    report(f"{len(files)} files, {hours:.2f} h", took, count=hours, unit="hours of audio")


if __name__ == "__main__":
    main()
