"""Studies: one table, figure and verdict; what is there is not run again; test chooses nothing."""

import dataclasses
import functools
import json
import pathlib
import tempfile

import numpy as np
import pytest

from configs import laptop
from configs import study as configs_study
from configs.studies import adapt
from cryjax.augment import AugmentSettings
from cryjax.data.splits import make_splits
from cryjax.errors import UserError
from cryjax.evaluate.outcomes import Outcome
from cryjax.evaluate.report import crossings
from cryjax.evaluate.report.study import StudyReport, add_seconds
from cryjax.evaluate.scoring import Scored
from cryjax.evaluate.task import EvaluationSettings, open_tasks
from cryjax.evaluate.training import ProbeSettings
from cryjax.main import with_corpora
from cryjax.objectives.slicer import SLICERSettings
from cryjax.pretraining import PretrainSettings
from cryjax.settings import changed, from_dict, identity, merged, unlike_defaults
from cryjax.spec import preset
from cryjax.studies import evaluation
from cryjax.studies.evaluation import Choices, columns_of
from cryjax.studies.parts import minutes_of, parts_of, pretraining_of
from cryjax.studies.settings import RANDOM, StudySettings, evaluation_of
from cryjax.tasks import study
from cryjax.train.optim import OptimSettings
from data_prep import CORPORA


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


def outcomes(task, right, seed=0):
    """Outcomes of recordings of which a known number is right."""
    labels = np.arange(40) % 2
    decided = np.where(np.arange(40) < right, labels, 1 - labels)
    scored = Scored.of(np.eye(2)[decided], labels, np.array([f"{task}{i}" for i in range(40)]))
    return [Outcome("linear", seed, "test", np.arange(40), scored, scored, key=f"{right}{seed}")]


def test_verdicts_are_what_the_cells_say(tmp_path):
    cells = {
        (task, row, "linear"): outcomes(task, right)
        for task, rights in (("a", (36, 20, 10)), ("b", (38, 25, 15)))
        for row, right in zip(("good", "fair", "bad"), rights, strict=True)
    }
    published = {"good": 70.0, "fair": 60.0, "bad": 50.0}
    report = StudyReport("x", "?", "accuracy", ("good/linear > bad/linear",), published, "linear")
    text = report.save(tmp_path, cells, {"machine": "none"})
    assert "a: good/linear is above bad/linear, +65.0 points [" in text
    assert "mean rank by linear over 2 tasks: good 1.0 [1.0, 1.0]; fair 2.0" in text
    for task in "ab":  # six rows of three names: the order is the source's in each task
        found = f"{task}: linear's rank correlation (Spearman) with the source's 3 rows: 1.00"
        assert found in text
    assert "| good | 90.0 [" in text
    assert "| 70.0 |" in text


def test_where_curves_meet_is_what_a_scan_of_lines_finds():
    """Against the definition on a fine grid: linear between neighbours in the share's logarithm."""
    rng, shares = np.random.default_rng(0), np.array([5.0, 10.0, 50.0, 100.0])
    gap = rng.normal(size=(4, 200))
    fine = np.exp(np.linspace(np.log(5), np.log(100), 4001))
    for found, drawn in zip(crossings.crossing(shares, gap), gap.T, strict=True):
        (below,) = np.nonzero(np.interp(np.log(fine), np.log(shares), drawn) < 0)
        last = below[-1] if len(below) else -1
        expected = fine[last + 1] if last + 1 < len(fine) else np.inf
        if not np.isclose(drawn[-1], 0, atol=1e-2):  # the grid may step over the last point
            np.testing.assert_allclose(found, expected, rtol=2e-3)


