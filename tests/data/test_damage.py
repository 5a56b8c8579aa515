"""Damaged shards and malformed files: counted, named, refused; never a crash."""

import json
import os
import shutil

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as st

from cryjax.data import cache
from cryjax.data.batches import Sampling, make_batches
from cryjax.data.cache import cache_root
from cryjax.data.corpus import DataSettings, open_corpus
from cryjax.data.manifest import load_manifest
from cryjax.data.shards import decode_record, encode, load_shards
from cryjax.files import save_json
from cryjax.spec import FeatureSpec, preset

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=6,
)
quick = hypothesis.settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[hypothesis.HealthCheck.function_scoped_fixture],
)


def flip(folder, share):
    """A bit within the records; ArrayRecord fills its blocks up with zeros."""
    path = sorted(folder.glob("*.arrayrecord"))[0]
    data = bytearray(path.read_bytes())
    held = np.flatnonzero(np.frombuffer(data, np.uint8))
    data[held[int(share * len(held))]] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize("source", ["cache", "shards"])
def test_a_damaged_record_is_left_out_and_its_neighbours_are_whole(make_corpus, source, capsys):
    folder, _ = make_corpus(lengths=(300,) * 8, labels="abababab")
    whole = open_corpus([str(folder)], DataSettings(source="shards"))
    want = whole.frames.gather(np.arange(8), np.zeros(8, int), 50)
    flip(folder, 0.4)
    corpus = open_corpus([str(folder)], DataSettings(source=source, max_damaged_share=0.2))
    assert "1 of 8 records are damaged and left out" in capsys.readouterr().out
    (bad,) = corpus.damaged
    rows = corpus.rows(["train"])
    assert bad not in rows
    assert len(rows) == 7
    np.testing.assert_array_equal(corpus.frames.gather(rows, np.zeros(7, int), 50), want[rows])
    stream = make_batches(corpus, rows, Sampling(50, backgrounds="own"), batch_size=7, seed=0)
    assert bad not in np.concatenate([next(stream)["index"] for _ in range(3)])
    again = open_corpus([str(folder)], DataSettings(source=source, max_damaged_share=0.2))
    assert again.damaged == corpus.damaged


def test_shards_are_verified_once_and_again_when_they_change(make_corpus, monkeypatch):
    folder, _ = make_corpus(lengths=(300,) * 8, labels="abababab")
    read, original = [], cache._records
    monkeypatch.setattr(cache, "_records", lambda shards: read.append(1) or original(shards))
    for _ in range(2):
        open_corpus([str(folder)], DataSettings(source="shards"))
    assert len(read) == 1
    shard = next(folder.glob("*.arrayrecord"))
    os.utime(shard, ns=(0, shard.stat().st_mtime_ns + 1))
    open_corpus([str(folder)], DataSettings(source="shards"))
    assert len(read) == 2


@pytest.mark.parametrize("source", ["cache", "shards"])
def test_more_damage_than_allowed_is_refused(make_corpus, source):
    folder, _ = make_corpus(lengths=(300,) * 8, labels="abababab")
    flip(folder, 0.4)
    with pytest.raises(
        ValueError, match=r"1 of 8 records are damaged.*max_damaged_share=0.0; copy"
    ):
        open_corpus([str(folder)], DataSettings(source=source, max_damaged_share=0.0))
    assert not list(cache_root(load_shards(folder)).glob("*/cache.json"))


def test_a_damaged_cache_names_itself(make_corpus):
    folder, _ = make_corpus()
    open_corpus([str(folder)])
    (path,) = cache_root(load_shards(folder)).glob("*/frames.npy")
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(ValueError, match="the frame cache is damaged .*; remove it"):
        open_corpus([str(folder)])


@quick
@hypothesis.given(data=st.binary(max_size=200))
def test_no_bytes_but_a_record_are_a_record(data):
    with pytest.raises(ValueError, match="not a cryjax record"):
        decode_record(data)
    good = encode(np.zeros((3, 2), np.float16), clip=0, label=0, identity=b"12345678")
    with pytest.raises(ValueError, match="not a cryjax record"):
        decode_record(good + data[:1] + b"\0")


@quick
@hypothesis.given(data=st.binary(max_size=300) | st.text(max_size=200).map(str.encode))
def test_any_bytes_are_a_manifest_or_a_value_error(data, tmp_path):
    path = tmp_path / "clips.csv"
    for text in (data, b"path,start_s,end_s\n" + data, b"path,start_s\na.wav,nan\n"):
        path.write_bytes(text)
        try:
            clips = load_manifest(path)
        except ValueError as error:
            assert "clips.csv" in str(error)  # noqa: PT017
        else:
            assert all(clip.path and 0 <= clip.start_s < np.inf for clip in clips)


@quick
@hypothesis.given(
    key=st.sampled_from(["schema", "spec", "classes", "shards", "clips_sha256"]), value=JSON
)
def test_a_manifest_of_shards_with_anything_in_it_is_refused_or_read(
    key, value, make_corpus, tmp_path
):
    folder = tmp_path / "set"
    if not folder.exists():
        shutil.copytree(make_corpus()[0], folder)
        shutil.copy(folder / "manifest.json", tmp_path / "kept.json")
    info = json.loads((tmp_path / "kept.json").read_text())
    (folder / "manifest.json").write_text(json.dumps(info | {key: value}))
    try:
        found = load_shards(folder)
    except (ValueError, FileNotFoundError) as error:
        assert str(folder) in str(error)  # noqa: PT017
    else:
        assert found.info[key] == value


@pytest.mark.parametrize("name", ["../outside.arrayrecord", "/etc/passwd", "a/b.arrayrecord"])
def test_a_shard_outside_of_its_folder_is_refused(make_corpus, name):
    folder, _ = make_corpus()
    info = json.loads((folder / "manifest.json").read_text())
    info["shards"][0]["name"] = name
    save_json(folder / "manifest.json", info)
    with pytest.raises(ValueError, match="would lie outside of the folder"):
        load_shards(folder)


@quick
@hypothesis.given(changes=st.dictionaries(st.text(max_size=10), JSON, max_size=3))
def test_a_spec_takes_its_own_fields_alone(changes):
    known = preset("uclser").to_json()
    if changes.keys() <= known.keys():
        return
    with pytest.raises(ValueError, match="has no field"):
        FeatureSpec.from_json(known | changes)


@pytest.mark.parametrize("name", ["clips.csv", "manifest.json"])
def test_a_file_that_cannot_be_read_is_named(make_corpus, name):
    folder, _ = make_corpus()
    (folder / name).unlink()
    (folder / name).mkdir()  # for root, rights refuse nothing
    with pytest.raises(ValueError, match=f"{name}.*(cannot be read|is not readable)"):
        load_shards(folder)
