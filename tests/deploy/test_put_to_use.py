"""Encoders put to use: the same numbers as in evaluation, from any recording, stopped or not."""

import csv
import dataclasses
import importlib.util
import json
import shutil
import subprocess

import numpy as np
import pytest
import soundfile

import cryjax
from cryjax.data.corpus import open_corpus
from cryjax.deploy import cli, embed, job, predict, recordings, search, table
from cryjax.deploy.classifier import Classifier
from cryjax.deploy.job import Job
from cryjax.deploy.recordings import Embedded, find
from cryjax.encoder import load
from cryjax.evaluate.embeddings import embed as embed_corpus


@pytest.fixture(scope="module")
def sources(prepared):
    """The recordings of the small corpus."""
    return prepared.parent


def rows_of(path):
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("mode", ["linear", pytest.param("finetune", marks=pytest.mark.slow)])
def test_a_kept_classifier_says_what_the_evaluation_said(judged_by, sources, mode):
    judged = judged_by(mode)
    model = cryjax.load(judged / "best" / f"{mode}-seed0")
    assert isinstance(model, Classifier)
    assert model.classes == ["noise", "tone"]
    rows = [r for r in rows_of(judged / "predictions.csv") if r["mode"] == mode]
    assert rows
    for row in rows:
        wave, rate = soundfile.read(sources / row["path"], dtype="float32")
        scores = model.predict(wave, sample_rate_hz=rate)
        assert scores.windows.shape == (len(scores.start_s), 2)
        expected = [float(row["p_noise"]), float(row["p_tone"])]
        np.testing.assert_allclose(scores.windows.mean(axis=0), expected, atol=2e-4)
        assert scores.recording.sum() == pytest.approx(1)


def test_thresholds_are_those_of_validation(judged):
    model = cryjax.load(judged / "best" / "linear-seed0")
    assert 0 <= model.threshold("tone", 0.5) <= model.threshold("tone", 0.95) <= 1
    with pytest.raises(ValueError, match="there is no class 'tine'; there are noise, tone"):
        model.threshold("tine")
    with pytest.raises(ValueError, match=r"specificity 0.123 is stored; there are: 0.5, 0.8"):
        model.threshold("tone", 0.123)


@pytest.mark.parametrize("damage", ["cut", "foreign"])
def test_a_damaged_classifier_is_refused_by_name(judged, tmp_path, damage):
    folder = shutil.copytree(judged / "best" / "linear-seed0", tmp_path / "m")
    path = folder / "classifier.npz"
    if damage == "cut":
        path.write_bytes(path.read_bytes()[:100])
    else:
        with np.load(path) as kept:
            np.savez(path, allow_pickle=False, **dict(kept) | {"kernel": np.zeros((3, 2))})
    with pytest.raises(ValueError, match="classifier.npz is damaged|do not belong together"):
        cryjax.load(folder)


def test_embed_gives_what_the_evaluation_embedded(trained, sources, prepared, tmp_path):
    """From the recording through decoding and log-mel, and from the shards."""
    out = tmp_path / "e.npz"
    assert embed.main([str(trained), str(sources), f"--out={out}", "--workers=1"]) == 0
    made = table.load_embeddings(out)
    encoder, corpus = load(trained), open_corpus([str(prepared)])
    known = embed_corpus(encoder, corpus, np.arange(len(corpus.clips)), encoder.windows)
    for number, clip in enumerate(corpus.clips):
        mine = made.h[made.path == str(sources / clip.path)]
        theirs = known.h[known.window_to_clip == number]
        np.testing.assert_allclose(mine, theirs, atol=1e-4, rtol=1e-4)
    assert not out.with_name("e.npz.unfinished").exists()


