"""Predictions by window, recording and event, at thresholds of validation."""

import dataclasses

import numpy as np
import pytest
import soundfile

import cryjax
from cryjax.deploy import predict
from cryjax.deploy.classifier import Classifier
from cryjax.deploy.recordings import Embedded, find
from data_prep.corpus import rows_of


def test_predict_writes_windows_recordings_and_events(judged, sources, tmp_path, capsys):
    model, out = judged / "best" / "linear-seed0", tmp_path / "s.csv"
    command = [str(model), str(sources), f"--out={out}", "--workers=1", "--threshold=0.5"]
    assert predict.main([*command, "--format=csv,audacity,raven"]) == 0
    said = capsys.readouterr().out
    whole = list(rows_of(tmp_path / "s.recordings.csv", ""))
    assert len(whole) == 36
    assert {"path", "noise", "tone", "is tone"} == set(whole[0])
    for row in whole:
        assert (float(row["tone"]) >= 0.5) == (row["is tone"] == "True")
    assert f"{sum(r['is tone'] == 'True' for r in whole)} of 36 recordings are 'tone'" in said
    events = list(rows_of(tmp_path / "s.events.csv", ""))
    assert len(list((tmp_path / "s").glob("*.selections.txt"))) == len({e["path"] for e in events})
    windows = list(rows_of(out, ""))
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
