"""Mutated recordings, records, manifests and tables: python -m faults.fuzz --minutes=10.

Every input is a real file with a few bytes changed, moved, cut or doubled. It must be read, or be
refused by a `UserError`; everything else (another exception, a dead process, more than 10 s) is a
finding, whose input is kept. Two processes; exits with 1 where there is a finding.
"""

import argparse
import json
import multiprocessing
import pathlib
import random
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable

import numpy as np
import soundfile

from cryjax.audio import AudioError, DecodeLimits, read
from cryjax.data.corpus import DataSettings, open_corpus
from cryjax.data.manifest import load_manifest
from cryjax.data.shards import decode_record, encode
from cryjax.errors import UserError
from cryjax.files import save_json, sha256
from data_prep.main import prepare

SECONDS = 10  # that one input may take
FORMATS = ("wav", "flac", "ogg", "mp3", "aiff", "caf")
Seed = tuple[Callable[[pathlib.Path], None], str, bytes]
LIMITS = DecodeLimits(max_s=60.0)


def mutate(data: bytes, rng: random.Random) -> bytes:
    """Changes one to six places of some bytes."""
    changed = bytearray(data)
    for _ in range(rng.randrange(1, 7)):
        at, size = rng.randrange(len(changed) + 1), rng.choice((1, 1, 2, 4, 16, 200))
        kind = rng.randrange(5)
        if kind == 0:
            changed[at : at + size] = rng.randbytes(size)
        elif kind == 1:
            del changed[at : at + size]
        elif kind == 2:
            changed[at:at] = changed[at : at + size]
        elif kind == 3:
            head = rng.randrange(min(128, len(changed) + 1))  # where formats keep their claims
            changed[head : head + 4] = rng.choice((b"\0\0\0\0", b"\xff\xff\xff\xff", b"\x7f\0\0\1"))
        elif changed and at < len(changed):
            changed[at] ^= 1 << rng.randrange(8)
    return bytes(changed)


def _recording(path: pathlib.Path) -> None:
    read(path, limits=LIMITS)


def _record(path: pathlib.Path) -> None:
    decode_record(path.read_bytes())


def _table(path: pathlib.Path) -> None:
    load_manifest(path)


def _shard_set(path: pathlib.Path) -> None:
    """Opens a prepared folder with one file exchanged, its hash made right where one is kept."""
    folder = path.parent / f"{path.name}-set"
    shutil.copytree(path.parent / "prepared", folder)
    name = path.name.split("=", 1)[1]
    shutil.copy(path, folder / name)
    if name != "manifest.json":
        info = json.loads((folder / "manifest.json").read_text())
        if name == "clips.csv":
            info["clips_sha256"] = sha256(path)
        else:
            info["shards"][0] |= {"sha256": sha256(path), "bytes": path.stat().st_size}
        save_json(folder / "manifest.json", info)
    try:
        open_corpus([str(folder)], DataSettings(source="shards"))
    finally:
        shutil.rmtree(folder)


def seeds(root: pathlib.Path) -> list[Seed]:
    """Makes the real files that are mutated: (reader, ending of the name, content)."""
    rng, found = np.random.default_rng(0), []
    source = root / "source"
    source.mkdir()
    for i in range(6):
        soundfile.write(source / f"{i}.wav", 0.1 * rng.normal(size=8000), 16_000)
    rows = "".join(f"{i}.wav,0.0,0.4,{'ab'[i % 2]},g{i},train\n" for i in range(6))
    (source / "clips.csv").write_text("path,start_s,end_s,label,group,split\n" + rows)
    prepare("csv", str(source / "clips.csv"), str(root / "prepared"), workers=0)
    wave = (source / "0.wav").read_bytes()
    found.append((_recording, ".m4a", wave))  # read by ffmpeg, whatever it is in truth
    for name in FORMATS:
        path = source / f"x.{name}"
        soundfile.write(path, 0.1 * rng.normal(size=8000), 16_000)
        found.append((_recording, path.suffix, path.read_bytes()))
    found.append((_table, ".csv", (source / "clips.csv").read_bytes()))
    shard = next((root / "prepared").glob("*.arrayrecord"))
    for name in ("manifest.json", "clips.csv", shard.name):
        found.append((_shard_set, f"={name}", (root / "prepared" / name).read_bytes()))
    record = encode(np.zeros((3, 2), np.float16), clip=0, label=0, identity=bytes(8))
    found.append((_record, ".record", record))
    return found


def _hunt(
    root: pathlib.Path, kept: list[Seed], number: int, until: float, said: multiprocessing.Queue
) -> None:
    rng, tried = random.Random(number), 0
    while time.monotonic() < until:
        reader, ending, content = rng.choice(kept)
        path = root / f"{number}{ending}"
        path.write_bytes(mutate(content, rng))
        signal.alarm(SECONDS)  # its default ends the process, which is a finding
        try:
            reader(path)
        except (UserError, AudioError):
            pass
        except Exception as error:
            shutil.copy(path, root / f"finding-{number}-{tried}{ending}")
            said.put(f"{reader.__name__} {ending}: {error!r}")
        signal.alarm(0)
        tried += 1
    said.put(tried)


def main() -> int:
    """Mutates until the time is over."""
    parser = argparse.ArgumentParser("python -m faults.fuzz", description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--processes", type=int, default=2)
    asked = parser.parse_args()
    root = pathlib.Path(tempfile.mkdtemp(prefix="cryjax-fuzz-"))
    kept = seeds(root)
    context = multiprocessing.get_context("spawn")
    said, until = context.Queue(), time.monotonic() + 60 * asked.minutes
    hunters = [
        context.Process(target=_hunt, args=(root, kept, n, until, said))
        for n in range(asked.processes)
    ]
    for hunter in hunters:
        hunter.start()
    tried, findings = 0, set()
    while any(hunter.is_alive() for hunter in hunters) or not said.empty():
        if said.empty():
            time.sleep(0.1)
        elif isinstance(found := said.get(), int):
            tried += found
        elif found not in findings:
            findings.add(found)
            print(found, flush=True)
    dead = [hunter.exitcode for hunter in hunters if hunter.exitcode]
    print(f"{tried:,} inputs, {len(findings)} findings, processes that died: {dead}; in {root}")
    return int(bool(findings or dead))


if __name__ == "__main__":
    sys.exit(main())
