"""Studies: one table, figure and verdict; what is there is not run again; test chooses nothing."""

import dataclasses
import json

import numpy as np
import pytest

from configs import laptop
from configs import study as configs_study
from configs.studies import adapt
from cryjax.augment import AugmentSettings
from cryjax.errors import UserError
from cryjax.evaluate.scoring import Scored
from cryjax.evaluate.task import open_tasks
from cryjax.main import with_corpora
from cryjax.objectives.slicer import SLICERSettings
from cryjax.pretraining import PretrainSettings
from cryjax.settings import changed, from_dict, identity, merged, unlike_defaults
from cryjax.spec import preset
from cryjax.studies import evaluation
from cryjax.studies.evaluation import Choices
from cryjax.studies.parts import parts_of, pretraining_of
from cryjax.studies.settings import RANDOM, evaluation_of
from cryjax.tasks import study
from cryjax.train.optim import OptimSettings


@pytest.fixture(scope="module")
def settings(smoke, tmp_path_factory):
    runs = str(tmp_path_factory.mktemp("pretrained"))
    return smoke(configs_study, runs=runs)


@pytest.fixture(scope="module")
def ran(settings, tmp_path_factory):
    workdir = tmp_path_factory.mktemp("study")
    study.run(settings, workdir)
    return workdir


def test_a_study_writes_its_table_figure_and_verdict(ran):
    text = (ran / "smoke.md").read_text()
    assert text.startswith("## smoke: Does a study run?")
    assert "SimCLR/linear" in text
    assert "mean rank by linear over 1 tasks" in text
    assert "| random |" in text
    assert "parts: 2 of 2" in text
    record = json.loads((ran / "smoke.json").read_text())
    cells = {(row["row"], row["column"]) for row in record["rows"]}
    linear = {("SimCLR", "linear"), ("SimCLR", "knn"), ("random", "linear"), ("random", "knn")}
    assert cells == linear | {("random", "majority")}
    assert (ran / "smoke.png").stat().st_size > 5000
    assert len((ran / "smoke.csv").read_text().splitlines()) == 1 + len(cells)


def test_a_stopped_study_continues_and_finished_parts_are_not_run_again(
    settings, ran, tmp_path, capsys
):
    before = json.loads((ran / "smoke.json").read_text())["rows"]
    study.run(settings, ran)
    out = capsys.readouterr().out
    assert "all 2 steps are done" in out
    assert "linear seed" not in out
    assert json.loads((ran / "smoke.json").read_text())["rows"] == before
    study.run(dataclasses.replace(settings, study="other"), tmp_path)
    assert "all 2 steps are done" in capsys.readouterr().out  # shares the pre-training


def test_seeds_come_first_and_an_encoder_may_start_from_another(settings):
    plain = {"steps": 3, "init": "SimCLR"}
    more = dataclasses.replace(
        settings,
        encoders=settings.encoders | {"adapted": plain},
        only=(RANDOM, "SimCLR", "adapted"),
        seeds=2,
        seeds_of={"adapted": 1},
    )
    parts = parts_of(more)
    order = [(p.seed, p.encoder) for p in parts]
    assert order == [(0, "random"), (0, "SimCLR"), (0, "adapted"), (1, "random"), (1, "SimCLR")]
    made = {(p.seed, p.encoder): p for p in parts}
    pretrain = made[0, "adapted"].pretrain
    assert pretrain is not None
    assert pretrain.init == str(made[0, "SimCLR"].workdir)
    assert len({p.workdir for p in parts if p.pretrain}) == 3
    with pytest.raises(ValueError, match="starts from 'SimCLR', which must stand before it"):
        parts_of(dataclasses.replace(more, only=("adapted", "SimCLR")))
    with pytest.raises(ValueError, match="only is empty: name some of SimCLR, random, adapted"):
        parts_of(dataclasses.replace(more, only=()))  # it wrote nothing and said "written"
    with pytest.raises(ValueError, match="config.home: no elsewhere; there are triggers"):
        dataclasses.replace(more, home="elsewhere")


def test_a_setting_that_a_later_version_adds_leaves_the_names_of_folders(settings):
    part = parts_of(settings)[1].pretrain
    assert part is not None
    part = changed(part, {"optim": {"learning_rate": 0.02}})
    fields = [(f.name, f.type, f) for f in dataclasses.fields(OptimSettings)]
    later = dataclasses.make_dataclass(
        "OptimSettings", [*fields, ("added", int, dataclasses.field(default=3))], frozen=True
    )
    default = dataclasses.make_dataclass("Run", [("optim", later, later())], frozen=True)
    before = {"optim": unlike_defaults(part)["optim"]}
    now = default(optim=later(**vars(part.optim)))
    assert "added" in identity(now)["optim"]
    assert unlike_defaults(now) == before
    given = default(optim=later(**vars(part.optim), added=4))
    assert unlike_defaults(given)["optim"][1] == before["optim"][1] | {"added": 4}
    elsewhere = dataclasses.replace(part, data=dataclasses.replace(part.data, dirs=("other",)))
    assert unlike_defaults(elsewhere) == unlike_defaults(part)
    other = dataclasses.replace(part, objective=SLICERSettings())
    assert unlike_defaults(other)["objective"] == ["SLICERSettings", {}]


def test_what_a_study_pre_trains_on_holds_nothing_that_it_tests_on(settings):
    (_, part) = parts_of(settings)
    assert part.pretrain is not None
    data = part.pretrain.data
    assert set(part.data.test) <= set(data.protect_splits)
    # in an order that does not depend on the process: folders are named after a hash of it
    named = dataclasses.replace(part.data, val=("a", "b", "c"), test=("d", "e"), train=("f",))
    made = pretraining_of(part.pretrain, named, 0)
    assert made.data.protect_splits[-5:] == ("a", "b", "c", "d", "e")
    assert not set(part.data.test) & set(data.splits)
    assert data.on_protected == "drop"


