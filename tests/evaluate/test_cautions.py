"""What would have flattered: each of these numbers was shown as if nothing were wrong."""

import dataclasses
import functools
import json

import numpy as np
import pytest
import sklearn.metrics

from configs import study as studies
from configs import transfer
from cryjax.errors import UserError
from cryjax.evaluate.estimates import Run, by_fold, difference, estimate
from cryjax.evaluate.named import named_checkpoints, task_row, task_rows
from cryjax.evaluate.operating_points import icbhi_score
from cryjax.evaluate.outcomes import Outcome, evaluate
from cryjax.evaluate.protocols import PROTOCOLS
from cryjax.evaluate.report import plots
from cryjax.evaluate.report.breakdown import per_class
from cryjax.evaluate.report.cautions import SEEN, cautions_of
from cryjax.evaluate.report.combined import Combined
from cryjax.evaluate.report.compare import compare, load_runs
from cryjax.evaluate.report.publish import shown_path
from cryjax.evaluate.report.study import StudyReport
from cryjax.evaluate.report.tables import WHY_POOLED, _save_predictions, note_of, summarise
from cryjax.evaluate.scoring import Scored
from cryjax.evaluate.statistics import resampled
from cryjax.evaluate.task import open_tasks
from cryjax.evaluate.trained import ABOUT, about_classifier, save_trained, trained_meta
from cryjax.settings import changed

CLEAN = {
    "split rule": "by group",
    "selection": "step on val",
    "audit": "OK: nothing",
    SEEN: "0 of 7; by identical audio 0 of 12 test recordings",
}


def outcome(labels, right, row="x", fold="test", seed=0):
    labels = np.asarray(labels)
    decided = np.where(np.arange(len(labels)) < right, labels, 1 - labels)
    groups = np.array([f"{fold}{i}" for i in range(len(labels))])
    scored = Scored.of(np.eye(2)[decided], labels, groups)
    return Outcome(row, seed, fold, np.arange(len(labels)), scored, scored, key=f"{row}{fold}")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({}, []),
        ({"split rule": "by_clip (LEAKY)"}, ["LEAKY: by_clip (LEAKY). Not to be reported."]),
        ({"selection": "ON TEST (LEAKY)"}, ["LEAKY: ON TEST (LEAKY). Not to be reported."]),
        ({"audit": "LEAK: p1 is in train and test"}, ["LEAK: p1 is in train and test"]),
        ({SEEN: "2 of 7; by identical audio 0 of 12"}, ["without their labels: 2 of 7"]),
        ({SEEN: "0 of 7; by identical audio 3 of 12"}, ["by identical audio 3 of 12"]),
    ],
)
def test_what_speaks_against_numbers_is_listed(changes, said):
    found = cautions_of(CLEAN | changes)
    assert len(found) == len(said)
    assert all(part in text for part, text in zip(said, found, strict=True))


def test_guessing_is_no_better_than_one_half_where_babies_are_left_out_one_by_one():
    """Each baby is ill or well: guessing "well" had a balanced accuracy of 85 %."""
    runs = [
        Run(f"baby{i}", 0, outcome([int(i < 3)] * 4, 0 if i < 3 else 4, fold=f"baby{i}").test)
        for i in range(20)
    ]
    found = estimate(runs)
    assert "decisions of all folds together" in note_of([found | {"pooled": True}])
    assert found["accuracy"]["mean"] == pytest.approx(0.85)
    assert found["balanced_accuracy"]["mean"] == 0.5
    assert found["balanced_accuracy"]["interval"] == [0.5, 0.5]
    assert found["macro_f1"]["mean"] == pytest.approx((0 + 2 * 0.85 / 1.85) / 2)
    assert difference(runs, runs)["balanced_accuracy"]["interval"] == [0, 0]
    for value in (found["auc"], difference(runs, runs)["auc"]):
        assert np.isnan(value["mean"])
        assert np.isnan(value["interval"]).all()
    both = [Run("a", 0, outcome([0, 1, 0, 1], 3).test), Run("b", 0, outcome([0, 1], 1).test)]
    assert estimate(both)["balanced_accuracy"]["mean"] == pytest.approx((0.75 + 0.5) / 2)


