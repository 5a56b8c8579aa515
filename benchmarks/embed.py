"""An hour of 44.1-kHz wav to embeddings on two cores, beside librosa and PyTorch.

    python -m benchmarks.embed FOLDER [vgg] [cnn14]      needs torch; FOLDER holds recordings

Real recordings of FOLDER are written as 16-bit mono wav of 44.1 kHz until there is an hour. Ours is
the job behind `cryjax embed`, with two processes that decode. Theirs is a careful user's: a
DataLoader of two processes with librosa.load, melspectrogram and the logarithm, and the same
network with the same weights in eval and inference mode over batches of the same size. What both
say of the first recording is compared before anything is timed.
"""

import pathlib
import sys
import tempfile
from typing import Any

import librosa
import numpy as np
import soundfile

from benchmarks.logmel import librosa_mel
from benchmarks.simclr import copy_kernels, zero_biases
from benchmarks.timing import in_turns, machine, need, on_cores, report
from cryjax.audio.decode import read, resample
from cryjax.data.windows import Windows, cut
from cryjax.deploy.job import Job
from cryjax.deploy.recordings import find, joined
from cryjax.encoder import BATCH, Encoder, random_encoder
from cryjax.models import EncoderSettings
from cryjax.spec import FeatureSpec, preset
from cryjax.train.mesh import keep_compiled, use_all_cores
from data_prep.corpus import audio_files

RATE_HZ, SECONDS = 44_100, 3600.0
CASES = {"vgg": ("laptop", Windows(48, 24)), "cnn14": ("panns", Windows(401, 401))}
STATISTICS = {"laptop": (-5.0, 3.0), "panns": (-40.0, 20.0)}


def hour_of_wav(source: pathlib.Path, folder: pathlib.Path) -> float:
    """Writes recordings of a folder as wav until there is an hour; returns the hours written."""
    seconds = 0.0
    for number, name in enumerate(audio_files(source)):
        if seconds >= SECONDS:
            break
        found = read(source / name)
        wave = resample(found.wave, found.rate_hz, RATE_HZ)
        soundfile.write(folder / f"{number}.wav", wave, RATE_HZ, subtype="PCM_16")
        seconds += len(wave) / RATE_HZ
    return seconds / 3600


def their_logmel(path: pathlib.Path, spec: FeatureSpec) -> np.ndarray:
    """Computes (frames, mels) as a user of librosa does."""
    wave, _ = librosa.load(path, sr=spec.sample_rate_hz)
    mel = librosa_mel(wave, spec)
    if spec.log == "db":
        return librosa.power_to_db(mel, amin=spec.log_floor, top_db=None).T
    return np.log(mel + spec.log_offset).T


class Patches:
    """A dataset of recordings: the standardised windows of each; picklable for the DataLoader."""

    def __init__(self, paths: list[pathlib.Path], encoder: Encoder):
        self.paths, self.spec, self.windows = paths, encoder.spec, encoder.windows
        self.mean, self.std = encoder.meta.statistics

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> Any:
        import torch  # pyright: ignore[reportMissingImports]

        mel = (their_logmel(self.paths[index], self.spec) - self.mean) / self.std
        (part,) = cut(np.array([len(mel)]), self.windows)
        rows = part.starts[:, None] + np.arange(part.frames)
        return torch.from_numpy(mel[rows].astype(np.float32))


def theirs(torch: Any, name: str, paths: list[pathlib.Path], encoder: Encoder) -> np.ndarray:
    """Embeds recordings by PyTorch."""
    from benchmarks import peers

    model = peers.ENCODERS[name][0](**({"mels": encoder.spec.n_mels} if name == "cnn14" else {}))
    copy_kernels(torch, encoder.module, model)
    model = model.eval()
    loader = torch.utils.data.DataLoader(
        Patches(paths, encoder), batch_size=None, num_workers=2, prefetch_factor=8
    )
    made, held, count = [], [], 0
    with torch.inference_mode():
        for patches in loader:
            held.append(patches)
            count += len(patches)
            while count >= BATCH:
                batch = torch.cat(held)
                made.append(model(batch[:BATCH, None]).numpy())
                held, count = [batch[BATCH:]], count - BATCH
        if count:
            made.append(model(torch.cat(held)[:, None]).numpy())
    return np.concatenate(made)


def ours(paths: list[pathlib.Path], encoder: Encoder) -> np.ndarray:
    """Embeds recordings by the job behind `cryjax embed`."""
    with tempfile.TemporaryDirectory() as folder:
        job = Job(encoder, find([str(p) for p in paths]), pathlib.Path(folder) / "job", workers=2)
        return joined([part for part, _ in job]).h


def main() -> None:
    """Prints a block an encoder."""
    on_cores(2)
    if len(sys.argv) < 2:
        sys.exit("which folder? python -m benchmarks.embed FOLDER [vgg] [cnn14]")
    torch = need("torch", "pip install torch==2.13.0")
    torch.set_num_threads(2)
    use_all_cores()
    keep_compiled()
    print(machine("jax", "torch", "librosa", "soxr"))
    with tempfile.TemporaryDirectory() as text:
        folder = pathlib.Path(text)
        hours = hour_of_wav(pathlib.Path(sys.argv[1]), folder)
        paths = sorted(folder.glob("*.wav"))
        for name in sys.argv[2:] or CASES:
            spec_name, windows = CASES[name]
            encoder = random_encoder(
                EncoderSettings(name),
                preset(spec_name),
                windows,
                normalise="dataset",
                statistics=STATISTICS[spec_name],
                seed=0,
            )
            zero_biases(encoder.module)
            a, b = ours(paths[:3], encoder), theirs(torch, name, paths[:3], encoder)
            scale = float(np.abs(b).max())
            np.testing.assert_allclose(a, b, atol=2e-2 * scale)  # ours are stored as float16
            print(f"greatest difference: {float(np.abs(a - b).max()) / scale:.1e} of the largest")
            runs = {
                "ours, cryjax embed": lambda e=encoder: ours(paths, e),
                "librosa, DataLoader, PyTorch": lambda e=encoder, n=name: theirs(
                    torch, n, paths, e
                ),
            }
            took = in_turns(runs, 3 if name == "vgg" else 1)
            report(
                f"{name}, {len(paths)} files, {hours:.2f} h",
                took,
                count=60 * hours,
                unit="minutes of audio",
            )


if __name__ == "__main__":
    main()
