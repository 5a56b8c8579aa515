"""The server: what it says of recordings, what it refuses, and what it survives."""

import concurrent.futures
import contextlib
import csv
import http.client
import io
import json
import pathlib
import resource
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request

import numpy as np
import pytest
import soundfile
from hostile import malformed

import cryjax
from cryjax.data.manifest import load_manifest
from cryjax.deploy.table import load_embeddings

BINARY = {"Content-Type": "application/octet-stream", "X-Name": "a.wav"}
JSON = {"Content-Type": "application/json"}


def ask(url, data=None, headers=None, method=None):
    """Returns status, headers and body of a request."""
    asked = urllib.request.Request(url, data, headers or {}, method=method)
    try:
        with urllib.request.urlopen(asked, timeout=120) as answer:
            return answer.status, answer.headers, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.headers, error.read()


@pytest.fixture(scope="module")
def recording(prepared):
    return prepared.parent / "0.wav"


def test_a_recording_is_scored_as_by_predict(address, classifier, recording):
    status, headers, body = ask(f"{address}/api/listen", recording.read_bytes(), BINARY)
    assert status == 200, body
    assert headers["X-Content-Type-Options"] == "nosniff"
    answer, model = json.loads(body), cryjax.load(classifier)
    wave, rate = soundfile.read(recording, dtype="float32")
    expected = model.predict(wave, sample_rate_hz=rate)
    fair = model.recalibrate(expected.windows)  # as the threshold that they are drawn beside
    np.testing.assert_allclose(answer["scores"], fair, atol=1e-4)
    np.testing.assert_allclose(list(answer["recording"].values()), expected.recording, atol=1e-4)
    np.testing.assert_allclose(answer["start_s"], expected.start_s, atol=1e-3)
    assert answer["seconds"] == pytest.approx(1.25)
    assert answer["rate_hz"] == 16_000
    envelope = np.array(answer["envelope"])
    assert envelope.shape == (1000, 2)
    assert envelope.max() == pytest.approx(wave.max(), abs=1e-4)
    assert answer["mel"]["mels"] == model.spec.n_mels
    about = json.loads(ask(f"{address}/api/about")[2])
    assert about["classes"] == ["noise", "tone"]
    assert about["thresholds"]["tone"] == model.threshold("tone", 0.9)
    assert about["warning"].startswith("Not a medical device")
    assert len(about["band_hz"]) == model.spec.n_mels


