"""Encoders put to use: the same numbers as in evaluation, from any recording, stopped or not."""

import json
import shutil
import subprocess

import numpy as np
import pytest
import soundfile

import cryjax
from cryjax.data.corpus import open_corpus
from cryjax.deploy import cli, embed, job, predict, recordings, table
from cryjax.deploy.classifier import Classifier
from cryjax.deploy.job import Job
from cryjax.deploy.recordings import find
from cryjax.encoder import load
from cryjax.evaluate.embeddings import embed as embed_corpus
from data_prep.corpus import rows_of


@pytest.mark.parametrize("mode", ["linear", pytest.param("finetune", marks=pytest.mark.slow)])
def test_a_kept_classifier_says_what_the_evaluation_said(judged_by, sources, mode):
    judged = judged_by(mode)
    model = cryjax.load(judged / "best" / f"{mode}-seed0")
    assert isinstance(model, Classifier)
    assert model.classes == ["noise", "tone"]
    rows = [r for r in rows_of(judged / "predictions.csv", "") if r["mode"] == mode]
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
    rows = list(rows_of(made[".csv"], ""))
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
    bad = {row["path"].rpartition("/")[2] for row in rows_of(tmp_path / "e.npz.quarantine.csv", "")}
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
