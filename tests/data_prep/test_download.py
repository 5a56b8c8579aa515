"""Downloads are checked against their sum; archives are not trusted."""

import hashlib
import http.server
import io
import tarfile
import threading
import zipfile

import pytest

from data_prep import CORPORA
from data_prep.corpus import Archive
from data_prep.download import Caps, extract, fetch, provide
from data_prep.main import prepare


def zipped(path, members):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def tarred(path, *members):
    with tarfile.open(path, "w:gz") as archive:
        for name, kind, content in members:
            info = tarfile.TarInfo(name)
            info.type, info.size, info.linkname = kind, len(content), "/etc/passwd"
            archive.addfile(info, io.BytesIO(content))
    return path


def published(path):
    return Archive(path.as_uri(), "sha256:" + hashlib.sha256(path.read_bytes()).hexdigest())


def test_a_corpus_is_fetched_checked_and_unpacked_once(tmp_path, monkeypatch):
    archive = published(zipped(tmp_path / "set.zip", {"top/a/x.wav": b"1", "top/b/y.wav": b"2"}))
    root = provide((archive,), tmp_path / "out")
    assert root.name == "top"
    assert sorted(p.name for p in root.rglob("*.wav")) == ["x.wav", "y.wav"]
    monkeypatch.setattr("data_prep.download.extract", lambda *_: pytest.fail("unpacked again"))
    assert provide((archive,), tmp_path / "out") == root


def test_archives_of_one_corpus_share_a_folder(tmp_path):
    parts = [zipped(tmp_path / f"{n}.zip", {f"{n}/x": b"1"}) for n in ("set.audio", "set.meta")]
    root = provide(tuple(published(p) for p in parts), tmp_path / "out")
    assert sorted(p.name for p in root.iterdir()) == ["set.audio", "set.meta"]


def test_a_wrong_checksum_is_named_and_the_file_removed(tmp_path):
    path = zipped(tmp_path / "set.zip", {"x": b"1"})
    with pytest.raises(ValueError, match="md5 is [0-9a-f]{32}, expected beef; it was removed"):
        fetch(Archive(path.as_uri(), "md5:beef"), tmp_path / "out")
    assert not (tmp_path / "out" / "set.zip").exists()


