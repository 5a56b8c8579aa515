"""Judging with few labels, the protocols, the practical, verification: each through its config."""

import csv
import json

import numpy as np
import pytest
import soundfile

from configs import icbhi, protocol, transfer, verify
from cryjax.objectives.semi import SEMI
from cryjax.tasks import ablate
from cryjax.tasks import transfer as task
from cryjax.tasks import verify as verify_task
from cryjax.tasks.judged import prepare
from cryjax.train.checkpoint import load_model
from cryjax.train.log import load_metrics
from data_prep.main import prepare as prepare_corpus

METHODS = (*SEMI, "self_training")


def few(smoke, **changes):
    settings = {"label.fraction": 0.5, "modes": ",".join(METHODS), "data.cache_dir": ""}
    return smoke(transfer, **settings | changes)


def test_hidden_labels_are_gone_and_groups_stay_whole(smoke):
    judged = prepare(few(smoke))
    split, corpus = judged.labelled(0), judged.hidden(0)
    hidden = np.setdiff1d(judged.split.train, split.train)
    assert len(hidden)
    assert (corpus.labels[hidden] == -1).all()
    assert (corpus.labels[split.train] >= 0).all()
    assert not set(corpus.groups[hidden]) & set(corpus.groups[split.train])
    np.testing.assert_array_equal(split.test, judged.split.test)
    assert set(judged.labelled(1).train.tolist()) != set(split.train.tolist())


@pytest.mark.slow
def test_every_semi_supervised_mode_runs_and_is_judged(smoke, tmp_path):
    config = few(smoke, **{"encoder.name": "simple_cnn", "encoder.frames": 48})
    config["encoder"] |= {"width": 4}
    config["semi"]["self_training"]["rounds"] = 2
    task.run(config, tmp_path)
    found = json.loads((tmp_path / "metrics.json").read_text())
    assert [row["mode"] for row in found["table"]["recording"]] == list(METHODS)
    assert found["about"]["labels"].startswith("50 % of it by group")
    for mode in METHODS:
        rows = load_metrics(tmp_path / "curves" / f"{mode}-seed0")
        assert any("val_loss" in row for row in rows)
        assert ("unsupervised" in rows[0]) == (mode != "self_training")


def test_validation_by_clip_says_leaky_and_chooses_nothing(smoke, tmp_path):
    changes = {"data.val": "by_clip", "modes": "majority,random_knn"}
    task.run(smoke(transfer, **changes), tmp_path)
    found = json.loads((tmp_path / "metrics.json").read_text())
    assert "LEAKY" in found["about"]["split rule"]
    assert "Operating points" not in found["more"]
    assert "LEAKY: " in (tmp_path / "report.html").read_text()
    with pytest.raises(ValueError, match="groups are in train and test"):
        task.run(smoke(transfer, **changes | {"data.test": "train"}), tmp_path / "x")


def test_the_practical_validates_each_epoch_by_patient(smoke, tmp_path):
    config = smoke(icbhi, **{"data.val_share": 0.2, "probe.settings.batch_size": 8})
    config["encoder"] = icbhi.get_config().to_dict()["encoder"] | {"width": 2}
    config["data"]["frames"] = 64
    task.run(config | {"epochs": 2}, tmp_path)
    found = json.loads((tmp_path / "metrics.json").read_text())
    rows = load_metrics(tmp_path / "curves" / "scratch-seed0")
    validated = [row for row in rows if "val_loss" in row]
    steps = found["about"]["clips"]["train"] // 8
    assert [row["step"] for row in validated] == [steps, 2 * steps]
    kept, _, meta = load_model(tmp_path / "best" / "scratch-seed0")
    assert meta["trained_as"] == "scratch"
    assert meta["step"] in (steps, 2 * steps)
    assert kept.features == 16
    with np.load(tmp_path / "best" / "scratch-seed0" / "classifier.npz") as head:
        assert (head["kernel"].shape, list(head["classes"])) == ((16, 2), ["noise", "tone"])
    again = smoke(transfer, checkpoint=str(tmp_path / "best" / "scratch-seed0"), modes="knn")
    again["data"]["frames"] = 64
    task.run(again, tmp_path / "again")
    assert [r["class"] for r in found["more"]["Per class"]] == [
        "noise",
        "tone",
        "macro avg",
        "weighted avg",
    ]


