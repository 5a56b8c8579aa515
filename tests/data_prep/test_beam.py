"""Shards by Beam are those of the local path, byte for byte."""

import csv
import importlib.util

import numpy as np
import pytest
import soundfile

from data_prep import build
from data_prep.main import prepare

THERE = importlib.util.find_spec("apache_beam") is not None


@pytest.fixture
def source(tmp_path):
    rng = np.random.default_rng(0)
    with (tmp_path / "clips.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["path", "label", "group"])
        for i in range(11):
            soundfile.write(tmp_path / f"{i}.wav", 0.1 * rng.normal(size=12_000), 16_000)
            rows.writerow([f"{i}.wav", "ab"[i % 2], f"g{i}"])
    (tmp_path / "5.wav").write_bytes(b"nothing")
    return tmp_path / "clips.csv"


def files(folder):
    there = [p for p in folder.iterdir() if p.is_file() and not p.name.endswith(".lock")]
    return {p.name: p.read_bytes() for p in there}


@pytest.mark.skipif(not THERE, reason="Apache Beam is an extra: pip install -e .[beam]")
@pytest.mark.filterwarnings("ignore")
def test_beam_writes_the_bytes_of_the_local_path(source, tmp_path, monkeypatch):
    monkeypatch.setattr(build, "CLIPS_A_SHARD", 4)
    settings = {"workers": 0, "max_bad_share": 0.5}
    assert prepare("csv", str(source), str(tmp_path / "local"), **settings)
    for part in (0, 1):
        out = str(tmp_path / "beam")
        done = prepare("csv", str(source), out, beam="DirectRunner", part=f"{part}/2", **settings)
        assert done == (part == 1)
    assert files(tmp_path / "local") == files(tmp_path / "beam")


@pytest.mark.skipif(THERE, reason="Apache Beam is installed")
def test_without_beam_the_extra_is_named(source, tmp_path):
    with pytest.raises(ValueError, match=r"pip install cryjax\[beam\]"):
        prepare("csv", str(source), str(tmp_path / "out"), beam="DirectRunner")
