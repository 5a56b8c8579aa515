"""Batches of random 101-frame patches from ten-second clips, on one core.

    python -m benchmarks.batches          needs torch

Beside PyTorch's DataLoader over one .npy a clip, and over one array in memory; 600 clips of 1000
frames by 96 bands in float16, batches of 256, everything in the page cache.
"""

import collections
import itertools
import pathlib
import random
import tempfile
from typing import Any

import numpy as np

from benchmarks.timing import LIMIT, copying, in_turns, machine, need, on_cores, report
from cryjax.data import shards
from cryjax.data.batches import Sampling, make_batches
from cryjax.data.corpus import open_corpus
from cryjax.data.manifest import Clip, save_csv, to_rows
from cryjax.files import save_json, sha256
from cryjax.spec import preset

CLIPS, LONG, FRAMES, BATCH, BATCHES = 600, 1000, 101, 256, 40


def write(root: pathlib.Path) -> np.ndarray:
    """Writes noise as shards and as one file a clip."""
    spec = preset("uclser")
    mels = np.random.default_rng(0).normal(size=(CLIPS, LONG, spec.n_mels)).astype(np.float16)
    path = root / "shard-0.arrayrecord"
    clips = []
    for i, mel in enumerate(mels.astype(np.float64)):
        sums = {"mel_sum": repr(float(mel.sum())), "mel_square_sum": repr(float((mel**2).sum()))}
        extra = dict.fromkeys(shards.COMPUTED, "0") | {"frames": str(LONG)} | sums
        clips.append(Clip(f"{i}.wav", label="a", group=f"g{i}", split="train", extra=extra))
    records = (
        shards.encode(mel, clip=i, label=0, identity=clips[i].identity)
        for i, mel in enumerate(mels)
    )
    digest, size = shards.write_shard(path, records)
    save_csv(root / "clips.csv", to_rows(clips))
    info = {"name": path.name, "clips": CLIPS, "sha256": digest, "bytes": size}
    manifest = {
        "schema": shards.VERSION,
        "spec": spec.to_json(),
        "classes": ["a"],
        "shards": [info],
        "clips_sha256": sha256(root / "clips.csv"),
        "corpus": "noise",
    }
    save_json(root / "manifest.json", manifest)
    for i, mel in enumerate(mels):
        np.save(root / f"{i}.npy", mel)
    return mels


def loader(torch: Any, read: Any) -> Any:
    """Makes an endless DataLoader over random patches of clips."""

    class Patches(torch.utils.data.Dataset):
        def __len__(self) -> int:
            return CLIPS * 200

        def __getitem__(self, index: int) -> Any:
            start = random.randrange(LONG - FRAMES + 1)
            return read(index % CLIPS)[start : start + FRAMES]

    def stack(patches: list) -> Any:  # faster than the default's tensor by tensor
        return torch.from_numpy(np.stack(patches))

    loader = torch.utils.data.DataLoader(
        Patches(), batch_size=BATCH, shuffle=True, collate_fn=stack, num_workers=0
    )
    return itertools.chain.from_iterable(itertools.repeat(loader))


def main() -> None:
    """Compares values, then prints all three times."""
    on_cores(1)
    torch = need("torch", "pip install torch==2.13.0")
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        root = pathlib.Path(folder)
        mels = write(root)
        corpus = open_corpus([folder])
        stream = make_batches(
            corpus, corpus.rows(["train"]), Sampling(FRAMES), batch_size=BATCH, seed=0
        )
        batch = next(stream)
        flat = corpus.frames.gather(batch["index"][:4], np.zeros(4, int), LONG)
        np.testing.assert_array_equal(flat, mels[batch["index"][:4]])
        files = loader(torch, lambda i: np.load(root / f"{i}.npy", mmap_mode="r"))
        memory = loader(torch, mels.__getitem__)
        np.testing.assert_equal(
            {next(s).shape for s in (files, memory)}, {batch["mel"][:, 0].shape}
        )

        def take(source: Any) -> Any:  # like a run, which keeps no batch
            return lambda: collections.deque(itertools.islice(source, BATCHES), maxlen=1)

        held = [np.asarray(next(stream)["mel"]) for _ in range(BATCHES)]  # more than a cache holds
        work = {
            "ours (frame cache, grain)": take(stream),
            f"{LIMIT}copying the batches": copying(*held),
            "DataLoader, one .npy a clip": take(files),
            "DataLoader, array in memory": take(memory),
        }
        print(machine("numpy", "grain", "torch"))
        report("random patches", in_turns(work, 5), count=BATCH * BATCHES, unit="patches")


if __name__ == "__main__":
    main()
