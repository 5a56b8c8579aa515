"""Where a result comes from: by class, by subgroup, by patch, and against a reference."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from cryjax.data.corpus import Corpus
from cryjax.evaluate.estimates import by_fold, difference, estimate
from cryjax.evaluate.metrics import NAMES
from cryjax.evaluate.outcomes import Outcome, runs_of
from cryjax.evaluate.report.tables import Table, cell, gain_cell, note_of
from cryjax.evaluate.scoring import Scored
from cryjax.evaluate.statistics import are_unlike, weighted_scores

FEWEST = 2  # groups of a subgroup, below which it is not shown


def modes_of(outcomes: Sequence[Outcome]) -> list[str]:
    """Lists the protocols besides majority, in their order."""
    return list(dict.fromkeys(o.mode for o in outcomes if o.mode != "majority"))


def _gain(gain: dict[str, Any]) -> str:
    return f"{gain_cell(gain)} p {gain['p']:.3f}"


def comparisons(outcomes: Sequence[Outcome], reference: str) -> list[Table]:
    """Subtracts the reference from every protocol, on the same draws of groups."""
    modes = modes_of(outcomes)
    if reference not in modes or len(modes) < 2:
        return []
    theirs, rows, raw = runs_of(outcomes, reference), [], []
    for mode in modes:
        if mode != reference:
            gains = difference(runs_of(outcomes, mode), theirs)
            rows.append([mode, *(_gain(gains[name]) for name in NAMES)])
            raw.append({"mode": mode} | gains)
    note = (
        f"Difference in points to {reference}, 95 % interval and p-value of a paired "
        "bootstrap over groups; not corrected for the number of comparisons."
    )
    return [Table(f"Against {reference}", ["mode", *NAMES], rows, note, raw)]


def subgroups(
    outcomes: Sequence[Outcome], corpus: Corpus, mode: str, names: Sequence[str]
) -> list[Table]:
    """Computes the metrics of one protocol within each value of the manifest's columns."""
    rows, raw = [], []
    mine = [o for o in outcomes if o.mode == mode]
    tested = np.unique(np.concatenate([o.rows for o in mine]))
    columns = {name for row in tested for name in corpus.clips[row].extra}
    for column in [c for c in names if c in columns]:
        of_clip = np.array([clip.extra.get(column) or "(unknown)" for clip in corpus.clips])
        for value in np.unique(of_clip[tested]):
            runs = [o.as_run(o.test.select(of_clip[o.rows] == value)) for o in mine]
            runs = [run for run in runs if len(run.scored.labels)]
            first = {run.fold: run.scored for run in reversed(runs)}
            groups = len(set(np.concatenate([scored.groups for scored in first.values()])))
            if groups < FEWEST:
                continue
            numbers, pooled = estimate(runs), are_unlike(by_fold(runs))
            count = sum(len(scored.labels) for scored in first.values())
            rows.append([column, value, count, groups, *(cell(numbers[n]) for n in NAMES)])
            about = {"column": column, "value": str(value), "groups": groups, "pooled": pooled}
            raw.append(about | numbers)
    note = f"Mode {mode}; subgroups of fewer than {FEWEST} groups are left out. {note_of(raw)}"
    header = ["column", "value", "recordings", "groups", *NAMES]
    return [Table("Subgroups", header, rows, note, raw)] if rows else []


def per_class(shown: Outcome, classes: Sequence[str]) -> list[Table]:
    """Lists precision, recall, F1 and support of one run, as scikit-learn's report."""
    from sklearn import metrics as sk

    if not shown.test.finite:
        return []
    nothing: Any = 0  # the stubs of scikit-learn know texts alone
    report: Any = sk.classification_report(
        shown.test.labels,
        shown.test.decisions,
        labels=list(range(len(classes))),
        target_names=list(classes),
        output_dict=True,
        zero_division=nothing,
    )
    names = ("precision", "recall", "f1-score", "support")
    averages = ("macro avg", "weighted avg")
    raw = [{"class": c} | report[c] for c in (*classes, *averages)]
    rows = [[r["class"], *(f"{100 * r[n]:.1f}" for n in names[:3]), int(r["support"])] for r in raw]
    note = (
        f"{shown.mode}, seed {shown.seed}, fold {shown.fold}; precision of a class that is never "
        "decided for is 0."
    )
    return [Table("Per class", ["class", *names], rows, note, raw)]


def three_accuracies(scored: Scored, windows: np.ndarray) -> dict[str, float]:
    """Computes the accuracies of Fonseca et al. 2021: macro, by clip, by clip and its windows.

    Their code prints the last as "micro".

    Args:
      scored: Predictions of clips.
      windows: (clips,) number of windows of each clip.
    """
    plain = weighted_scores(scored, np.ones((1, len(scored.labels))))
    weighted = weighted_scores(scored, windows[None].astype(float))
    named = {
        "macro": plain["balanced_accuracy"],
        "micro": plain["accuracy"],
        "micro, patch-weighted": weighted["accuracy"],
    }
    return {name: float(value[0]) for name, value in named.items()}


def by_patches(outcomes: Sequence[Outcome], windows: np.ndarray) -> list[Table]:
    """Computes `three_accuracies` of every protocol, the mean over runs."""
    raw = []
    for mode in modes_of(outcomes):
        runs = [three_accuracies(o.test, windows[o.rows]) for o in outcomes if o.mode == mode]
        raw.append({"mode": mode, **{k: float(np.mean([r[k] for r in runs])) for k in runs[0]}})
    rows = [[r["mode"], *(f"{100 * v:.1f}" for k, v in r.items() if k != "mode")] for r in raw]
    note = "Per cent, mean over runs; the code of Fonseca et al. 2021 prints the last as micro."
    return [Table("Accuracy, three ways", list(raw[0]), rows, note, raw)] if raw else []
