"""Recordings to shards: damaged files, resumption, parts, equal bytes, the audit."""

import csv
import itertools
import json

import numpy as np
import pytest
import soundfile

from cryjax.data.corpus import open_corpus
from cryjax.data.shards import load_shards
from data_prep import audit, build
from data_prep.main import prepare


@pytest.fixture
def source(tmp_path):
    """Twelve good recordings of two classes and four bad ones."""
    rng = np.random.default_rng(0)
    for label, i in itertools.product(("cry", "other"), range(6)):
        folder = tmp_path / "raw" / label
        folder.mkdir(parents=True, exist_ok=True)
        rate = (8000, 44_100, 22_050)[i % 3]
        wave = 0.1 * rng.normal(size=int(rate * (0.4 + 0.3 * i))).astype(np.float32)
        soundfile.write(folder / f"{i}.wav", wave, rate)
    bad = tmp_path / "raw" / "cry"
    (bad / "text.wav").write_text("hello")
    (bad / "empty.wav").write_bytes(b"")
    whole = (bad / "5.wav").read_bytes()
    (bad / "truncated.wav").write_bytes(whole[: len(whole) // 2])
    soundfile.write(bad / "nan.wav", np.full(999, np.nan, np.float32), 8000, subtype="FLOAT")
    return tmp_path / "raw"


def run(source, out, **kwargs):
    return prepare("folder", str(source), str(out), workers=0, max_bad_share=0.5, **kwargs)


def files(folder):
    return {p.name: p.read_bytes() for p in folder.iterdir() if p.is_file()}


def test_bad_files_are_quarantined_and_the_run_ends_well(source, tmp_path, capsys):
    assert run(source, tmp_path / "out")
    with (tmp_path / "out" / "quarantine.csv").open() as file:
        bad = {row["path"]: row["reason"] for row in csv.DictReader(file)}
    assert set(bad) == {f"cry/{n}.wav" for n in ("text", "empty", "truncated", "nan")}
    assert "truncated" in bad["cry/truncated.wav"]
    assert "not finite" in bad["cry/nan.wav"]
    shards = load_shards(tmp_path / "out")
    assert len(shards.clips) == 12
    assert shards.classes == ["cry", "other"]
    out = capsys.readouterr().out
    assert "quarantined: 4" in out
    assert "8000 Hz: 4" in out


def test_too_many_bad_files_stop_the_run(source, tmp_path):
    with pytest.raises(ValueError, match="4 of 16 clips are bad, more than --max_bad_share=0.1"):
        prepare("folder", str(source), str(tmp_path / "out"), workers=0, max_bad_share=0.1)
    assert (tmp_path / "out" / "quarantine.csv").exists()
    assert not (tmp_path / "out" / "manifest.json").exists()


def test_two_runs_and_three_parts_give_the_same_bytes(source, tmp_path, monkeypatch):
    monkeypatch.setattr(build, "CLIPS_A_SHARD", 3)
    run(source, tmp_path / "a")
    prepare("folder", str(source), str(tmp_path / "b"), workers=2, max_bad_share=0.5)
    done = [run(source, tmp_path / "c", part=f"{i}/3") for i in (2, 0, 1)]
    assert done == [False, False, True]
    assert files(tmp_path / "a") == files(tmp_path / "b") == files(tmp_path / "c")
    assert len(list((tmp_path / "a").glob("*.arrayrecord"))) > 3


def test_an_interrupted_run_continues_with_the_missing_shards(source, tmp_path, monkeypatch):
    monkeypatch.setattr(build, "CLIPS_A_SHARD", 3)
    run(source, tmp_path / "whole")
    prepared = []
    original = build.Worker.__call__

    def counting(self, clip):
        prepared.append(clip.path)
        if len(prepared) == 8:
            raise KeyboardInterrupt
        return original(self, clip)

    monkeypatch.setattr(build.Worker, "__call__", counting)
    with pytest.raises(KeyboardInterrupt):
        run(source, tmp_path / "out")
    assert not (tmp_path / "out" / "manifest.json").exists()
    first = len(prepared)
    run(source, tmp_path / "out")
    assert len(prepared) - first == 16 - 6
    assert files(tmp_path / "whole") == files(tmp_path / "out")
    run(source, tmp_path / "out")
    assert len(prepared) - first == 16 - 6


def test_mels_and_statistics_are_those_of_the_recordings(source, tmp_path):
    run(source, tmp_path / "out")
    corpus = open_corpus([str(tmp_path / "out")])
    rows = corpus.rows(["train"])
    values = np.concatenate(
        [
            corpus.frames.gather(np.array([r]), np.array([0]), int(corpus.lengths[r]))[0]
            for r in rows
        ]
    ).astype(np.float64)
    np.testing.assert_allclose(corpus.statistics(rows), [values.mean(), values.std()], rtol=1e-6)
    assert corpus.lengths.min() == 101  # short recordings are tiled to one second
    info = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert info["statistics"]["train"]["mean"] == pytest.approx(values.mean())


def test_empty_and_wrong_inputs_are_errors(tmp_path):
    (tmp_path / "nothing").mkdir()
    with pytest.raises(ValueError, match="no clips found; the layout expected there is <label>"):
        run(tmp_path / "nothing", tmp_path / "out")
    with pytest.raises(ValueError, match="got 'fold'; near: \\['folder'"):
        prepare("fold", "x", str(tmp_path))
    for name in "abc":
        soundfile.write(tmp_path / "nothing" / f"{name}.wav", np.zeros(9000), 8000)
    with pytest.raises(ValueError, match="part must be i/n"):
        run(tmp_path / "nothing", tmp_path / "out", part="3/3")


def test_the_audit_finds_shared_groups_and_copies(source, tmp_path):
    run(source, tmp_path / "clean")
    text, leaks = audit.audit(str(tmp_path / "clean"), ["label"])
    assert leaks == 0
    assert "in more than one split: 0" in text
    wave, rate = soundfile.read(source / "cry" / "0.wav")
    for i in range(8):  # the same recording under other names
        soundfile.write(source / "cry" / f"copy{i}.wav", wave, rate)
    run(source, tmp_path / "copies", duplicates="keep")
    text, leaks = audit.audit(str(tmp_path / "copies"), ["label"])
    assert leaks == 1
    assert "cry/copy" in text
    for handling, clips in (("group", 20), ("drop", 12)):  # the shards are used again
        run(source, tmp_path / "copies", duplicates=handling)
        text, leaks = audit.audit(str(tmp_path / "copies"), ["label"])
        assert leaks == 0
        shards = load_shards(tmp_path / "copies")
        assert len(shards.rows(["*"])) == clips
        note = shards.info["notes"][0]
        assert note.startswith("8 clips are exact copies of 1 others")
        assert note in (tmp_path / "copies" / "summary.txt").read_text()


def test_the_audit_finds_groups_on_both_sides(source, tmp_path):
    rows = ["path,label,group"] + [f"cry/{i}.wav,cry,baby{i % 2}" for i in range(6)]
    (source / "clips.csv").write_text("\n".join(rows))
    prepare("csv", str(source / "clips.csv"), str(tmp_path / "out"), split="by_clip", workers=0)
    text, leaks = audit.audit(str(tmp_path / "out"), [])
    assert leaks >= 1
    assert "LEAKY" in text
    assert "baby0" in text or "baby1" in text
