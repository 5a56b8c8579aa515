"""Configs: every variant names only what exists, ablations list and run, recipes build."""

import csv
import dataclasses
import json
import pathlib
import subprocess
import sys

import pytest
from flax import nnx

from configs import ablations, simclr, suite, transfer
from configs.paper import slicer, ubenwa, uclser
from cryjax.evaluate.probe import ProbeSettings
from cryjax.spec import preset
from cryjax.tasks import ablate
from cryjax.tasks.common import open_data
from cryjax.tasks.pretrain import build_objective
from cryjax.train.optim import OptimSettings, build_optimiser

ROOT = pathlib.Path(__file__).parent.parent
PAPER = [
    *((uclser, name) for name in (*uclser.ENCODERS, *uclser.TASKS)),
    *((ubenwa, name) for name in ubenwa.VARIANTS),
    *((slicer, name) for name in slicer.BASES),
]


@pytest.mark.parametrize(("module", "variant"), PAPER, ids=lambda x: getattr(x, "__name__", x))
def test_a_paper_recipe_is_one_that_can_be_built(module, variant, prepared):
    config = module.get_config(variant).to_dict()
    if config["task"] == "transfer":
        settings = {"frames": 101, "hop": 50, **config["probe"].pop("settings")}
        for mode in ("linear", "linear_bn", "finetune", "scratch"):
            ProbeSettings(**settings, optim=OptimSettings(**config["probe"][mode]))
        assert config["probe"].keys() >= {"linear_settings"}
        return
    assert config["task"] == "pretrain"
    corpus = open_data(config["data"] | {"dirs": str(prepared), "replay_dirs": ""})
    objective = nnx.eval_shape(lambda: build_objective(config, corpus, (0.0, 1.0)))
    build_optimiser(OptimSettings(**config["optim"]), config["steps"])
    assert config["objective"].get("queue", 0) % config["batch_size"] == 0
    assert objective.policy.order[-1] in ("normalise", "resize_crop", "k_mix", "post_normalise")
    for line in pathlib.Path(module.__file__).read_text().splitlines():
        if "config.batch_size =" in line:
            assert "[" in line or "SIZES" in line  # where the value comes from


@pytest.mark.parametrize("spec", ["uclser", "ubenwa", "slicer"])
def test_mix_back_is_told_what_the_mels_are(spec, smoke):
    config = smoke(simclr)
    corpus = dataclasses.replace(open_data(config["data"]), spec=preset(spec))
    objective = nnx.eval_shape(lambda: build_objective(config, corpus, (0.0, 1.0)))
    assert objective.policy.settings["mix_back"]["log"] == preset(spec).log


def test_every_method_is_a_variant_of_the_suite():
    for name in suite.METHODS:
        assert suite.get_config(name).to_dict()["pretrain"]["objective"]["name"] == name
    with pytest.raises(ValueError, match="variants are smoke, demo, slicer, byola"):
        suite.get_config("sliser")


def test_ablations_cover_the_sources_tables_row_by_row():
    listed = ablations.get_config("list").to_dict()["text"].splitlines()
    rows = {line.split(":")[0]: line.split(": ")[1].split(", ") for line in listed}
    assert {name: len(found) for name, found in rows.items()} == {
        "sampling": 8,
        "mix_back": 3,
        "policies": 6,
        "objectives": 7,
    }
    config = ablations.get_config("sampling").to_dict()
    chosen = ablate.merged(config["base"], config["rows"]["d25"])
    assert (chosen["pretrain"]["data"]["distance"], config["published"]["d25"]) == (
        25,
        {"knn": 61.5},
    )
    assert config["base"]["pretrain"]["data"]["distance"] == -1
    methods = ablations.get_config("objectives").to_dict()
    chosen = ablate.merged(methods["base"], methods["rows"]["byola"])
    assert chosen["pretrain"]["objective"]["name"] == "byola"
    assert "temperature" not in chosen["pretrain"]["objective"]  # replaced, not merged
    assert chosen["pretrain"]["encoder"] == methods["base"]["pretrain"]["encoder"]


@pytest.mark.slow
def test_an_ablation_runs_its_rows_and_skips_what_is_finished(prepared, tmp_path, capsys):
    config = ablations.get_config("smoke").to_dict()
    for part in ("pretrain", "transfer"):
        config["base"][part]["data"]["dirs"] = str(prepared)
    config["base"]["pretrain"]["encoder"]["width"] = 4
    config["base"]["transfer"]["encoder"]["width"] = 4
    ablate.run(config, tmp_path)
    table = (tmp_path / "results.md").read_text()
    assert "| random |" in table
    assert table.strip().endswith("61.5 |")
    with (tmp_path / "results.csv").open() as file:
        rows = list(csv.DictReader(file))
    found = json.loads((tmp_path / "results.json").read_text())["rows"]
    assert [row["row"] for row in rows] == ["random", "d25"] == [row["row"] for row in found]
    assert float(rows[0]["knn_mean"]) == found[0]["knn_mean"]
    capsys.readouterr()
    ablate.run(config | {"only": "random"}, tmp_path)
    assert "all 4 steps are done" in capsys.readouterr().out
    with pytest.raises(ValueError, match=r"config.only names \['d26'\]; there are d0, d125"):
        ablate.run(config | {"only": "d26"}, tmp_path)


def test_the_list_needs_no_workdir():
    command = [sys.executable, "-m", "cryjax.main", "--config=configs/ablations.py:list"]
    run = subprocess.run(command, check=True, capture_output=True, text=True, cwd=ROOT)
    assert run.stdout == ablations.get_config("list").to_dict()["text"] + "\n"


def test_what_a_judged_run_shares_with_its_pre_training_is_named_alike():
    ours, theirs = simclr.get_config().to_dict(), transfer.get_config().to_dict()
    assert ours["augment"].keys() == theirs["augment"].keys()
    assert ours["encoder"] == theirs["encoder"]
