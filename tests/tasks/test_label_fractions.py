"""The curves of label fractions, from a checkpoint to a table and a picture."""

import json

import pytest

from configs import label_fractions
from cryjax.settings import changed
from cryjax.tasks import label_fractions as task

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def drawn(smoke, trained, tmp_path_factory):
    root = tmp_path_factory.mktemp("curve")
    data = {"data.cache_dir": str(root / "cache"), "data.frames": 48}
    settings = smoke(label_fractions, checkpoint=str(trained), **data)
    task.run(settings, root / "curve")
    return root, settings


def test_every_fraction_of_every_curve_is_in_table_and_picture(drawn):
    root, _ = drawn
    found = json.loads((root / "curve" / "metrics.json").read_text())
    rows = {row["mode"]: row for row in found["table"]["recording"]}
    curves = ("majority", "mel_statistics", "random_logistic", "pre-trained: logistic")
    assert sorted(rows) == sorted(f"{c} @ {f} %" for c in curves for f in (50, 100))
    assert found["about"]["labels"].startswith("nested, drawn by group")
    # a fit of all labels with one encoder is one fit, without any spread to show
    one, two = (rows[f"pre-trained: logistic @ {f} %"] for f in (100, 50))
    assert (one["seeds"], two["seeds"]) == (1, 2)
    assert str(one["auc"]["standard_error"]) == "nan"
    assert rows["random_logistic @ 100 %"]["seeds"] == 2  # two random encoders
    assert one["auc"]["mean"] > 0.9  # the tones and noises are easy for any encoder
    shown = (root / "curve" / "results.md").read_text().splitlines()
    row = next(line for line in shown if line.startswith("| pre-trained: logistic @ 100 %"))
    assert "±" not in row
    assert (root / "curve" / "curve.png").stat().st_size > 10_000


def test_shares_that_show_the_same_recordings_stand_once(drawn, tmp_path):
    _, settings = drawn
    few = {"seeds": 2, "fractions": (0.01, 0.05, 0.5), "modes": "mel_statistics"}
    task.run(changed(settings, few), tmp_path)
    found = json.loads((tmp_path / "metrics.json").read_text())
    modes = [row["mode"] for row in found["table"]["recording"]]
    assert modes == ["mel_statistics @ 5 %", "mel_statistics @ 50 %"]  # one group of each class


def test_embeddings_are_made_once(drawn, tmp_path, monkeypatch):
    root, settings = drawn
    kept = sorted(root.glob("cache/embeddings/*.npz"))
    assert len(kept) == 3  # the checkpoint's, and a random encoder's of each seed
    monkeypatch.setattr("cryjax.evaluate.embeddings.embed", lambda *_: pytest.fail("ran again"))
    task.run(settings, tmp_path)
    old, new = ((p / "predictions.csv").read_text() for p in (root / "curve", tmp_path))
    assert old == new


def test_other_windows_are_other_embeddings(drawn, tmp_path):
    root, settings = drawn
    few = {"seeds": 1, "fractions": "1", "modes": "random_logistic,logistic"}
    task.run(changed(settings, {"data": {"hop_frames": 16}, **few}), tmp_path)
    assert len(list(root.glob("cache/embeddings/*.npz"))) == 5


def test_modes_that_train_have_curves_of_several_encoders(drawn, trained, tmp_path):
    _, settings = drawn
    settings = changed(
        settings,
        {
            "checkpoint": None,
            "checkpoints": f"generic={trained},adapted={trained}",
            "modes": "linear_bn,scratch",
            "fractions": "0.5",
            "seeds": 1,
        },
    )
    task.run(settings, tmp_path)
    found = json.loads((tmp_path / "metrics.json").read_text())
    modes = [row["mode"].split(" @ ")[0] for row in found["table"]["recording"]]
    assert modes == ["generic: linear_bn", "adapted: linear_bn", "scratch"]


def test_wrong_settings_are_named(drawn, tmp_path):
    _, settings = drawn
    with pytest.raises(ValueError, match="config.fractions: expected float, got '1;2'"):
        changed(settings, {"fractions": "1;2"})
    with pytest.raises(ValueError, match=r"no split \['fold9'\]; there are test, train, val"):
        task.run(changed(settings, {"data": {"folds": "fold9"}}), tmp_path / "other")
    pretrained_alone = {"checkpoint": None, "modes": "logistic"}
    with pytest.raises(ValueError, match="protocols of pre-trained encoders alone"):
        task.run(changed(settings, pretrained_alone), tmp_path / "third")
