"""Tables as people have them are read and said; what would be a silent mistake is refused."""

import dataclasses
import shutil
import subprocess
import sys

import numpy as np
import pytest
import soundfile

from cryjax.data.leaks import LEAK, OK, UNKNOWN, audit
from cryjax.data.manifest import Clip
from cryjax.data.shards import load_shards
from data_prep.audit import describe
from data_prep.main import prepare
from data_prep.table import EXAMPLE, read_table


def written(path, text, encoding="utf-8"):
    path.write_bytes(text.encode(encoding))
    return path


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp1252", "utf-16", "utf-16-le"])
def test_separators_and_encodings_are_found_and_said(tmp_path, separator, encoding):
    lines = [["Path ", " LABEL", "group", "Straße"], ["é.wav", "schön", "Ä1", "x"]]
    text = "\r\n".join(separator.join(line) for line in lines) + "\r\n"
    (clip,), notes = read_table(written(tmp_path / "t.csv", text, encoding))
    assert (clip.path, clip.label, clip.group) == ("é.wav", "schön", "Ä1")
    assert clip.extra == {"Straße": "x"}
    plain = separator == "," and encoding.startswith("utf-8")
    assert any("was read as" in note for note in notes) != plain
    assert "columns read: Path as path, LABEL as label" in notes
    assert "columns that decide nothing and are kept: Straße" in notes


@pytest.mark.parametrize(
    ("head", "asked", "remedy"),
    [
        ("filename,label,group", "path", "--columns=path:filename"),
        ("path,diagnosis,group", "label", "--columns=label:diagnosis"),
        ("path,label,Patient ID", "group", "--columns=group:Patient ID"),
        ("path,label,speaker", "group", "nothing behind a colon says that there is none"),
        ("Datei,class,speaker", "path", "--columns=path:NAME,label:class,group:speaker"),
    ],
)
def test_a_column_that_means_a_known_one_is_asked_about(tmp_path, head, asked, remedy):
    path = written(tmp_path / "t.csv", f"{head}\na.wav,b,c\n")
    with pytest.raises(ValueError, match=f"there is no column {asked}.* looks like it") as error:
        read_table(path)
    assert remedy in str(error.value)


def test_columns_can_be_named(tmp_path):
    text = "file;diagnosis;patient id;group\na.wav;ill;p1;ward\n"
    columns = "path:File,label:Diagnosis,group:Patient  ID"
    (clip,), _ = read_table(written(tmp_path / "t.csv", text), columns)
    assert (clip.path, clip.label, clip.group) == ("a.wav", "ill", "p1")
    assert clip.extra == {"group (not used)": "ward"}
    (clip,), _ = read_table(written(tmp_path / "u.csv", "path,patient\na.wav,x\n"), "group:")
    assert clip.group == "a"
    for columns, reason in (
        ("label:diagnose", "there is no 'diagnose'; near: diagnosis"),
        ("labels:diagnosis", "columns must be known:yours"),
        ("diagnosis", "columns must be known:yours"),
    ):
        with pytest.raises(ValueError, match=reason):
            read_table(tmp_path / "t.csv", columns)


def test_labels_and_splits_that_are_nearly_others_are_counted(tmp_path):
    labels = ["yes"] * 5 + ["Yes"] * 2 + ["yes "] + ["yess"] + ["no"] * 5
    splits = ["train"] * 10 + ["trian"] * 2 + ["vall"] + ["test"]
    rows = [f"{i}.wav,{a},g{i},{b}" for i, (a, b) in enumerate(zip(labels, splits, strict=True))]
    _, notes = read_table(written(tmp_path / "t.csv", "\n".join(["path,label,group,split", *rows])))
    said = "; ".join(notes)
    assert "labels that may be one: 'Yes' 2, 'yes' 6, 'yess' 1" in said
    assert "labels of fewer than 3 clips: 'Yes' 2, 'yess' 1" in said
    assert "'trian' 2 (near train), 'vall' 1 (near val)" in said
    assert "'no'" not in said


