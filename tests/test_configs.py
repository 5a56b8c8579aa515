"""Configs: every variant names only what exists, ablations list and run, recipes build."""

import csv
import dataclasses
import importlib
import json
import pathlib
import subprocess
import sys

import pytest
from flax import nnx
from ml_collections import ConfigDict

from configs import ablations, laptop, protocol, simclr, suite, transfer
from configs.paper import slicer, ubenwa, uclser
from cryjax import overrides
from cryjax.data.pool import open_pool, open_training_data
from cryjax.evaluate.task import EvaluationSettings
from cryjax.evaluate.training_settings import ProbeSettings, TrainingSettings
from cryjax.objectives.slicer import SLICERSettings
from cryjax.pretraining import PretrainSettings, build, resolve
from cryjax.settings import changed, from_dict, merged, to_dict
from cryjax.spec import preset
from cryjax.tasks import TASKS, table
from cryjax.train.optim import OptimSettings, build_optimiser

ROOT = pathlib.Path(__file__).parent.parent
PAPER = [
    *((uclser, name) for name in uclser.ENCODERS),
    *((ubenwa, name) for name in ubenwa.VARIANTS),
    *((slicer, name) for name in slicer.BASES),
]


def settings_of(config):
    """The settings dataclass that main makes of a config."""
    name, kind = TASKS[config["task"]]
    return from_dict(getattr(importlib.import_module(name), kind), config)


@pytest.mark.parametrize(("module", "variant"), PAPER, ids=lambda x: getattr(x, "__name__", x))
def test_a_paper_recipe_is_one_that_can_be_built(module, variant, prepared):
    settings = settings_of(module.get_config(variant).to_dict())
    if not isinstance(settings, PretrainSettings):
        for mode in ("linear", "linear_bn", "finetune", "scratch"):
            build_optimiser(getattr(settings.probe, mode).optim, 10)
        return
    own = {"dirs": str(prepared), "replay_dirs": "", "replay_fraction": 0.0, "protect_dirs": ""}
    settings, start = resolve(changed(settings, {"data": own, "init": None}))
    corpus = open_training_data(settings.data)
    pool = open_pool(corpus, dataclasses.replace(settings.data, on_protected="drop"))
    objective = nnx.eval_shape(lambda: build(without_k_means(settings), corpus, pool, start))
    build_optimiser(settings.optim, settings.steps)
    assert getattr(settings.objective, "queue", 0) % settings.batch_size == 0
    last = ("normalise", "byola_resize_crop", "k_mix", "post_normalise")
    assert settings.augment.order[-1] in last
    assert objective.policy.order[-1] in last
    for line in pathlib.Path(module.__file__).read_text().splitlines():
        if line.strip().startswith('"batch_size":'):
            assert "[" in line or "batch," in line  # where the value comes from


def without_k_means(settings):
    """k-means needs values, which abstract building has not."""
    order = tuple(step for step in settings.augment.order if step != "k_mix")
    return dataclasses.replace(settings, augment=dataclasses.replace(settings.augment, order=order))


@pytest.mark.parametrize("name", ["slicer", "ubenwa"])
def test_paper_recipes_of_unlabelled_sets_train_on_all_of_them(name):
    """A csv without splits gets a drawn one: they trained on 70 % of the hours."""
    module = {"slicer": slicer, "ubenwa": ubenwa}[name]
    assert settings_of(module.get_config().to_dict()).data.splits == ("*",)


@pytest.mark.parametrize("spec", ["uclser", "ubenwa", "slicer"])
def test_mix_back_is_told_what_the_mels_are(spec, smoke):
    settings, start = resolve(smoke(simclr))
    corpus = dataclasses.replace(open_training_data(settings.data), spec=preset(spec))
    pool = open_pool(corpus, settings.data)
    objective = nnx.eval_shape(lambda: build(settings, corpus, pool, start))
    assert dict(objective.policy.step("mix_back").settings)["log"] == preset(spec).log


def test_every_method_is_a_variant_of_the_suite():
    for name in suite.METHODS:
        assert suite.get_config(name).to_dict()["pretrain"]["objective"]["name"] == name
    with pytest.raises(ValueError, match="variants are smoke, demo, slicer, byola"):
        suite.get_config("sliser")


def test_a_suite_offers_no_setting_that_it_would_not_read():
    """`pretrain.data.dirs` could be set and was ignored."""
    config = suite.get_config()
    for path, names in suite.DECIDED.items():
        part = config
        for key in path.split("."):
            part = part[key]
        assert not set(names) & set(part.keys())
    command = [sys.executable, "-m", "cryjax.main", "--config=configs/suite.py", "--workdir=x"]
    command += ["--config.pretrain.data.dirs=prepared/mine"]
    done = subprocess.run(command, check=False, capture_output=True, text=True, cwd=ROOT)
    assert "config.pretrain.data.dirs is not a setting" in done.stderr
    assert "config.transfer.data.dirs" in done.stderr


FILES = sorted((ROOT / "configs").rglob("*.py"))
MODULES = [
    importlib.import_module(".".join(path.relative_to(ROOT).with_suffix("").parts))
    for path in FILES
    if "def get_config" in path.read_text()
]


@pytest.mark.parametrize("module", MODULES, ids=lambda m: m.__name__)
def test_every_config_becomes_settings_and_shares_nothing(module):
    """One ConfigDict in two places let an override of the one change the other."""
    config = module.get_config()
    if config.task != "list":
        settings_of(config.to_dict())
    seen: list[int] = []

    def visit(part):
        seen.append(id(part))
        for value in part.values():
            if isinstance(value, ConfigDict):
                visit(value)

    visit(config)
    assert len(seen) == len(set(seen))


