"""What lies on disk is what it is called: shards, manifests, caches and tables of clips."""

import csv
import json
import shutil

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as st

from cryjax.data.cache import cache_root
from cryjax.data.corpus import DataSettings, open_corpus
from cryjax.data.manifest import load_manifest
from cryjax.data.shards import load_shards
from cryjax.data.splits import make_splits
from cryjax.errors import UserError
from cryjax.files import save_json, sha256

SOURCES = pytest.mark.parametrize("source", ["cache", "shards"])


def change(folder, **values):
    info = json.loads((folder / "manifest.json").read_text())
    save_json(folder / "manifest.json", info | values)
    return info


@SOURCES
def test_a_shard_of_another_folder_is_refused(make_corpus, source):
    """Same lengths, same number of bytes: only hashes and identities tell."""
    folder, _ = make_corpus(name="ours")
    other, _ = make_corpus(name="theirs")
    shards = change(other)["shards"]
    for shard in shards:
        shutil.copy(other / shard["name"], folder)
    change(folder, shards=shards)
    with pytest.raises(ValueError, match="belongs to another clip"):
        open_corpus([str(folder)], DataSettings(source=source, max_damaged_share=1.0))


@SOURCES
def test_a_false_hash_in_the_manifest_is_refused(make_corpus, source):
    folder, _ = make_corpus()
    shards = change(folder)["shards"]
    change(folder, shards=[shards[0] | {"sha256": "0" * 64}, shards[1]])
    with pytest.raises(ValueError, match="SHA-256 is not that of manifest.json"):
        open_corpus([str(folder)], DataSettings(source=source, max_damaged_share=1.0))


def test_half_of_the_clips_or_anything_twice_is_refused(make_corpus):
    folder, _ = make_corpus()
    info = change(folder)
    change(folder, classes=["a", "a", "b", "c"])
    with pytest.raises(ValueError, match="a class is named twice"):
        load_shards(folder)
    change(folder, classes=info["classes"], shards=info["shards"][:1] * 2)
    with pytest.raises(ValueError, match="a shard is named twice"):
        load_shards(folder)
    lines = (folder / "clips.csv").read_text().splitlines(keepends=True)
    (folder / "clips.csv").write_text("".join(lines[:4]))
    change(folder, shards=info["shards"], clips_sha256=sha256(folder / "clips.csv"))
    with pytest.raises(ValueError, match="its shards hold 6 clips, clips.csv 3"):
        load_shards(folder)


