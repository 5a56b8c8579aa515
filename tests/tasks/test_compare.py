"""Evaluations side by side: the figures of their own tables, paired differences, refusals."""

import csv
import dataclasses
import json
import shutil

import pytest

from cryjax.deploy import compare as command
from cryjax.evaluate.outcomes import evaluate
from cryjax.evaluate.report.compare import compare, load_runs
from cryjax.evaluate.report.tables import _save_predictions
from cryjax.evaluate.task import open_tasks


def test_rows_are_those_of_the_runs_and_differences_are_paired(evaluated, tmp_path, capsys):
    workdir, _ = evaluated
    other = shutil.copytree(workdir, tmp_path / "other")
    lines = (other / "predictions.csv").read_text().splitlines()
    wrong = {"tone": "noise", "noise": "tone"}
    turned = [lines[0]]
    for line in lines[1:]:  # the other run's knn is wrong about everything
        cells = line.split(",")
        if cells[0] == "knn":
            cells[8], cells[9:11] = wrong[cells[7]], (["1", "0"], ["0", "1"])[cells[7] == "noise"]
        turned.append(",".join(cells))
    (other / "predictions.csv").write_text("\n".join(turned) + "\n")
    rows = compare([workdir, other], [], "accuracy")
    known = json.loads((workdir / "metrics.json").read_text())["table"]["recording"]
    for row in rows:
        if row["run"] == workdir.name:
            (expected,) = (r for r in known if r["mode"] == row["mode"])
            assert row["accuracy"]["mean"] == pytest.approx(expected["accuracy"]["mean"])
            assert row["difference"] is None
        elif row["mode"] == "knn":
            assert row["accuracy"]["mean"] == 0
            assert row["difference"]["mean"] < -0.4
            assert row["difference"]["interval"][1] < 0
        else:
            assert row["difference"]["mean"] == 0
    out = tmp_path / "compared"
    arguments = [str(workdir), str(other), "--modes=knn,linear", f"--out={out}"]
    assert command.main([*arguments, "--metric=accuracy"]) == 0
    assert "p = 0." in capsys.readouterr().out
    with out.with_suffix(".csv").open(newline="") as file:
        assert [row["mode"] for row in csv.DictReader(file)] == ["knn", "knn", "linear", "linear"]
    assert "data:image/png" in out.with_suffix(".html").read_text()


def test_classes_that_look_like_formulas_and_pre_trainings_are_read_back(evaluated, tmp_path):
    """`-` was written as `'-`, and spread was over all evaluations of every pre-training."""
    workdir, settings = evaluated
    (part,) = open_tasks(settings)
    (known,) = part.corpus.sets
    info = known.info | {"classes": ["+", "-"]}
    renamed = dataclasses.replace(part.corpus, sets=[dataclasses.replace(known, info=info)])
    made = [
        dataclasses.replace(outcome, pretraining=outcome.seed // 2)
        for seed in range(4)
        for outcome in evaluate(part, ["random_knn"], [seed], tmp_path)
    ]
    _save_predictions(tmp_path, made, renamed)
    runs, _ = load_runs(tmp_path)
    assert [run.seed for run in runs["random_knn"]] == [0, 0, 1, 1]
    for run, outcome in zip(runs["random_knn"], made, strict=True):
        assert sorted(run.scored.labels) == sorted(outcome.test.labels)
    old = (workdir / "predictions.csv").read_text().splitlines()
    keep = [i for i, name in enumerate(old[0].split(",")) if name != "pretraining"]
    (tmp_path / "predictions.csv").write_text(
        "\n".join(",".join(line.split(",")[i] for i in keep) for line in old) + "\n"
    )
    assert {run.seed for run in load_runs(tmp_path)[0]["linear"]} == {0, 1}  # older runs


def test_what_cannot_be_compared_is_refused(evaluated, tmp_path, capsys):
    workdir, _ = evaluated
    other = shutil.copytree(workdir, tmp_path / "other")
    table = other / "predictions.csv"
    lines = table.read_text().splitlines()
    table.write_text("\n".join(line for line in lines if ",tone," not in line) + "\n")
    for arguments, reason in (
        ([str(workdir)], "two runs at least"),
        ([str(workdir), str(other)], "tested other recordings"),
        ([str(workdir), str(tmp_path)], "is no workdir of an evaluation"),
        ([str(workdir), str(workdir)], "named twice"),
        ([str(workdir), str(workdir) + "/../other", "--metric=acuracy"], "--metric must be one of"),
    ):
        assert command.main(arguments) == 1
        assert reason in capsys.readouterr().err
    shutil.copy(workdir / "predictions.csv", table)
    assert command.main([str(workdir), str(other), "--modes=kmm"]) == 1
    assert "not every run has kmm" in capsys.readouterr().err
    table.write_text("a,b\n1,2\n")
    assert command.main([str(workdir), str(other)]) == 1
    assert "is not what an evaluation writes" in capsys.readouterr().err