def test_a_verdict_says_where_curves_meet(tmp_path):
    curves = {"SimCLR: linear": (20, 24, 30), "random: linear": (10, 16, 28)}
    cells = {
        ("a", row, f"{share} %"): outcomes("a", right)
        for row, rights in curves.items()
        for share, right in zip((10, 20, 100), rights, strict=True)
    }
    pairs = ("SimCLR: linear > random: linear/100 %", "random: linear > SimCLR: linear")
    report = StudyReport("x", "?", "accuracy", crossings=pairs)
    text = report.save(tmp_path, cells, {})
    # 24 + (30 - 24) * 2 / 3 = 28 right, two thirds of the way from 20 % to 100 %
    assert "a: SimCLR: linear reaches random: linear/100 % with 58 % of the labels [" in text
    assert "reaches SimCLR: linear with more than 100 % of the labels [" in text
    assert "SimCLR: linear reaches random: linear/100 %" in (tmp_path / "x.json").read_text()


def test_equal_rows_share_a_rank_and_shares_need_no_order(tmp_path):
    """The earlier of equal rows took the better rank, in every draw too."""
    cells = {("a", row, "linear"): outcomes("a", 30) for row in ("x", "y")}
    cells["a", "z", "linear"] = outcomes("a", 20)
    text = StudyReport("r", "?", "accuracy", ranks="linear").save(tmp_path, cells, {})
    assert "x 1.5 [1.5, 1.5]; y 1.5 [1.5, 1.5]; z 3.0 [3.0, 3.0]" in text
    said = []
    for shares in ((10, 100), (100, 10)):
        curves = {
            ("a", row, f"{share} %"): outcomes("a", right[share])
            for share in shares
            for row, right in {"x": {10: 20, 100: 30}, "y": {10: 10, 100: 28}}.items()
        }
        pairs = ("x > y/100 %",)
        report = StudyReport("s", "?", "accuracy", crossings=pairs)
        said.append([t for t in report.save(tmp_path, curves, {}).splitlines() if "reaches" in t])
    assert said[0] == said[1]
    assert said[0]


def test_a_run_that_diverged_is_said_and_stops_nothing(tmp_path):
    def diverged(task, right):
        (made,) = outcomes(task, right, seed=1)
        return dataclasses.replace(
            made,
            pretraining=1,
            test=Scored.of(made.test.scores * np.nan, made.test.labels, made.test.groups),
        )

    cells = {
        ("a", row, f"{share} %"): [*outcomes("a", right), diverged("a", right)]
        for row, rights in {"x: linear": (20, 30), "y: linear": (10, 28)}.items()
        for share, right in zip((10, 100), rights, strict=True)
    }
    cells["a", "z: linear", "10 %"] = cells["a", "z: linear", "100 %"] = [diverged("a", 20)]
    pairs = ("x: linear > y: linear/100 %", "z: linear > y: linear")
    report = StudyReport("x", "?", "accuracy", ranks="100 %", crossings=pairs)
    text = report.save(tmp_path, cells, {})
    assert "a: of x: linear/10 % 1 of 2 runs diverged" in text
    assert "x: linear reaches y: linear/100 % with 63 % of the labels [" in text
    assert "z: linear reaches y: linear with a share of the labels that is not known" in text
    assert "mean rank by 100 % over 1 tasks: x: linear 1.0 [" in text


def test_the_longest_time_of_a_part_is_kept(tmp_path):
    path = tmp_path / "seconds.json"
    add_seconds(path, "a", 12.0)
    assert add_seconds(path, "a", 0.5) == {"a": 12.0}
    assert minutes_of(tmp_path) == 0.0
    path.write_text("{")
    with pytest.raises(ValueError, match="seconds.json is not readable"):
        add_seconds(path, "a", 1.0)


@functools.cache
def splits_of(corpus, source, label, classes):
    """Splits of a corpus as a study prepares it."""
    from data_prep.plan import Options, make_plan

    with tempfile.TemporaryDirectory() as folder:
        options = Options(label=label, classes=classes)
        plan = make_plan(CORPORA[corpus], source, pathlib.Path(folder), options)
        return {clip.split for clip in make_splits(plan.clips, plan.split, 0).clips}


