"""Recipes of the sources' corpora: exact layouts as small trees, and a leak planted in each."""

import dataclasses
import json

import pytest
from layouts import ICBHI, TREES, nsynth, write

from cryjax.data.leaks import LEAK
from cryjax.data.manifest import LEFT_OUT
from cryjax.data.splits import make_splits, shared_groups
from data_prep import CORPORA
from data_prep.audit import describe
from data_prep.main import prepare


@pytest.mark.parametrize("name", TREES)
def test_every_recipe_reads_its_layout(name, tmp_path):
    tree, wanted = TREES[name]
    root = write(tmp_path, tree)
    found = CORPORA[name].find(root, 0)
    assert {c.path: (c.label, c.group, c.split) for c in found} == wanted
    assert all((root / clip.path).exists() for clip in found)
    assert CORPORA[name].licence
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(ValueError, match=r"layout expected|_list.txt is missing"):
        CORPORA[name].find(empty, 0)


@pytest.mark.parametrize("name", TREES)
def test_the_audit_finds_the_planted_leak(name, tmp_path, capsys, monkeypatch):
    root, recipe = write(tmp_path / "raw", TREES[name][0]), CORPORA[name]
    clips = recipe.find(root, 0)
    first = dataclasses.replace(clips[0], split="train", label="x")
    others = [dataclasses.replace(c, label="y", split=c.split or "test") for c in clips[1:]]
    leak = dataclasses.replace(first, split="test")  # the same group and audio on the other side
    planted = [first, *others, leak]
    monkeypatch.setitem(
        CORPORA, name, dataclasses.replace(recipe, find=lambda *_: planted, split="official")
    )
    with pytest.raises(ValueError, match="in more than one split, .*--split=official_strict"):
        prepare(name, str(root), str(tmp_path / "refused"), workers=0)
    kept = {"split": "official_as_published", "workers": 0, "spec": "uclser"}
    prepare(name, str(root), str(tmp_path / "out"), **kept)
    printed = capsys.readouterr().out
    if recipe.expected:
        assert f"all: expected {recipe.expected['all']:,}, found {len(planted):,}  (diff" in printed
    text, verdict = describe(str(tmp_path / "out"), [])
    assert verdict == LEAK
    assert f"  {first.group}: test, train" in text
    assert first.path in text.split("identical audio")[1]
    info = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert json.dumps(recipe.licence)[1:-1] in json.dumps(info)


def test_the_course_trap_and_a_lying_folder(tmp_path):
    """`pos` in the path means nothing; a folder pos with a normal segment is refused."""
    write(tmp_path / "repos" / "pos_data", {f"{ICBHI}_1_0_0.wav": None})
    (clip,) = CORPORA["icbhi_balanced"].find(tmp_path / "repos", 0)
    assert clip.label == "normal"
    write(tmp_path / "repos", {f"pos/{ICBHI}_2_0_0.wav": None})
    with pytest.raises(ValueError, match="the folder says abnormal, the name says normal"):
        CORPORA["icbhi_balanced"].find(tmp_path / "repos", 0)


def test_strict_keeps_shared_groups_where_it_matters_most(tmp_path):
    tree = {
        "nsynth-valid/examples.json": nsynth("bass", "shared"),
        "nsynth-test/examples.json": nsynth("bass", "shared"),
        "nsynth-train/examples.json": nsynth("bass", "other"),
    }
    clips = CORPORA["nsynth"].find(write(tmp_path, tree), 0)
    with pytest.raises(ValueError, match="'shared'"):
        make_splits(clips, "official", 0)
    strict = make_splits(clips, "official_strict", 0).clips
    kept = [(c.group, c.split) for c in strict if c.split != LEFT_OUT]
    assert kept == [("other", "train"), ("shared", "test")]
    assert not shared_groups(strict)


def test_each_site_can_be_a_fold(tmp_path):
    clips = CORPORA["bird_detection"].find(write(tmp_path, TREES["bird_detection"][0]), 0)
    folds, words, _ = make_splits(clips, "column:site", 0)
    assert {c.split for c in folds} == {"freefield1010", "warblr"}
    assert words == "by site: each value a fold"
    moved = [dataclasses.replace(c, group="same") for c in clips]
    with pytest.raises(ValueError, match="'same' in"):
        make_splits(moved, "column:site", 0)
    with pytest.raises(ValueError, match="no column 'sight'; near: site"):
        make_splits(clips, "column:sight", 0)