def test_a_protocols_table_keeps_the_sources_figures_apart(smoke, prepared, tmp_path):
    config = protocol.get_config("smoke").to_dict()
    config["base"]["data"] |= {"dirs": str(prepared)}
    config["base"]["encoder"] |= {"name": "vgg", "width": 4}
    config["published"] = {"SC-V1: SLICER": {"random_linear": 94.8}}
    ablate.run(config | {"tasks": str(prepared)}, tmp_path)
    lines = (tmp_path / "results.md").read_text().splitlines()
    head, ours, theirs = (lines[i] for i in (4, 6, 7))
    assert head == "| row | random_linear | random_linear: as published (other data) |"
    assert ours.startswith("| prepared | ")
    assert ours.endswith("|  |")
    assert theirs == "| SC-V1: SLICER |  | 94.8 |"
    with (tmp_path / "results.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert rows[1]["random_linear_published"] == "94.8"
    assert rows[1]["random_linear_mean"] == ""
    assert "<td>SC-V1: SLICER</td><td></td><td>94.8</td>" in (tmp_path / "report.html").read_text()


@pytest.mark.parametrize(
    "name", ["ubenwa", "uclser", "lape", "icbhi", "uclser_released", "lape_released"]
)
def test_every_protocol_names_settings_that_exist(name):
    config = protocol.get_config(name).to_dict()
    plain = transfer.get_config().to_dict()
    for changes in config["rows"].values():
        assert not ablate.merged(plain, changes).keys() - plain.keys()
    assert config["base"].keys() == plain.keys()
    columns = config["modes"].split(",")
    assert all(set(row) <= set(columns) for row in config["published"].values())
    assert config["base"]["probe"]["settings"]["released"] == (name == "lape_released")
    assert ("seeds", {"ubenwa": 10, "lape_released": 1, "icbhi": 3}.get(name, 3)) == (
        "seeds",
        config["base"]["seeds"],
    )


def test_checkpoints_multiply_the_rows():
    config = protocol.get_config("uclser").to_dict() | {"checkpoints": "a=x,b=y"}
    rows = ablate._rows(config)
    assert list(rows) == [
        "larger noisy · a",
        "larger noisy · b",
        "small clean · a",
        "small clean · b",
    ]
    assert rows["small clean · b"]["checkpoint"] == "y"
    with pytest.raises(ValueError, match=r"name=workdir,..., got \['x'\]"):
        ablate._rows(config | {"checkpoints": "x"})


@pytest.fixture(scope="module")
def babies(tmp_path_factory):
    """Six babies with a pitch each, two pieces at birth and two at discharge."""
    root, rows = tmp_path_factory.mktemp("babies"), ["path,group,period,split"]
    rng = np.random.default_rng(0)
    for baby in range(6):
        for piece in range(4):
            t = np.arange(8000) / 8000
            wave = 0.4 * np.sin(2 * np.pi * 300 * 1.4**baby * t) + 0.01 * rng.normal(size=8000)
            soundfile.write(root / f"{baby}_{piece}.wav", wave, 8000)
            rows.append(f"{baby}_{piece}.wav,spk{baby},{'BD'[piece % 2]},test")
    (root / "clips.csv").write_text("\n".join(rows) + "\n")
    out = root / "prepared"
    prepare_corpus("csv", str(root / "clips.csv"), str(out), workers=0)
    return out


def test_verification_tells_babies_apart(smoke, babies, tmp_path):
    names = [f"spk{i}" for i in range(6)]
    lines = [f"{a},{b},{int(a == b)}" for a in names for b in [*names, "nobody"]]
    (tmp_path / "pairs.csv").write_text("\n".join(["baby_id_B,baby_id_D,label", *lines]) + "\n")
    config = smoke(verify, pairs=str(tmp_path / "pairs.csv"))
    config["data"] |= {"dirs": str(babies), "splits": "test", "frames": 48}
    verify_task.run(config, tmp_path / "run")
    found = json.loads((tmp_path / "run" / "metrics.json").read_text())
    assert (found["pairs"], found["left_out"]) == (36, 6)
    assert found["equal_error_rate"] < 0.2  # every baby has a pitch of its own
    assert found["interval"][0] <= found["equal_error_rate"] <= found["interval"][1]
    (tmp_path / "bad.csv").write_text("a,b\n1,2\n")
    with pytest.raises(ValueError, match="expected columns baby_id_B, baby_id_D, label"):
        verify_task.run(config | {"pairs": str(tmp_path / "bad.csv")}, tmp_path / "bad")
    (tmp_path / "others.csv").write_text("baby_id_B,baby_id_D,label\nx,y,1\n")
    with pytest.raises(ValueError, match="no pair has both of its recordings"):
        verify_task.run(config | {"pairs": str(tmp_path / "others.csv")}, tmp_path / "others")