@pytest.mark.slow
@pytest.mark.parametrize("name", configs_study.STUDIES)
def test_every_split_that_a_study_names_is_one_of_its_corpus(name, recordings):
    """semi_esc50 ended hours later in `no split ['train']`: its second task had no fold."""
    made = configs_study.STUDIES[name]
    there = {}
    for corpus, how in made.corpora.items():
        source = recordings(how["source"].split("/")[0] or "esc50")
        if not how["source"]:
            source = source.parent
        elif "/" in how["source"]:
            source /= how["source"].split("/", 1)[1]
        about = how.get("label", "label"), how.get("classes", "")
        splits = splits_of(how["corpus"], str(source), *about)
        there[corpus] = (splits if how.get("split") is None else {"train", "val", "test"}) - {
            "left_out"
        }
    for task in made.tasks:
        data = evaluation_of(made, task).data
        (folder,) = data.dirs
        folds = made.folds if task == made.home else data.folds
        named = set(folds) - {"*"} or {*data.train, *data.val, *data.test}
        if "*" not in folds:
            assert named <= there[folder], (task, there[folder])
    for encoder in made.only or made.encoders:
        data = from_dict(PretrainSettings, merged(made.pretrain, made.encoders[encoder])).data
        if data.dirs != PretrainSettings().data.dirs:
            assert set(data.splits) <= there[data.dirs[0]]
        everywhere = [*data.dirs, *data.protect_dirs, made.tasks[made.home]["data"]["dirs"]]
        assert set(data.protect_splits) <= set().union(*(there.get(d, set()) for d in everywhere))


@pytest.mark.parametrize("name", configs_study.STUDIES)
def test_every_study_is_one_that_can_run(name):
    config = configs_study.get_config(name).to_dict()
    kept = config.pop("corpora")
    settings = from_dict(StudySettings, config | {"corpora": {}})
    dirs = set()
    for encoder in settings.only:
        changes = settings.encoders[encoder]
        made = from_dict(PretrainSettings, merged(settings.pretrain, changes))
        data = made.data
        dirs |= {*data.dirs, *data.extra_dirs, *data.replay_dirs, *data.protect_dirs}
        assert made.init is None or made.init in settings.only[: settings.only.index(encoder)]
    for task in settings.tasks:
        dirs |= set(evaluation_of(settings, task).data.dirs)
        # a part of which something is given keeps the other defaults of its protocol
        probe, plain = evaluation_of(settings, task).probe, ProbeSettings()
        if "probe" not in merged(settings.transfer, settings.tasks[task]):
            assert probe == plain
        assert probe.linear_bn.optim.encoder_rate == plain.linear_bn.optim.encoder_rate
    for mode, candidates in settings.tuned.items():
        assert mode in settings.modes
        for changes in candidates:
            probe = changed(EvaluationSettings(), changes).probe
            if mode == "finetune":  # only the weights that training starts from differ
                assert probe.finetune == probe.scratch
    assert dirs - {"synthetic"} <= kept.keys()
    assert kept.keys() <= dirs
    assert len({spec["spec"] for spec in kept.values()}) == 1


@pytest.mark.parametrize("name", configs_study.STUDIES)
def test_verdicts_of_every_study_are_about_cells_that_it_has(name):
    settings = configs_study.STUDIES[name]
    settings = dataclasses.replace(settings, only=tuple(settings.encoders))
    columns = {
        f"{encoder}/{column}"
        for encoder in settings.only
        for column, _ in columns_of(settings, encoder)
    }
    if settings.fractions:
        rows = {cell.replace("/", ": ") for cell in columns}
        columns = {f"{row}/{100 * share:g} %" for row in rows for share in settings.fractions}
        for pair in settings.crossings:
            assert {side.strip() for side in pair.split(">")} <= rows | columns
    for pair in settings.compare:
        assert {side.strip() for side in pair.split(">")} <= columns
