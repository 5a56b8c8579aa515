"""Time to accuracy: from the recordings of ESC-50 to a kNN of 40 % on fold 4, without labels.

    python -m benchmarks.accuracy FOLDER [per cent [seeds]]     needs torch and pillow; 9 minutes

FOLDER is ESC-50 as published. Ours are the two commands of a user: `data_prep.main`, then
`cryjax.main --config=configs/laptop.py`. Beside it what a careful user writes after Fonseca et al.
2021: librosa in `joblib.Parallel(2)`, a DataLoader of one process that mixes, crops, compresses and
adds noise patch by patch with numpy and PIL, and the same network, loss, optimiser, schedule and
batch in PyTorch, channels last, two threads. Both pre-train on folds 1, 2, 3 and 5, and are scored
every 50 updates by the same vote of the 20 nearest windows. Imports, compilation and scores count;
the number of updates that each one needs is its own. Seeds, three by default, run in turns: a seed
that misses 40 % at the first score by little waits for the second.
"""

import contextlib
import csv
import itertools
import math
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator
from typing import Any

import joblib
import numpy as np

from benchmarks.augmentation import one_patch
from benchmarks.embed import their_logmel
from benchmarks.timing import machine, need, on_cores, report
from configs import laptop
from cryjax.data.windows import cut
from cryjax.evaluate.knn import KnnSettings, knn_shares, vote
from cryjax.spec import preset
from cryjax.train.log import load_metrics

FOLD, REACH, EVERY = 4, 40.0, 50
RECIPE = laptop.settings()
FRAMES = laptop.FRAMES
Scores = Generator[tuple[int, float]]  # updates and accuracy in per cent, as they come


def ours(source: pathlib.Path, folder: pathlib.Path, seed: int) -> Scores:
    """Runs our two commands and yields the scores that pre-training logs."""
    python = (sys.executable, "-m")
    prepare = ("--corpus=esc", f"--source={source}", f"--out={folder}/mel", "--workers=2")
    subprocess.run(
        [*python, "data_prep.main", *prepare, f"--spec={laptop.SPEC}"],
        check=True,
        stdout=subprocess.DEVNULL,
    )
    given = {
        "seed": seed,
        "data.dirs": f"{folder}/mel",
        "data.splits": ",".join(f"fold{n}" for n in range(1, 6) if n != FOLD),
        "data.val": f"fold{FOLD}",
        "knn.every": EVERY,
    }
    settings = [f"--config.{name}={value}" for name, value in given.items()]
    command = (*python, "cryjax.main", "--config=configs/laptop.py", f"--workdir={folder}/run")
    read = 0
    with subprocess.Popen([*command, *settings], stdout=subprocess.DEVNULL) as run:
        try:
            while run.poll() is None:
                time.sleep(0.2)
                rows = load_metrics(folder / "run")
                for values in rows[read:]:
                    if "knn_accuracy" in values:
                        yield int(values["step"]), 100 * values["knn_accuracy"]
                read = len(rows)
        finally:
            run.kill()


def theirs(source: pathlib.Path, folder: pathlib.Path, seed: int) -> Scores:
    """Runs the peer as a process of its own and yields the scores that it prints."""
    given = (str(source), str(folder), str(seed))
    command = (sys.executable, "-m", "benchmarks.accuracy", "--peer", *given)
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, start_new_session=True
    ) as run:
        try:
            for line in run.stdout or ():
                step, accuracy = line.split()
                yield int(step), float(accuracy)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(run.pid, signal.SIGKILL)  # its DataLoader's process too


def write_mel(path: pathlib.Path, out: pathlib.Path) -> None:
    """Keeps a recording's log-mel, (frames, mels)."""
    np.save(out, their_logmel(path, preset(laptop.SPEC)).astype(np.float16))


class Views:
    """A dataset of recordings: two augmented patches of each, drawn anew at every visit."""

    def __init__(self, paths: list[pathlib.Path], mean: float, std: float):
        self.paths, self.mean, self.std = paths, mean, std

    def __len__(self) -> int:
        return len(self.paths)

    def patch(self, rng: np.random.Generator, index: int) -> np.ndarray:
        """Reads a patch from anywhere in a recording."""
        mel = np.load(self.paths[index], mmap_mode="r")
        first = rng.integers(len(mel) - FRAMES + 1)
        return np.asarray(mel[first : first + FRAMES], np.float32)

    def __getitem__(self, index: int) -> Any:
        import torch  # pyright: ignore[reportMissingImports]
        from PIL import Image  # pyright: ignore[reportMissingImports]

        rng = np.random.default_rng(int(torch.randint(2**31, ()).item()))
        views = []
        for _ in range(2):
            fore, back = (self.patch(rng, i) for i in (index, int(rng.integers(len(self)))))
            views.append(one_patch(Image, rng, fore, back, math.e))
        return torch.from_numpy((np.stack(views) - self.mean) / self.std)


