"""Verdicts, crossings and ranks of a study, from outcomes whose answers are known."""

import dataclasses

import numpy as np
import pytest

from cryjax.evaluate.outcomes import Outcome
from cryjax.evaluate.report import crossings
from cryjax.evaluate.report.study import StudyReport, add_seconds
from cryjax.evaluate.scoring import Scored
from cryjax.studies.parts import minutes_of


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
    assert "accuracy of the last updates" not in text
    cells["a", "good", "linear"] = [
        dataclasses.replace(cells["a", "good", "linear"][0], train_accuracy=0.412)
    ]
    said = report.save(tmp_path, cells, {})
    assert "- accuracy of the last updates: a: good/linear 41.2 (per cent of" in said
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
