"""Pictures and tables stay readable and harmless, whatever classes are called."""

import itertools

import numpy as np
import pytest

from cryjax.evaluate.report import plots
from cryjax.evaluate.report.tables import Table, for_spreadsheet
from cryjax.evaluate.scoring import Scored


@pytest.mark.parametrize(("classes", "named"), [(2, 1), (4, 4), (30, 1)])
def test_a_legend_names_a_few_classes_and_counts_many(classes, named):
    rng = np.random.default_rng(0)
    labels = np.arange(3 * classes) % classes
    scores = rng.dirichlet(np.ones(classes), len(labels))
    scored = Scored.of(scores, labels, np.arange(len(labels)).astype(str))
    figure = plots.roc(scored, [f"class {c}" for c in range(classes)])
    texts = [text.get_text() for text in figure.axes[0].get_legend().get_texts()]
    plots.close(figure)
    assert len(texts) == named
    assert ("30 classes, median AUC" in texts[0]) == (classes == 30)


def test_the_legend_of_a_curve_stands_beside_it():
    score = {"mean": 50.0, "standard_error": 1.0, "interval": [40.0, 60.0]}
    modes = [f"an encoder with a long name {i} @ {share}" for i in range(6) for share in (0.1, 1)]
    rows = [{"mode": mode, "auc": score} for mode in modes]
    figure = plots.fraction_curve(rows, {mode: [8] for mode in modes}, "auc")
    figure.canvas.draw()
    legend, axes = figure.legends[0].get_window_extent(), figure.axes[0].get_window_extent()
    plots.close(figure)
    assert legend.x0 >= axes.x1


def test_numbers_of_a_curve_do_not_overlap():
    score = {"mean": 50.0, "standard_error": 1.0, "interval": [40.0, 60.0]}
    counts = [60, 61, 66, 130, 1180, 1200, 1216]
    rows = [{"mode": f"SimCLR @ {n / 1216}", "auc": score} for n in counts]
    clips = {row["mode"]: [n] for row, n in zip(rows, counts, strict=True)}
    figure = plots.fraction_curve(rows, clips, "auc")
    figure.canvas.draw()
    boxes = [text.get_window_extent() for text in figure.axes[0].get_xticklabels()]
    plots.close(figure)
    assert len(boxes) >= 3
    assert not any(a.overlaps(b) for a, b in itertools.pairwise(boxes))


def test_curves_of_a_study_have_a_panel_for_each_protocol():
    cell = {"task": "a", "standard_error": float("nan"), "interval": [0.4, 0.6]}
    rows = [
        cell | {"row": f"{encoder}: {protocol}", "column": f"{share} %", "mean": share / 200}
        for encoder in ("random", "SimCLR")
        for protocol in ("linear", "finetune")
        for share in (5, 20, 100)
    ]
    figure = plots.shares(rows, "accuracy")
    titles = [axis.get_title() for axis in figure.axes]
    lines = [line.get_xydata() for axis in figure.axes for line in axis.get_lines()]
    plots.close(figure)
    assert titles == ["a, linear", "a, finetune"]
    assert len(lines) == 4
    for line in lines:
        np.testing.assert_allclose(line, [(5, 2.5), (20, 10), (100, 50)])


def test_a_class_may_be_called_like_a_formula(tmp_path):
    labels = np.arange(8) % 2
    scored = Scored.of(np.eye(2)[labels], labels, np.arange(8).astype(str))
    figure = plots.confusion(scored, [r"$\frac$", "_^"])
    figure.savefig(tmp_path / "a.png")
    plots.close(figure)


def test_markdown_and_spreadsheets_run_nothing():
    name = "<script>x</script>|a\nb"
    text = Table(name, ["mode", name], [[name, 1.5]], "note", []).as_markdown()
    assert "<script>" not in text
    rows = text.splitlines()[4:]
    assert [row.replace(r"\|", "").count("|") for row in rows] == [3, 3, 3]
    cells = ["=1+1", "+a", "-a", "@a", "cry", -0.5]
    assert [for_spreadsheet(c) for c in cells] == ["'=1+1", "'+a", "'-a", "'@a", "cry", -0.5]
