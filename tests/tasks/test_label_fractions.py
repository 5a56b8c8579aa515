"""The curve of label fractions, from a checkpoint to a table and a picture."""

import json

import pytest

from configs import label_fractions
from cryjax.tasks import label_fractions as task

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def drawn(smoke, trained, tmp_path_factory):
    root = tmp_path_factory.mktemp("curve")
    config = smoke(label_fractions, checkpoint=str(trained))
    config["data"] |= {"cache_dir": str(root / "cache"), "frames": 48}
    task.run(config, root / "curve")
    return root, config


def test_every_fraction_of_both_encoders_is_in_table_and_picture(drawn):
    root, _ = drawn
    found = json.loads((root / "curve" / "metrics.json").read_text())
    rows = {row["mode"]: row for row in found["table"]["recording"]}
    names = [f"{e} @ {f} %" for e in ("random", "pre-trained") for f in (50, 100)]
    assert sorted(rows) == sorted(names)
    assert all(row["seeds"] == 2 for row in rows.values())
    assert found["about"]["labels"].startswith("nested, drawn by group")
    clips = found["about"]["labelled clips"]
    assert float(clips["50 %"]) < float(clips["100 %"]) == found["about"]["clips"]["train"]
    # the tones and noises are easy for any encoder, and all labels need no draw
    assert rows["pre-trained @ 100 %"]["auc"]["standard_error"] == 0
    assert rows["pre-trained @ 100 %"]["auc"]["mean"] > 0.9
    assert (root / "curve" / "curve.png").stat().st_size > 10_000


def test_embeddings_are_made_once(drawn, tmp_path, monkeypatch):
    root, config = drawn
    kept = sorted(root.glob("cache/embeddings/*.npz"))
    assert len(kept) == 3  # the checkpoint's, and a random encoder's of each seed
    monkeypatch.setattr("cryjax.evaluate.embed.embed", lambda *a, **k: pytest.fail("ran again"))
    task.run(config, tmp_path)
    old, new = ((p / "predictions.csv").read_text() for p in (root / "curve", tmp_path))
    assert old == new


def test_other_windows_are_other_embeddings(drawn, tmp_path):
    root, config = drawn
    changed = config | {"data": config["data"] | {"hop": 24}, "seeds": 1, "fractions": "1"}
    task.run(changed, tmp_path)
    assert len(list(root.glob("cache/embeddings/*.npz"))) == 5


def test_wrong_numbers_are_named(drawn, tmp_path):
    _, config = drawn
    with pytest.raises(ValueError, match="expected numbers with commas between them, got '1;2'"):
        task.run(config | {"fractions": "1;2"}, tmp_path)
    with pytest.raises(ValueError, match=r"no split \['fold9'\]; there are test, train, val"):
        task.run(config | {"folds": "fold9"}, tmp_path / "other")