def test_paths_outside_links_and_devices_are_refused(tmp_path):
    for name in ("../evil", "/etc/evil", "a/../../evil", "C:\\evil", "..\\evil"):
        with pytest.raises(ValueError, match="would be written outside"):
            extract(zipped(tmp_path / "e.zip", {name: b"x"}), tmp_path / "out")
    for kind in (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE):
        with pytest.raises(ValueError, match="is a link or a device"):
            extract(tarred(tmp_path / "e.tar.gz", ("x", kind, b"")), tmp_path / "out")
    link = zipfile.ZipInfo("link")
    link.external_attr = 0o120777 << 16
    with zipfile.ZipFile(tmp_path / "l.zip", "w") as archive:
        archive.writestr(link, "/etc/passwd")
    with pytest.raises(ValueError, match="'link' is a link"):
        extract(tmp_path / "l.zip", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_bombs_and_damage_are_refused_and_leave_nothing(tmp_path):
    bomb = zipped(tmp_path / "bomb.zip", {"zeros": b"\0" * (8 << 20)})
    many = zipped(tmp_path / "many.zip", {str(i): b"" for i in range(20)})
    for path, caps in ((bomb, Caps()), (many, Caps(members=10)), (many, Caps(total=-1))):
        with pytest.raises(ValueError, match="more than|larger than"):
            extract(path, tmp_path / "out", caps)
    whole = zipped(tmp_path / "whole.zip", {"x": bytes(range(256)) * 40}).read_bytes()
    for damaged in (whole[:-40], b"junk", whole[:60] + b"\xff" * 20 + whole[80:]):
        (tmp_path / "damaged.zip").write_bytes(damaged)
        with pytest.raises(ValueError, match="damaged or not an archive"):
            extract(tmp_path / "damaged.zip", tmp_path / "out")
    assert not (tmp_path / "out").exists()
    assert not list(tmp_path.glob("*.building"))


def test_a_corpus_behind_a_form_says_so(tmp_path):
    with pytest.raises(ValueError, match="iemocap has no archive that anybody may fetch"):
        prepare("iemocap", None, str(tmp_path), download=True)
    for corpus in CORPORA.values():
        for archive in corpus.archives:
            assert archive.checksum.startswith(("sha256:", "md5:"))


class Stalling(http.server.BaseHTTPRequestHandler):
    """Sends half of a file the first time; then what is asked for."""

    content, asked = bytes(range(256)) * 400, []

    def do_GET(self):
        wanted = self.headers.get("Range")
        self.asked.append(wanted)
        first = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted else 0
        self.send_response(206 if wanted else 200)
        self.send_header("Content-Length", str(len(self.content) - first))
        self.end_headers()
        rest = self.content[first:]
        self.wfile.write(rest if wanted else rest[: len(rest) // 2])

    def log_message(self, format, *args):
        pass


def test_a_download_that_breaks_off_goes_on_from_there(tmp_path, monkeypatch):
    monkeypatch.setattr("data_prep.download.WAITS_S", (0, 0, 0))
    Stalling.asked.clear()
    server = http.server.ThreadingHTTPServer(("localhost", 0), Stalling)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    sum_ = hashlib.sha256(Stalling.content).hexdigest()
    url = f"http://localhost:{server.server_port}/set.bin"
    try:
        path = fetch(Archive(url, f"sha256:{sum_}"), tmp_path)
    finally:
        server.shutdown()
        server.server_close()
    assert path.read_bytes() == Stalling.content
    assert Stalling.asked == [None, f"bytes={len(Stalling.content) // 2}-"]


def test_a_server_that_does_not_answer_is_given_up(tmp_path, monkeypatch):
    monkeypatch.setattr("data_prep.download.WAITS_S", (0, 0))
    with pytest.raises(ValueError, match="does not answer or stalls; .*set.bin.part keeps"):
        fetch(Archive("http://localhost:9/set.bin", "md5:0"), tmp_path)


class Gone(http.server.BaseHTTPRequestHandler):
    """Has no file."""

    asked = 0

    def do_GET(self):
        type(self).asked += 1
        self.send_error(404)

    def log_message(self, format, *args):
        pass


def test_a_file_that_is_not_there_is_not_asked_for_again(tmp_path):
    server = http.server.ThreadingHTTPServer(("localhost", 0), Gone)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        with pytest.raises(ValueError, match="answers 404 Not Found; the file may have moved"):
            fetch(Archive(f"http://localhost:{server.server_port}/set.bin", "md5:0"), tmp_path)
    finally:
        server.shutdown()
        server.server_close()
    assert Gone.asked == 1


def test_an_extraction_that_was_killed_while_it_moved_is_repeated(tmp_path):
    path = zipped(tmp_path / "set.zip", {"top/a/x.wav": b"1", "top/b/y.wav": b"2"})
    (tmp_path / "out" / "top" / "a").mkdir(parents=True)
    (tmp_path / "out" / "top" / "a" / "x.wav").write_bytes(b"1")
    extract(path, tmp_path / "out")
    found = sorted(p.name for p in (tmp_path / "out").rglob("*.wav"))
    assert found == ["x.wav", "y.wav"]


def test_archives_that_cannot_be_read_name_themselves(tmp_path):
    path = zipped(tmp_path / "locked.zip", {"a": b"1" * 99})
    data = bytearray(path.read_bytes())
    for at in (data.index(b"PK\x03\x04") + 6, data.index(b"PK\x01\x02") + 8):
        data[at] |= 1  # says that it is encrypted
    path.write_bytes(data)
    with pytest.raises(ValueError, match=r"locked.zip: damaged or not an archive \(.*encrypted"):
        extract(path, tmp_path / "a")
    damaged = tmp_path / "damaged.tar.xz"
    with tarfile.open(damaged, "w:xz") as archive:
        archive.add(path, "x")
    content = bytearray(damaged.read_bytes())
    content[len(content) // 2] ^= 255
    damaged.write_bytes(content)
    with pytest.raises(ValueError, match=r"damaged.tar.xz: damaged or not an archive"):
        extract(damaged, tmp_path / "b")