@pytest.mark.parametrize("babies", [1, 3])
def test_decisions_of_unlike_folds_are_counted_together_as_scikit_learn_counts(babies):
    """Two seeds, six folds of one baby each or of three: each draw weights its recordings."""
    rng, runs = np.random.default_rng(1), []
    for fold in range(6):
        labels, groups = np.full(9, fold % 3), np.arange(9) % babies
        runs += [
            Run(f"f{fold}", seed, Scored.of(rng.dirichlet(np.ones(3), 9), labels, groups))
            for seed in (1, 0)
        ]
    found, folds = estimate(runs), by_fold(runs)
    draws, rng = resampled(folds, resamples=5), np.random.default_rng(0)
    if babies == 1:
        weights = np.repeat(rng.multinomial(6, np.full(6, 1 / 6), size=5), 9, axis=1)
    else:
        drawn = [rng.multinomial(3, np.full(3, 1 / 3), size=5) for _ in range(6)]
        weights = np.concatenate([part[:, np.arange(9) % 3] for part in drawn], axis=1)
    scorers = {
        "balanced_accuracy": sklearn.metrics.balanced_accuracy_score,
        "macro_f1": functools.partial(sklearn.metrics.f1_score, average="macro"),
    }
    for name, scorer in scorers.items():
        for at, seed in enumerate((0, 1)):
            mine = [run.scored for run in runs if run.seed == seed]
            truth, said = (np.concatenate([s[i] for s in mine]) for i in (1, 3))
            assert found[name]["by_seed"][at] == pytest.approx(scorer(truth, said), rel=1e-12)
        of_seeds = []
        for at in (0, 1):
            truth, said = (np.concatenate([fold[at][i] for fold in folds]) for i in (1, 3))
            kept = [(truth[w > 0], said[w > 0], w[w > 0]) for w in weights]
            of_seeds.append([scorer(a, b, sample_weight=w) for a, b, w in kept])
        np.testing.assert_allclose(draws[name], np.mean(of_seeds, axis=0), rtol=1e-12)


def test_what_diverged_has_no_score_of_the_challenge():
    """NaN is decided for the first class: half of the score, where that is the normal one."""
    broken = outcome([0, 1] * 8, 16)
    broken = dataclasses.replace(broken, test=broken.test._replace(scores=np.full((16, 2), np.nan)))
    assert all(np.isnan(v).all() for v in icbhi_score(0)(broken.test, np.ones((1, 16))).values())
    assert per_class(broken, ["normal", "ill"]) == []


def test_small_probabilities_are_read_back_to_the_last_bit(smoke, tmp_path):
    """Six decimals made ties of them, and another AUC."""
    (task,) = open_tasks(smoke(transfer, modes="majority", seeds=1))
    (made,) = evaluate(task, ["majority"], [0], tmp_path)
    small = 1e-9 * np.arange(1, len(made.test.labels) + 1)
    scores = np.stack([1 - small, small], axis=1)
    test = Scored.of(scores, made.test.labels, made.test.groups)
    _save_predictions(tmp_path, [dataclasses.replace(made, test=test)], task.corpus)
    (run,) = load_runs(tmp_path)[0]["majority"]
    assert sorted(run.scored.scores[:, 1].tolist()) == small.tolist()


def test_a_kept_classifier_is_recalibrated_by_a_whole_validation_part_alone(smoke, tmp_path):
    """Of one class, the class that is looked for was hardly ever called afterwards."""
    (task,) = open_tasks(smoke(transfer, modes="random_linear", seeds=1))
    predictions = PROTOCOLS["random_linear"].run(task, 0)
    val = predictions.val
    whole = about_classifier("random_linear", task, predictions)
    assert whole["caution"] is None
    assert whole["thresholds"]
    one = dataclasses.replace(predictions, val=val._replace(labels=np.zeros_like(val.labels)))
    lacking = about_classifier("random_linear", task, one)
    assert (lacking["temperature"], lacking["class_bias"]) == (1.0, [0.0, 0.0])
    assert "validation lacks tone" in lacking["caution"]
    on_test = changed(task.settings, {"probe": {"linear": {"select_on": "test"}}})
    leaky = dataclasses.replace(task, settings=on_test)
    assert about_classifier("random_linear", leaky, predictions)["thresholds"] == {}
    chosen = set(trained_meta("random_linear", leaky, 1).selection_groups)
    assert chosen == set(task.corpus.global_groups[task.split.test].tolist())
    folder = tmp_path / "linear-seed0"
    save_trained(folder, "first", "random_linear", task, predictions)
    assert (folder / ABOUT).exists()
    save_trained(
        folder, "second", "random_linear", task, dataclasses.replace(predictions, trained=None)
    )
    assert not folder.exists()  # it stayed, and its commands were advertised


def test_names_that_are_given_twice_are_refused(prepared):
    """The second silently took the place of the first."""
    with pytest.raises(UserError, match="config.checkpoints names a twice"):
        named_checkpoints(("a=x", "b=y", "a=z"))
    entries = (f"{prepared}:test=test", f"{prepared}:test=val")
    assert list(task_rows(entries)) == ["prepared:test=test", "prepared:test=val"]
    with pytest.raises(UserError, match="config.tasks names prepared:test=test twice"):
        task_rows(entries[:1] * 2)
    assert task_row(f"{prepared}:test=val:train=test")[1]["data"]["train"] == "test"
    assert task_row(f"{prepared}:test=val")[1]["data"]["train"] == "test,train"


