"""A table of one's own: in another order, shorter, without groups."""

import csv

import pytest

from cryjax.data.corpus import open_corpus
from data_prep import build
from data_prep.main import prepare


def table(source, path, order, **columns):
    names = sorted(str(p) for p in source.rglob("[0-9].wav"))
    rows = [{"path": names[i], "label": "ab"[i % 2]} for i in order]
    rows = [row | {k: f(i) for k, f in columns.items()} for row, i in zip(rows, order, strict=True)]
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


def test_a_reordered_table_in_the_same_folder_never_meets_the_old_manifest(
    source, tmp_path, monkeypatch
):
    """The new preparation is stopped when the first shard is there: nothing may be readable."""
    monkeypatch.setattr(build, "CLIPS_A_SHARD", 6)
    out = tmp_path / "out"
    prepare("csv", str(table(source, tmp_path / "a.csv", range(12))), str(out), workers=0)
    write, done = build.write_shard, []

    def stopping(*args):
        if done:
            raise KeyboardInterrupt
        done.append(write(*args))

    monkeypatch.setattr(build, "write_shard", stopping)
    again = table(source, tmp_path / "b.csv", range(11, -1, -1))
    with pytest.raises(KeyboardInterrupt):
        prepare("csv", str(again), str(out), workers=0)
    with pytest.raises(FileNotFoundError, match=r"manifest.json is missing"):
        open_corpus([str(out)])
    monkeypatch.setattr(build, "write_shard", write)
    prepare("csv", str(again), str(out), workers=0)
    open_corpus([str(out)])


def test_shards_of_an_earlier_plan_are_removed(source, tmp_path, monkeypatch):
    out = tmp_path / "out"
    monkeypatch.setattr(build, "CLIPS_A_SHARD", 3)
    prepare("csv", str(table(source, tmp_path / "a.csv", range(12))), str(out), workers=0)
    prepare("csv", str(table(source, tmp_path / "a.csv", range(5))), str(out), workers=0)
    assert len(list(out.glob("*.arrayrecord"))) == 2
    assert len(list(out.glob("shard-*.json"))) == 2


def test_a_table_without_groups_and_groups_that_are_nearly_one_are_said_aloud(
    source, tmp_path, capsys
):
    prepare(
        "csv",
        str(table(source, tmp_path / "a.csv", range(12))),
        str(tmp_path / "a"),
        workers=0,
    )
    said = capsys.readouterr().out
    assert "NO GROUPS: the table has no column group" in said
    assert "group = recording, because the table names no group" in said
    named = table(source, tmp_path / "b.csv", range(12), group=lambda i: f"{'Pp'[i % 2]}{i // 2}")
    prepare("csv", str(named), str(tmp_path / "b"), workers=0)
    said = capsys.readouterr().out
    assert "groups that differ only by case or spaces: 'P0', 'p0'" in said
    assert "NO GROUPS" not in said
    assert "groups that differ" in (tmp_path / "b" / "summary.txt").read_text()