def test_every_ending_holds_the_same_windows(trained, sources, tmp_path):
    pytest.importorskip("pyarrow", reason="an extra")
    made = {}
    for ending in (".npz", ".parquet", ".csv"):
        out = tmp_path / f"e{ending}"
        three = [str(sources / f"{i}.wav") for i in range(3)]
        assert embed.main([str(trained), *three, f"--out={out}", "--workers=1"]) == 0
        made[ending] = out
    a, b = (table.load_embeddings(made[ending]) for ending in (".npz", ".parquet"))
    for ours, theirs in zip(a, b, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    rows = rows_of(made[".csv"])
    assert [row["path"] for row in rows] == a.path.tolist()
    np.testing.assert_allclose([float(row["0"]) for row in rows], a.h[:, 0], rtol=1e-5)


def test_stopped_and_started_again_the_bytes_are_the_same(trained, sources, tmp_path, monkeypatch):
    monkeypatch.setattr(job, "WINDOWS_A_PIECE", 16)
    whole, again = tmp_path / "whole.npz", tmp_path / "again.npz"
    assert embed.main([str(trained), str(sources), f"--out={whole}", "--workers=1"]) == 0
    encode, made = Job._encode, []

    def stopping(*arguments):
        if len(made) == 2:
            raise KeyboardInterrupt
        made.append(encode(*arguments))
        return made[-1]

    monkeypatch.setattr(Job, "_encode", stopping)
    command = [str(trained), str(sources), f"--out={again}", "--workers=1"]
    assert embed.main(command) == 130
    assert not again.exists()
    monkeypatch.setattr(Job, "_encode", encode)
    assert embed.main(command) == 0
    assert again.read_bytes() == whole.read_bytes()


@pytest.fixture(scope="module")
def odd(tmp_path_factory):
    """Recordings as they come: rates, channels, depths, lengths, names, links, and bad ones."""
    folder, rng = tmp_path_factory.mktemp("odd"), np.random.default_rng(0)
    for name, rate, channels, subtype, seconds in (
        ("mono 8k.wav", 8000, 1, "PCM_16", 1.0),
        ("stéréo.wav", 44_100, 2, "PCM_24", 1.3),
        ("eight.wav", 22_050, 1, "PCM_U8", 1.0),
        ("short.flac", 16_000, 1, "PCM_16", 0.1),
        ("high.wav", 192_000, 1, "PCM_16", 0.5),
    ):
        wave = 0.1 * rng.normal(size=(int(rate * seconds), channels))
        soundfile.write(folder / name, wave, rate, subtype=subtype)
    (folder / "link.wav").symlink_to(folder / "eight.wav")
    (folder / "text.wav").write_text("hello")
    (folder / "empty.ogg").write_bytes(b"")
    (folder / "notes.txt").write_text("not audio")
    return folder


def test_odd_recordings_are_embedded_or_quarantined_one_by_one(trained, odd, tmp_path):
    out = tmp_path / "e.npz"
    assert embed.main([str(trained), str(odd), f"--out={out}", "--workers=2"]) == 0
    made = table.load_embeddings(out)
    good = {"mono 8k.wav", "stéréo.wav", "eight.wav", "short.flac", "high.wav", "link.wav"}
    assert {name.rpartition("/")[2] for name in made.path} == good
    bad = {row["path"].rpartition("/")[2] for row in rows_of(tmp_path / "e.npz.quarantine.csv")}
    assert bad == {"text.wav", "empty.ogg"}
    assert np.isfinite(made.h).all()
    short = made.path == str(odd / "short.flac")
    assert made.end_s[short] == pytest.approx(0.1)
    eight, link = (made.h[made.path == str(odd / name)] for name in ("eight.wav", "link.wav"))
    np.testing.assert_array_equal(eight, link)


def test_a_long_recording_is_read_in_stretches(trained, tmp_path, monkeypatch):
    """Times run on; all but the windows at the edges are those of the recording in one piece."""
    rate, rng = 8000, np.random.default_rng(0)
    soundfile.write(tmp_path / "long.wav", 0.1 * rng.normal(size=40 * rate), rate)
    encoder, clips = load(trained), find([str(tmp_path / "long.wav")])
    monkeypatch.setattr(recordings, "STRETCH_S", 15.0)
    monkeypatch.setattr(recordings, "SHORTEST_S", 2.0)
    parts = [part for part, _ in Job(encoder, clips, tmp_path / "job", workers=1)]
    starts = np.concatenate([part.start_s for part in parts])
    assert (np.diff(starts) > 0).all()
    assert starts[-1] < 40
    ends = np.concatenate([part.end_s for part in parts])
    assert ends.max() == pytest.approx(40, abs=0.05)
    assert {15.0, 30.0} <= set(starts.tolist())
    # ten milliseconds left over were a window that weighed as much as any other
    soundfile.write(tmp_path / "rest.wav", 0.1 * rng.normal(size=30 * rate + 80), rate)
    (rest,) = find([str(tmp_path / "rest.wav")])
    assert [(part.start_s, part.end_s) for part, _ in recordings.stretches(rest)] == [
        (0.0, 15.0),
        (15.0, None),
    ]


@pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="no ffmpeg on this machine")
def test_a_long_phone_recording_is_read_in_stretches_too(tmp_path):
    path = tmp_path / "long.m4a"
    noise = "anoisesrc=duration=1300:sample_rate=16000"
    subprocess.run(["ffmpeg", "-v", "error", "-f", "lavfi", "-i", noise, str(path)], check=True)
    (clip,) = find([str(path)])
    assert [part.start_s for part, _ in recordings.stretches(clip)] == [0.0, 600.0, 1200.0]
    path.write_bytes(path.read_bytes()[:1000])
    assert recordings.stretches(clip) == [(clip, 0.25)]


