"""Recordings to shards: damaged files, resumption, parts, equal bytes, the audit."""

import csv
import dataclasses
import json
import os

import numpy as np
import pytest
import soundfile

from cryjax.audio import read
from cryjax.data import leaks, preparation
from cryjax.data.corpus import open_corpus
from cryjax.data.manifest import Clip, save_csv
from cryjax.data.shards import load_shards
from cryjax.spec import preset
from data_prep import CORPORA, audit, build
from data_prep.main import prepare
from data_prep.plan import Options, make_plan


def run(source, out, **kwargs):
    return prepare("folder", str(source), str(out), workers=0, max_bad_share=0.5, **kwargs)


def files(folder):
    there = [p for p in folder.iterdir() if p.is_file() and not p.name.endswith(".lock")]
    return {p.name: p.read_bytes() for p in there}


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


def test_files_that_were_mended_or_replaced_are_read_again(source, tmp_path, monkeypatch):
    """Following a remedy did nothing: a finished shard kept its old recordings for ever."""
    out = tmp_path / "out"
    (source / "cry" / "phone.m4a").write_bytes(b"x")
    monkeypatch.setattr(build.shutil, "which", lambda name: None)
    assert run(source, out)
    before = {clip.path: clip.audio for clip in load_shards(out).clips}
    times = {path.name: path.stat().st_mtime_ns for path in out.glob("shard-*")}
    assert run(source, out)
    assert times == {path.name: path.stat().st_mtime_ns for path in out.glob("shard-*")}
    good = (source / "cry" / "5.wav").read_bytes()
    (source / "cry" / "empty.wav").write_bytes(good)
    (source / "cry" / "0.wav").write_bytes(good)
    assert run(source, out)
    after = {clip.path: clip.audio for clip in load_shards(out).clips}
    assert after.keys() - before.keys() == {"cry/empty.wav"}
    assert after["cry/0.wav"] == after["cry/empty.wav"] == after["cry/5.wav"]
    read_again = []
    monkeypatch.setattr(build.shutil, "which", lambda name: "ffmpeg")  # was installed
    monkeypatch.setattr(build, "write_shard", lambda *args: read_again.append(args))
    build.build(make_plan(CORPORA["folder"], str(source), out, Options()), workers=0)
    assert read_again


def test_one_file_that_cannot_be_opened_does_not_end_the_run(source, tmp_path, monkeypatch):
    """A file without permission, or a path too long for the system, ended it."""

    def refuse(path, **_):
        if path.name == "2.wav":
            raise PermissionError(13, "Permission denied")
        return read(path, **_)

    monkeypatch.setattr(preparation, "read", refuse)
    assert run(source, tmp_path / "out")
    with (tmp_path / "out" / "quarantine.csv").open() as file:
        bad = {row["path"]: row["reason"] for row in csv.DictReader(file)}
    assert bad["cry/2.wav"] == "not readable (Permission denied)"
    worker = preparation.Worker(source, preset("uclser"))
    monkeypatch.setattr(preparation, "read", read)
    assert worker(Clip("x" * 300 + ".wav")).reason.startswith("not readable (")
    soundfile.write(source / "fast.wav", np.ones(48_000, np.float32) / 2, 48_000)
    last = worker(Clip("fast.wav", start_s=0.99998))
    assert (last.mel, last.reason) == (None, "no sample at the spec's rate")


def test_recordings_that_were_made_otherwise_are_not_taken_for_others(tmp_path):
    """Another seed took the old recordings under its name."""
    made = []

    def make(folder, seed, source):
        made.append(seed)
        folder.mkdir(parents=True, exist_ok=True)
        rows = [{"path": f"{i}.wav", "label": "x", "group": f"g{i}"} for i in range(4)]
        save_csv(folder / "clips.csv", rows)

    recipe = dataclasses.replace(CORPORA["synthetic"], make=make)
    for _ in range(2):
        make_plan(recipe, None, tmp_path, Options(seed=1))
    assert made == [1]
    with pytest.raises(ValueError, match=r"recordings.seed: 1 there, 2 here\): remove it, or give"):
        make_plan(recipe, None, tmp_path, Options(seed=2))
    other = dataclasses.replace(recipe, name="other")
    with pytest.raises(ValueError, match="recordings.corpus: 'synthetic' there, 'other' here"):
        make_plan(other, None, tmp_path, Options(seed=1))


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
    text, verdict = audit.describe(str(tmp_path / "clean"), ["label"])
    assert verdict == leaks.UNKNOWN  # a folder names no groups
    assert "in more than one split: 0" in text
    wave, rate = soundfile.read(source / "cry" / "0.wav")
    for i in range(8):  # the same recording under other names
        soundfile.write(source / "cry" / f"copy{i}.wav", wave, rate)
    run(source, tmp_path / "copies", duplicates="keep")
    text, verdict = audit.describe(str(tmp_path / "copies"), ["label"])
    assert verdict == leaks.LEAK
    assert "cry/copy" in text
    for handling, clips in (("group", 20), ("drop", 12)):  # the shards are used again
        run(source, tmp_path / "copies", duplicates=handling)
        text, verdict = audit.describe(str(tmp_path / "copies"), ["label"])
        assert verdict == leaks.UNKNOWN
        shards = load_shards(tmp_path / "copies")
        assert len(shards.rows(["*"])) == clips
        note = shards.info["notes"][0]
        assert note.startswith("8 clips are exact copies of 1 others")
        assert note in (tmp_path / "copies" / "summary.txt").read_text()