def test_a_study_says_its_cautions_first_and_ranks_equal_folds_alone(tmp_path):
    labels = [0, 1] * 20
    hard = [outcome(labels, 20, row="linear", fold="hard")]
    cells = {
        ("a", "A", "linear"): [outcome(labels, 40, row="linear", fold="easy"), *hard],
        ("a", "B", "linear"): [outcome(labels, 38, row="linear", fold="easy")],
    }
    report = StudyReport("s", "?", "accuracy", ranks="linear")
    text = report.save(tmp_path, cells, {}, ["a, A: LEAKY: by_clip. Not to be reported."])
    assert text.splitlines()[1].startswith("- a, A: LEAKY")
    assert "mean rank" not in text
    assert "40 to 80 groups" in text


def test_tables_of_many_runs_say_where_decisions_are_pooled(tmp_path):
    folds = [outcome([int(i < 3)] * 4, 4, row="linear", fold=f"baby{i}") for i in range(6)]
    for metric, said in (("balanced_accuracy", 1), ("accuracy", 0)):
        text = StudyReport("s", "?", metric).save(tmp_path, {("a", "A", "linear"): folds}, {})
        assert text.count(WHY_POOLED) == said
        rows = {"table": {"recording": summarise(folds)}, "more": {}}
        (tmp_path / "metrics.json").write_text(json.dumps(rows | {"about": CLEAN}))
        combined = Combined("t", ("linear",), metric, {})
        text = combined.save(tmp_path, {"row": tmp_path}, ["a row of the source"])
        assert text.count(WHY_POOLED) == said


def test_leaks_of_rows_stand_under_every_table_of_them(smoke, tmp_path):
    from cryjax.tasks import transfer as task

    leaky = {"data.val_by": "train", "data.val": "", "modes": "majority,random_linear", "seeds": 1}
    task.run(smoke(transfer, **leaky), tmp_path / "leaky")
    combined = Combined("t", ("majority", "random_linear"), "accuracy", {})
    assert "- row: LEAKY: " in combined.save(tmp_path, {"row": tmp_path / "leaky"}, [])
    assert "LEAKY" in (tmp_path / "report.html").read_text()
    assert all(
        any("LEAKY" in text for text in row["cautions"])
        for row in compare([tmp_path / "leaky"], [], "accuracy")
    )
    metrics = json.loads((tmp_path / "leaky" / "metrics.json").read_text())
    metrics["more"]["ICBHI score"] = [
        {"mode": "random_linear", "icbhi_score": metrics["table"]["recording"][0]["accuracy"]}
    ]
    (tmp_path / "leaky" / "metrics.json").write_text(json.dumps(metrics))
    icbhi = Combined("t", ("majority", "random_linear"), "icbhi_score", {})
    text = icbhi.save(tmp_path, {"row": tmp_path / "leaky"}, [])  # which majority does not have
    assert "| row |  | " in text


def test_neighbours_within_a_part_say_whose_labels_they_read(smoke):
    (task,) = open_tasks(smoke(transfer, modes="majority", seeds=1))
    assert "labels of other test recordings" in PROTOCOLS["knn_within"].caveats(task)
    assert PROTOCOLS["knn"].caveats(task) == ""


def test_a_study_refuses_what_it_would_leave_out():
    settings = studies.STUDIES["learns"]
    with pytest.raises(UserError, match="compares 'nobody/linear', which is no cell"):
        changed(settings, {"compare": ("SimCLR/linear > nobody/linear",)})
    few = studies.STUDIES["fractions_esc50"]
    candidates = {"linear": ({}, {"knn": {"k": 3}})}
    with pytest.raises(UserError, match=r"config\.tuned would choose for few labels by all"):
        dataclasses.replace(few, tuned=candidates)


def test_confusions_of_1251_speakers_are_drawn():
    """A text for each of 1.6 million cells took all memory."""
    labels = np.arange(2502) % 1251
    scored = Scored.of(np.eye(1251)[labels], labels, labels.astype(str))
    figure = plots.confusion(scored, [f"speaker {i}" for i in range(1251)])
    assert len(figure.axes[0].texts) == 0
    assert max(figure.get_size_inches()) < 30
    plots.close(figure)


def test_paths_of_named_entries_are_cut_too():
    assert shown_path("generic=/data/ward7/JaneDoe/run") == "generic=.../run"
    assert shown_path("/data/run") == ".../run"
    assert shown_path("/data/ward=7/run") == ".../run"
    assert shown_path("runs/mine") == "runs/mine"