def test_defaults_are_those_of_the_dataclasses():
    """configs/ start from them: what a config does not change is written once."""
    assert settings_of(transfer.get_config().to_dict()) == transfer.TransferSettings()


def test_a_part_that_is_given_in_part_keeps_the_defaults_it_has_there():
    """`probe.linear` has another rate than its class; a change of name starts from the class."""
    made = from_dict(EvaluationSettings, {"probe": {"linear": {"steps": 7}}})
    assert made.probe.linear == dataclasses.replace(ProbeSettings().linear, steps=7)
    assert made.probe.linear.optim != TrainingSettings().optim
    named = from_dict(PretrainSettings, {"optim": {"name": "lars"}, "seed": 3})
    assert named.optim == OptimSettings("lars")
    assert (named.seed, named.data) == (3, PretrainSettings().data)
    other = from_dict(PretrainSettings, {"objective": {"name": "slicer", "queue": 8}})
    assert other.objective == SLICERSettings(queue=8)


def test_ablations_cover_the_sources_tables_row_by_row():
    listed = ablations.get_config("list").to_dict()["text"].splitlines()
    rows = {line.split(":")[0]: line.split(": ")[1].split(", ") for line in listed}
    assert {name: len(found) for name, found in rows.items()} == {
        "sampling": 8,
        "mix_back": 3,
        "policies": 6,
        "objectives": 7,
    }
    settings = settings_of(ablations.get_config("sampling").to_dict())
    d25 = from_dict(suite.SuiteSettings, merged(settings.base, settings.rows["d25"]))
    assert (d25.pretrain.data.distance, settings.published["d25"]) == (25, {"knn_within": 61.5})
    assert settings.base["pretrain"]["data"]["distance"] is None
    assert (d25.transfer.knn.k, d25.transfer.knn.features) == (200, "z")
    methods = settings_of(ablations.get_config("objectives").to_dict())
    byola = from_dict(suite.SuiteSettings, merged(methods.base, methods.rows["byola"]))
    assert byola.pretrain.objective.name == "byola"
    assert to_dict(byola.pretrain.encoder) == methods.base["pretrain"]["encoder"]


@pytest.mark.slow
def test_an_ablation_runs_its_rows_and_skips_what_is_finished(prepared, tmp_path, capsys):
    config = ablations.get_config("smoke").to_dict()
    config["base"]["transfer"]["data"]["dirs"] = str(prepared)
    for part in ("pretrain", "transfer"):
        config["base"][part]["encoder"] = {"name": "vgg", "width": 4}
    table.run(settings_of(config), tmp_path)
    shown = (tmp_path / "results.md").read_text()
    assert "| random |" in shown
    assert shown.strip().endswith("61.5 |")
    with (tmp_path / "results.csv").open() as file:
        rows = list(csv.DictReader(file))
    found = json.loads((tmp_path / "results.json").read_text())["rows"]
    assert [row["row"] for row in rows] == ["random", "d25"] == [row["row"] for row in found]
    assert float(rows[0]["knn_within_mean"]) == found[0]["knn_within_mean"]
    capsys.readouterr()
    table.run(settings_of(config | {"only": "random"}), tmp_path)
    assert "all 4 steps are done" in capsys.readouterr().out
    with pytest.raises(ValueError, match=r"config.only names \['d26'\]; there are d0, d125"):
        table.run(settings_of(config | {"only": "d26"}), tmp_path)


@pytest.mark.parametrize(
    ("metric", "reason"),
    [
        ("acuracy", "must be one of .* nearest: accuracy"),
        ("icbhi_score", "needs clinical.normal"),
    ],
)
def test_a_metric_that_no_row_has_is_refused_before_a_row_is_trained(tmp_path, metric, reason):
    config = ablations.get_config("smoke").to_dict() | {"metric": metric}
    with pytest.raises(ValueError, match=reason):
        table.run(settings_of(config), tmp_path)
    assert not list(tmp_path.iterdir())


def test_the_lists_need_no_workdir():
    command = [sys.executable, "-m", "cryjax.main", "--config=configs/protocol.py:list"]
    run = subprocess.run(command, check=True, capture_output=True, text=True, cwd=ROOT)
    assert run.stdout == protocol.get_config("list").to_dict()["text"] + "\n"
    assert ablations.get_config("list").task == protocol.get_config("list").task


def test_what_an_evaluation_shares_with_its_pre_training_is_named_alike():
    ours, theirs = simclr.get_config().to_dict(), transfer.get_config().to_dict()
    assert ours["augment"].keys() == theirs["augment"].keys()
    assert ours["encoder"] == theirs["encoder"]


def test_updates_beside_epochs_are_refused_and_not_passed_over(tmp_path):
    command = (sys.executable, "-m", "cryjax.main", "--config=configs/icbhi.py")
    given = (f"--workdir={tmp_path}", "--config.probe.scratch.steps=4")
    done = subprocess.run([*command, *given], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.strip() == (
        "cryjax: config.probe.scratch.steps would not be read: config.probe.scratch.epochs=16 "
        "decides the length; set that, or config.probe.scratch.epochs=None too"
    )


def test_another_encoder_on_the_command_line_has_its_own_size(capsys):
    """CNN14 at the laptop's 16 channels was a sixteenth of the network it was reported as."""
    for given, width in (
        ({"encoder.name": "cnn14"}, None),
        ({"encoder.name": "cnn14", "encoder.width": 8}, 8),
        ({"encoder.name": "vgg"}, 16),
    ):
        config = laptop.get_config()
        config.update_from_flattened_dict(given)
        overrides.forget_of_another_encoder(given, config, laptop.get_config())
        assert from_dict(PretrainSettings, config.to_dict()).encoder.width == width
    assert "config.encoder.width=16 is of vgg, cnn14 has its own" in capsys.readouterr().out