@pytest.fixture(scope="module")
def recordings(tmp_path_factory):
    folder, rng = tmp_path_factory.mktemp("recordings"), np.random.default_rng(0)
    for i in range(12):
        soundfile.write(folder / f"{i}.wav", 0.1 * rng.normal(size=8000), 8000)
    return folder


def prepared(recordings, name, head, row, **options):
    lines = [head, *(row(i) for i in range(12))]
    table = written(recordings / f"{name}.csv", "\n".join(lines) + "\n")
    out = recordings / name
    prepare("csv", str(table), str(out), workers=0, **options)
    return out


def test_a_column_of_splits_that_is_partly_empty_is_refused(recordings):
    row = lambda i: f"{i}.wav,a,g{i},{'train' if i else ''}"  # noqa: E731
    with pytest.raises(ValueError, match="split is empty in 1 of 12 rows: fill them, or pass"):
        prepared(recordings, "partly", "path,label,group,split", row)
    out = prepared(recordings, "partly", "path,label,group,split", row, split="holdout")
    assert {c.split for c in load_shards(out).clips} == {"train", "val", "test"}


def test_the_audit_is_ok_a_leak_or_cannot_know(recordings):
    """Thirty speakers across splits were audited green where the column group was missing."""
    named = prepared(recordings, "named", "path,label,group", lambda i: f"{i}.wav,a,g{i // 2}")
    assert describe(str(named), ["label"])[1] == OK
    none = prepared(recordings, "none", "path,label", lambda i: f"{i}.wav,a")
    text, verdict = describe(str(none), ["label"])
    assert verdict == UNKNOWN
    assert text.endswith("who is on both sides is not known")
    some = prepared(
        recordings,
        "some",
        "path,label,group",
        lambda i: f"{i}.wav,a,{f'g{i // 4}' if i > 2 else ''}",
    )
    text, verdict = describe(str(some), [])
    assert verdict == UNKNOWN
    assert "3 of 12 clips have no group" in text
    assert "NO GROUPS for 3 of 12 clips" in (some / "summary.txt").read_text()
    both = [Clip("a.wav", group="g", split="train"), Clip("b.wav", group="g", split="test")]
    assert audit(both).verdict == LEAK
    for folder, status in ((named, 0), (none, 2)):
        command = [sys.executable, "-m", "data_prep.audit", f"--data={folder}"]
        assert subprocess.run(command, capture_output=True, check=False).returncode == status


@pytest.mark.parametrize("called", ["a/{}.wav", "a/{}", "{}.wav", "{}"])
def test_a_group_that_repeats_the_files_name_is_no_group(called):
    """A group column of file names, with suffix or without folder, was audited green."""
    clips = [
        Clip(f"a/{i}.wav", group=called.format(i), split=("train", "test")[i % 2]) for i in range(4)
    ]
    assert audit(clips).verdict == UNKNOWN
    patients = [dataclasses.replace(clip, group=f"p{i}") for i, clip in enumerate(clips)]
    assert audit(patients).verdict == OK
    # a group of several recordings is one, though the first of them is called so
    of_first = [dataclasses.replace(c, group="0", split="train") for c in clips[:2]]
    assert audit(of_first).verdict == OK


def test_paths_of_windows_are_read(recordings):
    """Every row of such a table was `no such file`."""
    (recordings / "inner").mkdir()
    for i in range(12):
        shutil.copy(recordings / f"{i}.wav", recordings / "inner" / f"{i}.wav")
    row = lambda i: f"inner\\{i}.wav,a,g{i // 2}"  # noqa: E731
    found = load_shards(prepared(recordings, "windows", "path,label,group", row))
    assert found.clips[0].path == "inner/0.wav"
    assert any("those of Windows" in note for note in found.info["notes"])


def test_the_example_is_a_table_that_is_read(tmp_path):
    clips, notes = read_table(written(tmp_path / "t.csv", EXAMPLE))
    assert [clip.group for clip in clips] == ["p01", "p01", "p02", "p03"]
    assert not any("may be" in note for note in notes)