def test_what_is_forgotten_is_asked_of_the_encoders_that_adaptation_made():
    """The task is of another corpus: what adaptation pre-trains on is written out for it."""
    adaptation, forgotten = adapt.STUDIES["adaptation"], adapt.STUDIES["forgotten"]
    home = evaluation_of(adaptation, "injury").data
    train = tuple(name for name in adaptation.folds if name != "babies1")
    first = dataclasses.replace(home, train=train, val=(), test=("babies1",))
    for name in [name for name in adaptation.encoders if "cry" in name]:
        there, here = (
            from_dict(PretrainSettings, merged(study.pretrain, study.encoders[name]))
            for study in (adaptation, forgotten)
        )
        assert identity(pretraining_of(there, first, 0)) == identity(here)
        assert here.data.dirs == first.dirs


def test_a_corpus_that_was_prepared_otherwise_is_not_taken_for_another(prepared, tmp_path, capsys):
    """Its name and its features may be those of the study, and its labels or split not."""
    how = {"corpus": "csv", "source": "clips.csv", "spec": "laptop", "split": "holdout"}

    def placed(**changes):
        where = {"prepared": str(tmp_path), "recordings": str(prepared.parent)}
        task = {"data": {"dirs": "mine"}}
        return with_corpora(where | {"corpora": {"mine": how | changes}, "tasks": {"a": task}})

    config = placed()
    assert config["tasks"]["a"]["data"]["dirs"] == str(tmp_path / "mine")
    made = (tmp_path / "mine" / "manifest.json").stat().st_mtime_ns
    assert placed() == config  # taken as it is
    with pytest.raises(
        UserError, match="was prepared otherwise: corpus.label: None there, 'group'"
    ):
        placed(label="group")
    assert (tmp_path / "mine" / "manifest.json").stat().st_mtime_ns == made
    (tmp_path / "mine" / "prepared_as.json").unlink()  # nobody knows how: again
    placed(label="group")
    assert (tmp_path / "mine" / "manifest.json").stat().st_mtime_ns > made


def test_the_test_part_chooses_nothing(settings, tmp_path, monkeypatch):
    """The candidate that validation likes less is given perfect test predictions."""
    tried = ({"probe": {"linear": {"steps": 2}}}, {"probe": {"linear": {"steps": 4}}})
    tuned = dataclasses.replace(settings, tuned={"linear": tried})
    (task,) = open_tasks(evaluation_of(settings, settings.home))
    real, seen = evaluation.evaluate, []

    def perfect(scored, of_class):
        """Decisions that are all right, or all of one class."""
        n = scored.scores.shape[1]
        truth = np.eye(n)[scored.labels if of_class is None else np.full(len(scored.labels), 0)]
        return Scored.of(truth, scored.labels, scored.groups)

    def unfair(task, modes, seeds, workdir):
        (outcome,) = real(task, modes, seeds, workdir)
        good = task.settings.probe.linear.steps == 4
        seen.append(good)
        return [
            dataclasses.replace(
                outcome,
                val=perfect(outcome.val, None if good else 0),
                test=perfect(outcome.test, 0 if good else None),
            )
        ]

    monkeypatch.setattr(evaluation, "evaluate", unfair)
    choices = Choices(tuned)
    chosen = choices.apply("triggers", "knn", "random_knn", task, 0, tmp_path)
    assert chosen is task  # nothing is tried for this column
    chosen = choices.apply("triggers", "linear", "random_linear", task, 0, tmp_path)
    assert chosen.settings.probe.linear.steps == 4  # fresh weights choose too
    choices.apply("triggers", "linear", "random_linear", task, 1, tmp_path)
    assert len(seen) == 2  # chosen once
    assert "'steps': 4" in choices.facts()["chosen on validation"]
    single = Choices(dataclasses.replace(settings, tuned={"linear": tried[:1]}))
    chosen = single.apply("triggers", "linear", "random_linear", task, 0, tmp_path)
    assert (chosen.settings.probe.linear.steps, len(seen)) == (2, 2)  # one is no choice


def test_masks_of_an_ablation_hide_the_sources_share_of_a_patch():
    """Bands and frames of the source hid twice its share of the laptop's smaller patches."""
    rows = configs_study.get_config("policies").encoders.to_dict()
    masked = {name for name, row in rows.items() if "spec_augment" in row["augment"]["order"]}
    assert masked == {"spec_augment", "crop_spec_augment"}
    widest = AugmentSettings().spec_augment  # for the source's 101 frames of 96 bands
    bands = preset(laptop.SPEC).n_mels
    for name in masked:
        ours = rows[name]["augment"]["spec_augment"]
        assert ours["max_bands"] / bands == pytest.approx(widest.max_bands / 96, rel=0.06)
        assert ours["max_frames"] / laptop.FRAMES == pytest.approx(
            widest.max_frames / 101, rel=0.06
        )


@pytest.mark.slow
def test_shares_of_labels_are_columns(settings, tmp_path):
    few = dataclasses.replace(settings, fractions=(0.3, 1.0), modes=("knn",), compare=(), ranks="")
    study.run(few, tmp_path)
    assert "validation keeps all its own" in (tmp_path / "smoke.md").read_text()
    rows = json.loads((tmp_path / "smoke.json").read_text())["rows"]
    assert {(row["row"], row["column"]) for row in rows} == {
        (f"{encoder}: knn", share)
        for encoder in ("random", "SimCLR")
        for share in ("30 %", "100 %")
    }