def test_sums_that_are_not_possible_are_refused(make_corpus):
    folder, _ = make_corpus()
    with (folder / "clips.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    rows[2]["mel_sum"] = "nan"
    with (folder / "clips.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    change(folder, clips_sha256=sha256(folder / "clips.csv"))
    with pytest.raises(ValueError, match="clip 2: frames or sums are not possible"):
        load_shards(folder)


def test_a_side_file_of_another_preparation_is_refused(make_corpus):
    folder, _ = make_corpus()
    info = change(folder, plan="this one")
    side = {"plan": "this one", "shard": info["shards"][0]}
    save_json(folder / "shard-0.json", side)
    load_shards(folder)
    save_json(folder / "shard-0.json", side | {"plan": "another one"})
    with pytest.raises(ValueError, match=r"shard-0.json is of another preparation"):
        load_shards(folder)


def test_a_cache_of_another_size_or_of_other_shards_is_refused(make_corpus):
    folder, mels = make_corpus()
    open_corpus([str(folder)])
    (path,) = cache_root(load_shards(folder)).glob("*/frames.npy")
    np.save(path, np.zeros((sum(map(len, mels)) - 1, mels[0].shape[1]), np.float16))
    with pytest.raises(ValueError, match="the frame cache is damaged"):
        open_corpus([str(folder)])
    about = json.loads((path.parent / "cache.json").read_text())
    save_json(path.parent / "cache.json", about | {"fingerprint": "another"})
    with pytest.raises(ValueError, match="is the frame cache of other shards"):
        open_corpus([str(folder)])
    (path.parent / "cache.json").write_text("[]")
    with pytest.raises(ValueError, match="holds list, not an object; remove"):
        open_corpus([str(folder)])


def test_what_a_killed_build_left_is_swept(make_corpus):
    folder, _ = make_corpus()
    shards = load_shards(folder)
    left = cache_root(shards) / f"building-{shards.fingerprint[:16]}"
    left.mkdir(parents=True)
    (left / "frames.npy").write_bytes(b"half")
    open_corpus([str(folder)])
    assert not left.exists()


def written(tmp_path, text):
    path = tmp_path / "clips.csv"
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    return path


@pytest.mark.parametrize(
    ("head", "reason"),
    [
        ("path,label,Group", "column 'Group' is nearly 'group'"),
        ("path,label, group", "column ' group' is nearly 'group'"),
        ("path,label,groups", "column 'groups' is nearly 'group'"),
        ("path,labels,group", "column 'labels' is nearly 'label'"),
        ("path,start,group", "column 'start' is nearly 'start_s'"),
        ("path,label,label", "column 'label' is there twice"),
        ("path,group,Group", "column 'Group' is nearly 'group'"),
    ],
)
def test_columns_that_were_meant_to_be_others_are_refused(tmp_path, head, reason):
    with pytest.raises(ValueError, match=f"clips.csv: {reason}"):
        load_manifest(written(tmp_path, f"{head}\na.wav,1,2\n"))


def test_further_columns_are_free(tmp_path):
    clips = load_manifest(written(tmp_path, "path,label,group,age,site,sex\na.wav,x,p,3,here,f\n"))
    assert clips[0].extra == {"age": "3", "site": "here", "sex": "f"}


def test_spaces_around_names_are_no_part_of_them(tmp_path):
    rows = "a.wav,cry,p1,train\nb.wav, cry,p1 ,train \nc.wav,cry , p1,train\n"
    clips = load_manifest(written(tmp_path, "path,label,group,split\n" + rows))
    assert {(clip.label, clip.group, clip.split) for clip in clips} == {("cry", "p1", "train")}


@pytest.mark.parametrize("end", ["inf", "1e308", "nan", "-1", "0"])
def test_times_beyond_a_recording_are_refused_with_the_line(tmp_path, end):
    with pytest.raises(ValueError, match=r"clips.csv:2: start_s and end_s must be seconds"):
        load_manifest(written(tmp_path, f"path,start_s,end_s\na.wav,0,{end}\n"))


@pytest.mark.parametrize("cell", ['"a\rb"', '"a\nb"', "a\x01b", "a\x00b"])
def test_line_breaks_in_a_cell_are_refused_with_the_line(tmp_path, cell):
    with pytest.raises(ValueError, match=r"clips\.csv:"):
        load_manifest(written(tmp_path, f"path,label\na.wav,{cell}\n"))


@pytest.mark.parametrize("path", [" ", "folder/  ", ""])
def test_a_path_of_blanks_names_no_file(tmp_path, path):
    with pytest.raises(ValueError, match="names no file"):
        load_manifest(written(tmp_path, f"path,label\n{path},a\n"))


TEXT = st.text(st.characters(codec="utf-8"), max_size=6) | st.sampled_from(["p1", " p1", "P1", ""])


@hypothesis.settings(
    max_examples=200,
    deadline=None,
    suppress_health_check=[hypothesis.HealthCheck.function_scoped_fixture],
)
@hypothesis.given(
    head=st.permutations(["path", "label", "group", "split", "start_s", "age", "Group", "x"]),
    width=st.integers(1, 6),
    rows=st.lists(st.lists(TEXT, min_size=6, max_size=6), min_size=1, max_size=8),
)
def test_any_table_is_refused_with_its_place_or_no_group_is_in_two_parts(
    tmp_path, head, width, rows
):
    path = tmp_path / "clips.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([head[:width], *(row[:width] for row in rows)])
    try:
        clips = load_manifest(path)
        split = make_splits([c for c in clips if not c.split], "holdout", 0).clips
    except UserError:
        return
    parts = {}
    for clip in split:
        parts.setdefault(clip.group, set()).add(clip.split)
    assert all(len(mine) == 1 for mine in parts.values())
    # without a group a recording is its own, and names of files are taken as they are
    assert all(clip.group in (clip.group.strip(), clip.recording) for clip in split)
