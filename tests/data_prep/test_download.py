"""Downloads are checked against their sum; archives are not trusted."""

import hashlib
import io
import tarfile
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