def test_parts_together_are_the_whole(trained, sources, tmp_path):
    encoder, clips = load(trained), find([str(sources)])
    whole, *halves = (
        [clip.path for piece in Job(encoder, clips, tmp_path, part=part).pieces for clip in piece]
        for part in ((0, 1), (0, 2), (1, 2))
    )
    assert whole[0::2] == halves[0]
    assert whole[1::2] == halves[1]
    assert len(whole) == 36


@pytest.mark.slow
def test_machines_that_share_a_disk_leave_each_others_part(trained, sources, tmp_path):
    """All wrote one file, and the first to end removed what the others had under way."""
    three = [str(sources / f"{i}.wav") for i in range(3)]
    other = Job(load(trained), find(three), tmp_path / "e.npz.unfinished", part=(1, 2))
    next(iter(other))
    for part in ("0/2", "1/2", "3/4"):
        command = [str(trained), *three, f"--out={tmp_path}/e.npz", "--workers=1"]
        assert embed.main([*command, f"--part={part}"]) == 0
    other.close()
    made = [table.load_embeddings(tmp_path / f"e-{part}.npz") for part in ("0-of-2", "1-of-2")]
    assert {*made[0].path} == {three[0], three[2]}
    assert {*made[1].path} == {three[1]}
    assert not len(table.load_embeddings(tmp_path / "e-3-of-4.npz").h)
    first, second = (Job(load(trained), find(three), tmp_path / "w", part=(i, 2)) for i in (0, 1))
    for job_of_part in (first, second):
        next(iter(job_of_part))
    first.close()
    assert second.missing() == []
    second.close()
    assert not (tmp_path / "w").exists()


def test_an_empty_match_or_an_encoder_alone_is_an_error(trained, tmp_path, capsys):
    assert embed.main([str(trained), f"{tmp_path}/*.wav", f"--out={tmp_path}/e.npz"]) == 1
    assert "names no recording" in capsys.readouterr().err
    assert embed.main([str(trained), str(tmp_path), f"--out={tmp_path}/e.txt"]) == 1
    assert "--out must end in .parquet, .npz, .csv" in capsys.readouterr().err
    assert predict.main([str(trained), str(tmp_path), f"--out={tmp_path}/s.csv"]) == 1
    assert "an encoder without a classifier" in capsys.readouterr().err
    assert embed.main([str(tmp_path), str(tmp_path)]) == 1
    assert "cryjax:" in capsys.readouterr().err