def test_the_audit_finds_groups_on_both_sides(source, tmp_path):
    rows = ["path,label,group"] + [f"cry/{i}.wav,cry,baby{i % 2}" for i in range(6)]
    (source / "clips.csv").write_text("\n".join(rows))
    prepare("csv", str(source / "clips.csv"), str(tmp_path / "out"), split="by_clip", workers=0)
    text, verdict = audit.describe(str(tmp_path / "out"), [])
    assert verdict == leaks.LEAK
    assert "LEAKY" in text
    assert "baby0" in text or "baby1" in text


def test_names_that_are_no_text_on_one_line_are_quarantined(tmp_path):
    folder = tmp_path / "raw" / "a"
    folder.mkdir(parents=True)
    wave = np.random.default_rng(0).normal(0, 0.1, 8000)
    for i in range(9):
        soundfile.write(folder / f"{i}.wav", wave + i / 100, 8000)
    (folder / "0.wav").rename(folder / "line\rbreak.wav")
    os.rename(bytes(folder / "1.wav"), bytes(folder) + b"/\xff.wav")
    soundfile.write(folder / "b.flac", wave, 8000)
    (folder / "b.flac").rename(folder / "b.raw")
    run(tmp_path / "raw", tmp_path / "out")
    quarantined = (tmp_path / "out" / "quarantine.csv").read_text()
    assert quarantined.count("its name is not text in UTF-8 on one line") == 2
    assert len(open_corpus([str(tmp_path / "out")]).clips) == 7


def test_recordings_outside_of_the_folder_are_counted_or_refused(source, tmp_path, capsys):
    """Only the user's own table may name them; a link in a corpus may not lead out either."""
    table = tmp_path / "set" / "clips.csv"
    table.parent.mkdir()
    names = sorted(source.rglob("[0-9].wav"))
    rows = [f"../{path.relative_to(tmp_path)},x,g{i}" for i, path in enumerate(names)]
    table.write_text("\n".join(["path,label,group", *rows]) + "\n")
    prepare("csv", str(table), str(tmp_path / "a"), workers=0)
    assert "12 recordings lie outside of" in capsys.readouterr().out
    notes = json.loads((tmp_path / "a" / "manifest.json").read_text())["notes"]
    assert str(tmp_path) not in "".join(notes)  # they go into reports
    with pytest.raises(ValueError, match="12 recordings lie outside of"):
        prepare("csv", str(table), str(tmp_path / "b"), workers=0, inside=True)
    (tmp_path / "linked").mkdir()
    for i, path in enumerate(names):
        (tmp_path / "linked" / f"{i % 10}_speaker{i}_0.wav").symlink_to(path)
    with pytest.raises(ValueError, match="12 recordings lie outside of"):
        prepare("fsdd", str(tmp_path / "linked"), str(tmp_path / "c"), workers=0)


def test_long_recordings_fill_a_shard_sooner(source, tmp_path, monkeypatch):
    """A shard holds so many bytes at most; one that is larger still gets a shard of its own."""
    sizes = {p.name: p.stat().st_size for p in (source / "other").iterdir()}
    monkeypatch.setattr(build, "BYTES_A_SHARD", sizes["0.wav"] + sizes["1.wav"] + 1)
    (tmp_path / "few").mkdir()
    (source / "other").rename(tmp_path / "few" / "other")
    run(tmp_path / "few", tmp_path / "out")
    corpus = load_shards(tmp_path / "out")
    assert len(corpus.clips) == 6
    held = [shard["clips"] for shard in corpus.info["shards"]]
    assert len(held) > 2
    assert held[0] == 2
    open_corpus([str(tmp_path / "out")])