@pytest.mark.slow
def test_every_malformed_recording_is_refused_and_nothing_stays(serve, tmp_path, monkeypatch):
    """The server goes on, and its folder of uploads is empty."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))  # servers of other tests have theirs
    with serve() as address:
        (uploads,) = tmp_path.glob("cryjax-serve-*")
        for name, data in malformed().items():
            headers = BINARY | {"X-Name": urllib.parse.quote(name)}
            status, _, body = ask(f"{address}/api/listen", data, headers)
            assert status in (200, 422), (name, body)
            assert "Traceback" not in body.decode()
        assert list(uploads.iterdir()) == []
        assert ask(f"{address}/api/about")[0] == 200


def test_paths_of_visitors_are_never_used(address):
    for path in ("/../pyproject.toml", "/%2e%2e/%2e%2e/etc/passwd", "//etc/passwd", "/page/app.py"):
        status, _, body = ask(address + path)
        assert status == 404, path
        assert b"root:" not in body
    for name in ("../../x.wav", "/etc/passwd", "x.wav/../../y.exe", "", "%00.wav"):
        status, *_ = ask(f"{address}/api/listen", b"RIFF", BINARY | {"X-Name": name})
        assert status == 422
    for query in ("row=-1", "row=999999", "row=x", "row=", "row=1e3", f"row={'9' * 400}"):
        assert ask(f"{address}/api/clip?{query}")[0] == 422


def test_requests_of_other_pages_and_kinds_are_refused(address, recording):
    data = recording.read_bytes()
    elsewhere = BINARY | {"Origin": "http://evil.example"}
    assert ask(f"{address}/api/listen", data, elsewhere)[0] == 403
    assert ask(f"{address}/api/listen", data, BINARY | {"Sec-Fetch-Site": "cross-site"})[0] == 403
    form = BINARY | {"Content-Type": "multipart/form-data; boundary=x"}
    assert ask(f"{address}/api/listen", data, form)[0] == 415
    assert ask(f"{address}/api/label", b"row=1", {"Content-Type": "text/plain"})[0] == 415
    assert ask(f"{address}/api/label", b"[]", JSON)[0] == 400
    assert ask(f"{address}/api/label", b" " * 70_000, JSON)[0] == 413
    assert ask(f"{address}/api/listen", method="DELETE")[0] == 405
    headers = ask(f"{address}/")[1]
    assert "default-src 'self'" in headers["Content-Security-Policy"]
    assert headers["Access-Control-Allow-Origin"] is None
    assert "uvicorn" not in str(headers)


def test_another_host_name_and_a_missing_token_are_refused(serve, recording):
    with serve(hosts=frozenset({"localhost:1"})) as address:
        assert ask(address)[0] == 421
    with serve(token="secret-word") as address:
        assert ask(address)[0] == 401
        assert ask(f"{address}/?token=wrong")[0] == 401
        assert ask(f"{address}/api/about", headers={"Cookie": "cryjax_token=wrong"})[0] == 401
        assert ask(f"{address}/api/about", headers={"Cookie": "cryjax_token=secret-word"})[0] == 200
        with_others = {"Cookie": 'prefs={"x":1}; cryjax_token=secret-word'}
        assert ask(f"{address}/api/about", headers=with_others)[0] == 200
        known = BINARY | {"Authorization": "Bearer secret-word"}
        assert ask(f"{address}/api/listen", recording.read_bytes(), known)[0] == 200


def too_much(address, headers):
    """Sends more than a megabyte; returns the status, however early it comes."""
    connection = http.client.HTTPConnection(address.removeprefix("http://"), timeout=60)
    with contextlib.closing(connection):
        return _too_much(connection, headers)


def _too_much(connection, headers):
    connection.putrequest("POST", "/api/listen")
    for name, value in (BINARY | headers).items():
        connection.putheader(name, value)
    connection.endheaders()
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
        for _ in range(20 if "Transfer-Encoding" in headers else 0):
            connection.send(b"10000\r\n" + b"x" * (1 << 16) + b"\r\n")
    with connection.getresponse() as answer:
        return answer.status


def test_caps_on_size_length_and_time(serve, tmp_path):
    with serve(settings={"max_mb": 1, "max_minutes": 0.1, "workers": 1}) as address:
        for headers in ({"Content-Length": str(2 << 20)}, {"Transfer-Encoding": "chunked"}):
            assert too_much(address, headers) == 413
        soundfile.write(tmp_path / "long.wav", np.zeros(8000 * 10), 8000)
        status, _, body = ask(f"{address}/api/listen", (tmp_path / "long.wav").read_bytes(), BINARY)
        assert status == 422
        assert "longer" in body.decode() or "0.1" in body.decode() or "6 s" in body.decode(), body


class Labelling:
    """Asks a server of windows."""

    def __init__(self, address):
        self.address = address

    def label(self, row, name):
        data = json.dumps({"row": row, "label": name}).encode()
        status, _, body = ask(f"{self.address}/api/label", data, JSON)
        return status, json.loads(body)

    def ranked(self, target, by="score"):
        until = time.monotonic() + 60
        while True:
            status, _, body = ask(f"{self.address}/api/ranking?target={target}&by={by}&count=10")
            if status != 200 or not json.loads(body)["waiting"] or time.monotonic() > until:
                return status, json.loads(body)
            time.sleep(0.1)


def test_labels_are_ranked_saved_and_read_by_data_prep(serve, embedded, tmp_path):
    mine = tmp_path / embedded.name
    mine.write_bytes(embedded.read_bytes())
    whole = load_embeddings(mine)
    truth = np.array(
        ["tone" if int(pathlib.Path(p).stem) % 2 == 0 else "noise" for p in whole.path]
    )
    tones, noises = (np.flatnonzero(truth == name).tolist() for name in ("tone", "noise"))
    with serve(embeddings=mine) as address:
        page = Labelling(address)
        assert page.ranked("tone")[0] == 422  # nothing is labelled
        page.label(tones[0], "tone")
        assert page.ranked("tone")[1]["classes"] == ["tone"]  # by likeness
        for row in (*tones[1:6], *noises[:6]):
            assert page.label(row, truth[row])[0] == 200
        found = page.ranked("tone")[1]
        assert (truth[found["rows"]] == "tone").mean() >= 0.9
        assert not set(found["rows"]) & {*tones[:6], *noises[:6]}
        assert page.ranked("tone", "uncertainty")[0] == 200
        assert page.label(tones[0], "") == (200, {"before": "tone", "labels": 11})
        assert page.label(0, "x" * 61)[0] == 422
        exported = ask(f"{address}/api/labels.csv")[2].decode()
    rows = list(csv.DictReader(io.StringIO(exported)))
    saved = load_manifest(tmp_path / "e.parquet.labels.csv")
    assert [clip.label for clip in saved] == [row["label"] for row in rows]
    assert all(pathlib.Path(row["path"]).is_absolute() for row in rows)  # a download lies elsewhere
    assert len(saved) == 11
    assert all((tmp_path / clip.path).exists() for clip in saved)
    with serve(embeddings=mine) as address:  # what was saved is there again
        assert len(json.loads(ask(f"{address}/api/map")[2])["labels"]) == 11
    assert all(clip.group == clip.recording for clip in saved)  # which audits know for no group


def test_what_a_person_wrote_into_the_labels_stays(serve, embedded, tmp_path):
    """The group of a labelled recording is its baby from then on; no label is no table."""
    mine, labels = tmp_path / embedded.name, tmp_path / "e.parquet.labels.csv"
    mine.write_bytes(embedded.read_bytes())
    with serve(embeddings=mine) as address:
        assert Labelling(address).label(0, "tone")[0] == 200
    with labels.open() as file:
        (row,) = csv.DictReader(file)
    with labels.open("w") as file:
        writer = csv.DictWriter(file, [*row, "site"])
        writer.writeheader()
        writer.writerow(row | {"group": "baby7", "site": "ward"})
    with serve(embeddings=mine) as address:
        assert Labelling(address).label(0, "noise")[0] == 200
        assert Labelling(address).label(1, "tone")[0] == 200  # of the same recording
        with labels.open() as file:
            first, second = csv.DictReader(file)
        assert (first["label"], first["group"], first["site"]) == ("noise", "baby7", "ward")
        same = first["path"] == second["path"]
        assert (second["group"] == "baby7") == same
        for window in (0, 1):
            assert Labelling(address).label(window, "")[0] == 200
    assert not labels.exists()
    with serve(embeddings=mine) as address:
        assert json.loads(ask(f"{address}/api/map")[2])["labels"] == {}


def test_labels_of_windows_that_are_not_shown_are_kept(serve, embedded, tmp_path, capsys):
    """The first click deleted them: of other hops, of another folder, of a smaller choice."""
    mine = tmp_path / embedded.name
    mine.write_bytes(embedded.read_bytes())
    labels = tmp_path / "e.parquet.labels.csv"
    labels.write_text(
        "path,start_s,end_s,label,group,who\nelsewhere.wav,0.0,1.2,frog,pond,me\n", "utf-8"
    )
    with serve(embeddings=mine) as address:
        assert Labelling(address).label(0, "tone")[0] == 200
        assert Labelling(address).label(0, "noise")[0] == 200
    assert "1 labels of" in capsys.readouterr().out
    with labels.open() as file:
        rows = list(csv.DictReader(file))
    assert [row["label"] for row in rows] == ["noise", "frog"]
    assert (rows[1]["group"], rows[1]["who"]) == ("pond", "me")


def test_a_window_is_played_seen_and_compared(address, embedded):
    whole = load_embeddings(embedded)
    status, headers, wav = ask(f"{address}/api/clip?row=3")
    assert (status, headers["Content-Type"]) == (200, "audio/wav")
    wave, rate = soundfile.read(io.BytesIO(wav))
    length = whole.end_s[3] - whole.start_s[3]
    assert (rate, len(wave) / rate) == (48_000, pytest.approx(length, abs=0.01))
    assert json.loads(ask(f"{address}/api/picture?row=3")[2])["frames"] > 1
    like = json.loads(ask(f"{address}/api/like?row=3&count=5")[2])
    assert len(like["rows"]) == 5
    assert 3 not in like["rows"]
    assert like["values"] == sorted(like["values"], reverse=True)


@pytest.mark.slow
def test_200_requests_16_at_once_are_all_answered(address, recording):
    data = recording.read_bytes()

    def one(_):
        return ask(f"{address}/api/listen", data, BINARY)[0]

    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with concurrent.futures.ThreadPoolExecutor(16) as threads:
        found = list(threads.map(one, range(200)))
    assert found == [200] * 200
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown < 300 << 10  # kilobytes
