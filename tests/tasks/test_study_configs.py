"""Every study of configs/study.py: its splits, its cells, what can run."""

import dataclasses
import functools
import pathlib
import tempfile

import pytest

from configs import study as configs_study
from cryjax.data.splits import make_splits
from cryjax.evaluate.task import EvaluationSettings
from cryjax.evaluate.training_settings import ProbeSettings
from cryjax.pretraining import PretrainSettings
from cryjax.settings import changed, from_dict, merged
from cryjax.studies.evaluation import columns_of
from cryjax.studies.settings import StudySettings, evaluation_of
from data_prep import CORPORA


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