class Votes:
    """The windows of all recordings, as ours are cut, and the vote over them."""

    def __init__(self, mels: list[np.ndarray], names: list[str], train: np.ndarray):
        (windows,) = cut(np.array([len(mel) for mel in mels]), RECIPE.windows)
        self.owner = windows.window_to_clip
        places = zip(self.owner, windows.starts, strict=True)
        self.mel = np.array([mels[i][first : first + FRAMES] for i, first in places], np.float32)
        self.labels = np.unique(names, return_inverse=True)[1]
        self.known, self.asked = train[self.owner], np.flatnonzero(~train)

    def accuracy(self, h: np.ndarray) -> float:
        """Per cent of the asked recordings that their windows' neighbours name."""
        known, asked = self.known, ~self.known
        shares = knn_shares(
            h[asked],
            self.owner[asked],
            h[known],
            self.owner[known],
            self.labels[self.owner[known]],
            KnnSettings(),
            classes=self.labels.max() + 1,
        )
        clip = np.searchsorted(self.asked, self.owner[asked])
        _, decided = vote(shares, clip, len(self.asked))
        return 100 * float(np.mean(decided == self.labels[self.asked]))


def optimiser_of(torch: Any, model: Any) -> tuple[Any, Any]:
    """Makes AdamW as the recipe has it, and its schedule: warm-up, then a cosine."""
    optim, steps = RECIPE.optim, RECIPE.steps
    parts = [
        [p for p in model.parameters() if (p.ndim > 1) == kernels] for kernels in (True, False)
    ]
    decays = (optim.weight_decay, 0.0)
    groups = [{"params": p, "weight_decay": d} for p, d in zip(parts, decays, strict=True)]
    optimiser, warmup = torch.optim.AdamW(groups, optim.learning_rate), optim.warmup * steps

    def schedule(step: int) -> float:
        if step < warmup:
            return step / warmup
        return 0.5 * (1 + math.cos(math.pi * (step - warmup) / (steps - warmup)))

    return optimiser, torch.optim.lr_scheduler.LambdaLR(optimiser, schedule)


def peer(source: pathlib.Path, folder: pathlib.Path, seed: int) -> None:
    """Prepares, trains and scores by librosa, numpy, PIL, PyTorch; prints scores as they come."""
    import torch  # pyright: ignore[reportMissingImports]

    from benchmarks import peers

    torch.set_num_threads(2)
    torch.manual_seed(seed)
    with open(source / "meta" / "esc50.csv", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    paths = [folder / f"{row['filename']}.npy" for row in rows]
    joblib.Parallel(2)(
        joblib.delayed(write_mel)(source / "audio" / row["filename"], path)
        for row, path in zip(rows, paths, strict=True)
    )
    mels = [np.load(path) for path in paths]
    train = np.array([int(row["fold"]) != FOLD for row in rows])
    used = np.flatnonzero(train)
    levels = np.concatenate([mels[i] for i in used]).astype(np.float32)
    mean, std = float(levels.mean()), float(levels.std())
    width, temperature = RECIPE.encoder.width, laptop.PRETRAIN["objective"]["temperature"]
    assert width
    model: Any = peers.SimCLR(peers.VGG(width), 16 * width, temperature)
    model = model.to(memory_format=torch.channels_last)
    optimiser, rates = optimiser_of(torch, model)
    votes = Votes(mels, [row["category"] for row in rows], train)
    loader = torch.utils.data.DataLoader(
        Views([paths[i] for i in used], mean, std),
        RECIPE.batch_size,
        shuffle=True,
        drop_last=True,
        num_workers=1,
        persistent_workers=True,
    )
    batches = (views for _ in range(RECIPE.steps) for views in loader)
    for step, views in zip(range(1, RECIPE.steps + 1), batches, strict=False):
        optimiser.zero_grad(set_to_none=True)
        model(views).backward()
        optimiser.step()
        rates.step()
        if step % EVERY == 0:
            model.eval()
            with torch.inference_mode():
                parts = torch.from_numpy((votes.mel - mean) / std)[:, None].split(256)
                h = torch.cat([model.encoder(part) for part in parts]).numpy()
            model.train()
            print(step, votes.accuracy(h), flush=True)


def main() -> None:
    """Prints the curves, then the seconds that each side took to the accuracy."""
    if sys.argv[1:2] == ["--peer"]:
        source, folder, seed = sys.argv[2:]
        peer(pathlib.Path(source), pathlib.Path(folder), int(seed))
        return
    on_cores(2)
    if len(sys.argv) not in (2, 3, 4):
        sys.exit("which folder? python -m benchmarks.accuracy FOLDER [per cent [seeds]]")
    need("torch", "pip install torch==2.13.0")
    need("PIL.Image", "pip install pillow")
    source, *given = sys.argv[1:]
    reach, seeds = float(given[0]) if given else REACH, int(given[1]) if given[1:] else 3
    print(machine("jax", "torch", "librosa"))
    sides = {"ours, two commands": ours, "librosa, numpy, PIL, PyTorch": theirs}
    took: dict[str, list[float]] = {name: [] for name in sides}
    for seed, (name, side) in itertools.product(range(seeds), sides.items()):
        started, done = time.perf_counter(), False
        with tempfile.TemporaryDirectory() as folder:
            scores = side(pathlib.Path(source), pathlib.Path(folder), seed)
            with contextlib.closing(scores):
                for step, accuracy in scores:
                    seconds = time.perf_counter() - started
                    print(f"{name}, {seed=}: {accuracy:.1f} % after {step}, {seconds:.0f} s")
                    if done := accuracy >= reach:
                        took[name].append(seconds)
                        break
        if not done:
            sys.exit(f"{name} did not reach {reach:g} %")
    report(f"ESC-50 fold {FOLD} to {reach:g} % by kNN", took, count=1, unit="runs")


if __name__ == "__main__":
    main()