def test_predict_writes_windows_recordings_and_events(judged, sources, tmp_path, capsys):
    model, out = judged / "best" / "linear-seed0", tmp_path / "s.csv"
    command = [str(model), str(sources), f"--out={out}", "--workers=1", "--threshold=0.5"]
    assert predict.main([*command, "--format=csv,audacity,raven"]) == 0
    said = capsys.readouterr().out
    whole = rows_of(tmp_path / "s.recordings.csv")
    assert len(whole) == 36
    assert {"path", "noise", "tone", "is tone"} == set(whole[0])
    for row in whole:
        assert (float(row["tone"]) >= 0.5) == (row["is tone"] == "True")
    assert f"{sum(r['is tone'] == 'True' for r in whole)} of 36 recordings are 'tone'" in said
    events = rows_of(tmp_path / "s.events.csv")
    assert len(list((tmp_path / "s").glob("*.selections.txt"))) == len({e["path"] for e in events})
    windows = rows_of(out)
    for event in events:
        mine = [w for w in windows if w["path"] == event["path"]]
        assert max(float(w["tone"]) for w in mine) >= 0.5


def test_events_join_adjacent_windows_with_hysteresis():
    start = np.arange(8.0)
    scores = np.array([0.1, 0.45, 0.6, 0.42, 0.3, 0.9, 0.41, 0.2])
    found = predict.events_of(start, start + 1, scores, 0.5, 0)
    assert [(e.start_s, e.end_s, e.score) for e in found] == [(2, 4, 0.6), (5, 7, 0.9)]
    assert predict.events_of(start, start + 1, scores, 0.5, 2.5) == []
    apart = predict.events_of(3 * start, 3 * start + 1, np.full(8, 0.9), 0.5, 0)
    assert len(apart) == 8


def test_windows_are_compared_with_the_threshold_on_its_own_scale(judged, sources, tmp_path):
    """A recording of one window was of the class and had no event, or the other way round."""
    model = cryjax.load(judged / "best" / "linear-seed0")
    assert isinstance(model, Classifier)
    model = dataclasses.replace(
        model, about=model.about | {"temperature": 3.0, "class_bias": [-1.0, 1.0]}
    )
    raw = np.array([[0.6, 0.4]])
    overall = model.score_recording(raw)
    np.testing.assert_allclose(model.recalibrate(raw)[0], overall)
    assert overall[1] > 0.5 > raw[0, 1]
    features = np.linalg.lstsq(model.head["kernel"].T, np.log(raw[0]) - model.head["bias"])[0]
    h = (features * model.head["std"] + model.head["mean"])[None]
    results = predict._Results(model, "tone", 0.5, 0.0, tmp_path / "s", ["csv", "audacity"])
    times = np.array([0.0]), np.array([1.0])
    (row,) = results.add(Embedded(np.array(["a/b.wav"]), *times, h))
    assert results.recordings[0]["is tone"] == "True"
    assert len(results.events) == 1
    assert float(row["tone"]) == pytest.approx(float(results.events[0]["score"]))
    # names that differ in separators alone have files of their own, and none is left without events
    list(results.add(Embedded(np.array(["a_b.wav"]), *times, h)))
    assert len(list((tmp_path / "s").glob("*.txt"))) == 2
    higher = predict._Results(model, "tone", 0.99, 0.0, tmp_path / "s", ["audacity"])
    list(higher.add(Embedded(np.array(["a/b.wav"]), *times, h)))
    assert len(list((tmp_path / "s").glob("*.txt"))) == 1


