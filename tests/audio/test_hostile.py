"""Malformed recordings: an AudioError each; no crash, no hang, no memory beyond a cap."""

import json
import pathlib
import shutil
import subprocess
import sys
import time

import numpy as np
import pytest
import soundfile
from hostile import doubtful, malformed

from cryjax.audio import AudioError, read
from cryjax.audio.decode import DecodeLimits
from cryjax.data.manifest import Clip
from cryjax.data.workers import Workers

ROOT = pathlib.Path(__file__).parent.parent.parent
CAP_BYTES = 1 << 30
EACH_S = 20.0

# a process of its own: of this one's children, those of other tests are the largest
PREPARER = """
import resource, sys
from data_prep.main import prepare
prepare("folder", *sys.argv[1:], split="by_clip", workers=2, max_bad_share=1)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
"""
READER = """
import json, pathlib, resource, sys, time
import numpy as np
from cryjax.audio import AudioError, read
resource.setrlimit(resource.RLIMIT_AS, ({cap}, {cap}))
for path in sorted(pathlib.Path(sys.argv[1]).iterdir()):
    started = time.monotonic()
    try:
        wave = read(path).wave
        said = f"read {{len(wave)}} {{bool(np.isfinite(wave).all())}}"
    except AudioError as error:
        said = "refused" if str(path) in str(error) and error.remedy else "unclear"
    print(json.dumps([path.name, said, time.monotonic() - started]), flush=True)
"""


def read_all(folder, files):
    folder.mkdir()
    for name, data in files.items():
        (folder / name).write_bytes(data)
    command = [sys.executable, "-c", READER.format(cap=CAP_BYTES), str(folder)]
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert [row[0] for row in rows] == sorted(files)
    assert max(row[2] for row in rows) < EACH_S
    return {name: said for name, said, _ in rows}


def test_every_malformed_recording_is_refused_with_a_remedy(tmp_path):
    files = malformed()
    assert len(files) >= 60
    said = read_all(tmp_path / "bad", files)
    assert {name: text for name, text in said.items() if text != "refused"} == {}


def test_concealed_damage_gives_finite_samples_or_is_refused(tmp_path):
    for name, text in read_all(tmp_path / "odd", doubtful()).items():
        if text != "refused":
            word, samples, finite = text.split()
            assert (word, finite) == ("read", "True"), name
            assert 0 < int(samples) <= 3 * 8000, name


def test_a_bomb_of_silence_is_refused_before_it_is_unpacked(tmp_path):
    with soundfile.SoundFile(tmp_path / "bomb.flac", "w", 1000, 1) as file:
        for _ in range(150):
            file.write(np.zeros(100_000, np.int16))
    assert (tmp_path / "bomb.flac").stat().st_size < 200_000
    with pytest.raises(AudioError, match="15000 s long; at most 14400 s are read; cut it"):
        read(tmp_path / "bomb.flac")
    with pytest.raises(AudioError, match="at most 1 s are read"):
        read(tmp_path / "bomb.flac", limits=DecodeLimits(max_samples=1000))
    assert len(read(tmp_path / "bomb.flac", start_s=14_000, end_s=14_010).wave) == 10_000


def test_a_corpus_of_malformed_recordings_ends_in_quarantine(tmp_path):
    source = tmp_path / "source"
    for label in ("good", "bad"):
        (source / label).mkdir(parents=True)
    for name, data in malformed().items():
        (source / "bad" / name).write_bytes(data)
    for i in range(4):
        soundfile.write(source / "good" / f"{i}.wav", 0.1 * np.ones(8000), 8000)
    command = [sys.executable, "-c", PREPARER, str(source), str(tmp_path / "out")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    info = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert info["quarantined"] == len(malformed())
    assert sum(shard["clips"] for shard in info["shards"]) == 4
    assert 50 << 10 < int(done.stdout.split()[-1]) < 2 << 20  # kB


@pytest.mark.filterwarnings("ignore:resource_tracker")
def test_a_recording_that_kills_or_hangs_its_process_costs_nothing_but_itself():
    from crashing import make

    names = ["0", "1", "crash", "2", "hang", "3", "hunger", "4"]
    started = time.monotonic()
    with Workers(make, 2, seconds=3) as workers:
        done = list(workers([Clip(name) for name in names]))
    assert time.monotonic() - started < 90
    assert [d.seconds for d in done if d.mel is not None] == [0.0, 1.0, 2.0, 3.0, 4.0]
    bad = {name: d.reason for name, d in zip(names, done, strict=True) if d.mel is None}
    assert set(bad) == {"crash", "hang", "hunger"}
    assert all("crashed" in bad[name] for name in ("crash", "hang"))


@pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="ffmpeg is not installed")
def test_a_phone_recording_is_refused_where_it_is_cut(tmp_path):
    from hostile import encoded

    (tmp_path / "a.wav").write_bytes(encoded("WAV", seconds=3))
    command = ["ffmpeg", "-v", "error", "-i", str(tmp_path / "a.wav"), str(tmp_path / "a.m4a")]
    subprocess.run(command, check=True)
    whole = (tmp_path / "a.m4a").read_bytes()
    for i, share in enumerate((0.1, 0.5, 0.9)):
        path = tmp_path / f"cut{i}.m4a"
        path.write_bytes(whole[: int(share * len(whole))])
        with pytest.raises(AudioError):
            read(path)
