"""Data that is damaged, poisoned or exchanged."""

import json
import pathlib
import shutil
import signal

import numpy as np

from cryjax.data.corpus import open_corpus
from cryjax.files import save_json, sha256
from faults.runs import STEPS, Hurt, Trial, flip, make_corpus


def _copy(corpus: pathlib.Path, to: pathlib.Path) -> pathlib.Path:
    shutil.copytree(corpus, to, ignore=shutil.ignore_patterns("cache"))
    return to


def _shard(corpus: pathlib.Path) -> pathlib.Path:
    return next(corpus.glob("*.arrayrecord"))


def records(root: pathlib.Path, corpus: pathlib.Path, straight: list[float]) -> list[Hurt]:
    """Flips bits within records, cuts shards and takes them away."""
    masked = Hurt("a bit of a record flipped", "the clip is counted and left out, up to a share")
    one = _copy(corpus, root / "one-record")
    flip(_shard(one))
    trial = Trial(root / "masked", one, "--config.data.max_damaged_share=0.05")
    good, _ = trial.finish()
    masked.count(good and "1 of 40 records are damaged and left out" in trial.said, None, "1 of 40")
    refused = Hurt("more records damaged than allowed", "refused before any work, clips named")
    trial = Trial(root / "refused", one)
    status = trial.start().wait(120)
    refused.count(status == 1 and "max_damaged_share" in trial.said, None, "1 of 40 against 1 %")
    whole = Hurt("a shard cut short or missing", "the shard names itself")
    for name, harm in (
        ("cut", lambda p: p.write_bytes(p.read_bytes()[:1000])),
        ("gone", lambda p: p.unlink()),
    ):
        bad = _copy(corpus, root / f"shard-{name}")
        shard = _shard(bad)
        harm(shard)
        trial = Trial(root / f"run-{name}", bad)
        status = trial.start().wait(120)
        whole.count(status == 1 and str(shard) in trial.said, None, "and says to copy it again")
    return [masked, refused, whole]


def poisoned(root: pathlib.Path, corpus: pathlib.Path, straight: list[float]) -> list[Hurt]:
    """Puts NaN into the frame cache, as a faulty disk may; in a shard its sums would tell."""
    hurt = Hurt("NaN in one clip's mel, in the cache", "its batches change nothing and are counted")
    bad = _copy(corpus, root / "poisoned")
    lengths = open_corpus([str(bad)]).lengths
    (cache,) = bad.glob("cache/*/frames.npy")
    frames = np.lib.format.open_memmap(cache, "r+")
    frames[lengths[:7].sum() : lengths[:8].sum()] = np.nan
    frames.flush()
    trial = Trial(root / "nan", bad)
    good, _ = trial.finish()
    rows = [json.loads(line) for line in (trial.workdir / "metrics.jsonl").open()]
    skipped = int(sum(row["skipped"] for row in rows))
    finite = all(np.isfinite(row["loss"]) or row["skipped"] for row in rows)
    hurt.count(good and finite and 0 < skipped < 0.8 * STEPS, None, f"{skipped} of {STEPS} skipped")
    return [hurt]


def exchanged(root: pathlib.Path, corpus: pathlib.Path, straight: list[float]) -> list[Hurt]:
    """Resumes with another config, and with data that changed under the same name."""
    hurt = Hurt("config or data changed at resume", "refused, naming the difference")
    own = _copy(corpus, root / "exchanged")
    trial = Trial(root / "resumed", own)
    process = trial.start()
    trial.wait_for(8, process)
    process.send_signal(signal.SIGTERM)
    process.wait(60)
    status = trial.start("--config.objective.temperature=0.3").wait(120)
    said = "config.objective.temperature: 0.2 there, 0.3 here" in trial.said
    hurt.count(status == 1 and said, None)
    info = json.loads((own / "manifest.json").read_text())
    save_json(own / "manifest.json", info | {"licence": "another"})
    status = trial.start().wait(120)
    hurt.count(status == 1 and "fingerprint: " in trial.said, None, "temperature; fingerprint")
    return [hurt]


def swapped(root: pathlib.Path, corpus: pathlib.Path, straight: list[float]) -> list[Hurt]:
    """Puts another folder's shard into a folder: by itself, and with its hash in the manifest."""
    hurt = Hurt("the shard of another folder", "refused before any work, naming the shard")
    other = _shard(make_corpus(root / "other", seed=1))
    for name in ("alone", "hash too"):
        own = _copy(corpus, root / f"swapped-{name[:4]}")
        mine = _shard(own)
        shutil.copy(other, mine)
        if name == "hash too":
            info = json.loads((own / "manifest.json").read_text())
            info["shards"][0] |= {"sha256": sha256(mine), "bytes": mine.stat().st_size}
            save_json(own / "manifest.json", info)
        trial = Trial(root / f"run-swapped-{name[:4]}", own)
        status = trial.start().wait(120)
        hurt.count(status == 1 and str(own) in trial.said and not trial.steps, None, name)
    hurt.note = "alone, and with its hash in the manifest"
    return [hurt]


FAULTS = (records, poisoned, exchanged, swapped)