def test_stretches_of_a_file_stand_together_in_order(tmp_path):
    """A table in another order joined 50 s to 5 s into one event that was then dropped."""
    for name in "ab":
        soundfile.write(tmp_path / f"{name}.wav", np.zeros(8000), 8000)
    lines = ("path,start_s,end_s", "a.wav,0.5,0.9", "b.wav,0,1", "a.wav,0,0.4")
    (tmp_path / "t.csv").write_text("\n".join(lines) + "\n")
    found = find([str(tmp_path / "t.csv")])
    assert [(c.path[-5:], c.start_s) for c in found] == [
        ("a.wav", 0.0),
        ("a.wav", 0.5),
        ("b.wav", 0.0),
    ]
    inside = predict.events_of(np.array([0.0, 2.0]), np.array([9.0, 3.0]), np.ones(2), 0.5, 5)
    assert [(e.start_s, e.end_s) for e in inside] == [(0.0, 9.0)]


def test_search_finds_the_clip_itself_first(trained, sources, tmp_path, capsys):
    out = tmp_path / "e.npz"
    embed.main([str(trained), str(sources), f"--out={out}", "--workers=1"])
    capsys.readouterr()
    like = ["--like", str(sources / "4.wav"), "--count=3"]
    assert search.main([str(trained), str(out), *like]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 4
    assert lines[1].endswith("/4.wav")
    assert float(lines[1].split()[0]) >= float(lines[3].split()[0])
    (tmp_path / "bad.npz").write_bytes(b"x")
    assert search.main([str(trained), str(tmp_path / "bad.npz"), *like]) == 1
    rng = np.random.default_rng(0)
    h, query = rng.normal(size=(1000, 8)), rng.normal(size=8)
    rows, cosines = search.nearest(query, h, 10)
    true = h @ query / np.linalg.norm(h, axis=1) / np.linalg.norm(query)
    np.testing.assert_array_equal(rows, np.argsort(-true)[:10])
    np.testing.assert_allclose(cosines, np.sort(true)[::-1][:10])


@pytest.mark.parametrize("ending", [".npz", ".parquet"])
def test_blocks_and_an_index_find_what_one_product_finds(tmp_path, monkeypatch, ending):
    rng, path = np.random.default_rng(0), tmp_path / f"e{ending}"
    h, query = rng.normal(size=(500, 16)).astype(np.float32), rng.normal(size=16)
    table.save(path, [Embedded(np.full(500, "a.wav"), np.arange(500.0), np.arange(1, 501.0), h)])
    true, cosines = search.nearest(query, h, 10)
    monkeypatch.setattr(search, "BLOCK", 64)
    file = table.EmbeddingsFile(path)
    rows, found = search.exactly(file, query, 10)
    np.testing.assert_array_equal(rows, true)
    np.testing.assert_allclose(found, cosines, rtol=1e-6)
    assert len(file) == 500
    places = list(file.places(rows))
    assert places == [("a.wav", float(row), float(row + 1)) for row in true]
    with pytest.raises(ValueError, match="holds 16 features, this encoder has 8"):
        search.exactly(file, query[:8], 10)
    if importlib.util.find_spec("faiss") is None:
        with pytest.raises(ValueError, match="pip install faiss-cpu, or --exact"):
            search.by_index(file, query, 10)
        return
    for _ in range(2):  # built, then read
        rows, found = search.by_index(file, query, 10)
        assert len(set(rows.tolist()) & set(true.tolist())) >= 9
        assert found[0] == pytest.approx(cosines[0], abs=2e-3)
    assert len(list(tmp_path.glob("*.faiss"))) == 1


def test_the_command_knows_its_names(monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["cryjax", "--help"])
    assert cli.main() == 0
    assert "cryjax predict MODEL RECORDINGS" in capsys.readouterr().out
    monkeypatch.setattr("sys.argv", ["cryjax", "predikt"])
    assert cli.main() == 2
    assert "there is no command 'predikt'" in capsys.readouterr().out


def test_what_is_kept_says_what_it_was_chosen_on(judged):
    about = json.loads((judged / "best" / "linear-seed0" / "classifier.json").read_text())
    assert about["classes"] == ["noise", "tone"]
    assert about["validation"]["recordings"] > 0
    assert about["licence"]
