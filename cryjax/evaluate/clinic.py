"""What a clinician asks of a classifier, as tables: operating points, calibration, subgroups."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
from sklearn import metrics as sk

from cryjax.data.pipeline import Corpus
from cryjax.evaluate.calibration import calibration, fit_temperature, rescale
from cryjax.evaluate.estimates import Found, difference, estimate, parts_of
from cryjax.evaluate.metrics import NAMES
from cryjax.evaluate.operating import (
    YOUDEN,
    choose_threshold,
    decide,
    icbhi_score,
    predictive_values,
    rates,
)
from cryjax.evaluate.scoring import Scored
from cryjax.evaluate.statistics import weighted_scores
from cryjax.evaluate.table import Outcome, Table, cell, runs_of

FEWEST = 2  # groups of a subgroup, below which it is not shown


@dataclasses.dataclass(frozen=True)
class Clinical:
    """What to report.

    Attributes:
      positive: Class whose detection is judged; by default the second of two, of more none.
      normal: Class that counts as normal in the ICBHI score; "" leaves the score out.
      specificities: That thresholds keep on validation.
      prevalence: For PPV and NPV; 0 takes that of the test part.
      reference: Mode that the others are compared with.
      patches: Shows uclser's three accuracies: macro, by clip, and by clip weighted by patches.
      subgroups: Manifest columns.
    """

    positive: str = ""
    normal: str = ""
    specificities: tuple[float, ...] = (0.8, 0.9, 0.95)
    prevalence: float = 0.0
    reference: str = "random_linear"
    patches: bool = False
    subgroups: tuple[str, ...] = ("site", "device", "sex", "age")

    def index(self, which: str, classes: Sequence[str]) -> int | None:
        """Of `positive` or `normal` among the classes; None where there is none to judge."""
        name = getattr(self, which)
        if name and name not in classes:
            raise ValueError(f"clinical.{which} must be one of {', '.join(classes)}, got {name!r}")
        if name:
            return list(classes).index(name)
        return 1 if which == "positive" and len(classes) == 2 else None


def _with_val(outcomes: Sequence[Outcome], mode: str) -> list[tuple[Outcome, Scored]]:
    """Runs whose validation part holds at least two classes: of one nothing can be learnt."""
    mine = [(o, o.val) for o in outcomes if o.mode == mode and o.val is not None]
    return [(o, v) for o, v in mine if len(np.unique(v.labels)) > 1]


def _modes(outcomes: Sequence[Outcome]) -> list[str]:
    return list(dict.fromkeys(o.mode for o in outcomes if o.mode != "majority"))


def _values(found: Found, prevalence: float) -> tuple[list[str], dict[str, Any]]:
    """Cells of sensitivity, specificity, PPV and NPV, and the numbers behind them."""
    numbers = estimate(found, rates)
    ill = prevalence or float(np.mean([s.labels.mean() for _, _, s in found]))
    both = numbers["sensitivity"]["mean"], numbers["specificity"]["mean"]
    ppv, npv = predictive_values(*both, ill)
    cells = [cell(numbers[name]) for name in ("sensitivity", "specificity")]
    return [*cells, f"{100 * ppv:.1f}", f"{100 * npv:.1f}"], numbers | {
        "prevalence": ill,
        "ppv": ppv,
        "npv": npv,
    }


def operating_points(outcomes: Sequence[Outcome], classes: Sequence[str], chosen: Clinical):
    """Thresholds chosen on validation, by seed and fold, applied to test."""
    positive = chosen.index("positive", classes)
    if positive is None:
        return []
    rows, raw = [], []
    for mode in _modes(outcomes):
        runs = _with_val(outcomes, mode)
        for wanted in (*chosen.specificities, None):
            try:
                cut = [choose_threshold(v, positive=positive, specificity=wanted) for _, v in runs]
            except ValueError:  # no positive recording validates: nothing can be chosen
                continue
            pairs = zip(cut, runs, strict=True)
            found = [(o.fold, o.seed, decide(t, o.test)) for t, (o, _) in pairs]
            if not found:
                continue
            cells, numbers = _values(found, chosen.prevalence)
            rule = YOUDEN if wanted is None else f"specificity {100 * wanted:g} %"
            rows.append([mode, rule, *cells])
            raw.append({"mode": mode, "rule": rule, "thresholds": [t.value for t in cut]} | numbers)
    stated = f"{100 * chosen.prevalence:g} %" if chosen.prevalence else "that of the test part"
    note = (
        f"Positive: {classes[positive]}. Thresholds are chosen on validation (for the specificity "
        f"named, or the largest Youden index) and applied to test. PPV and NPV at prevalence "
        f"{stated}."
    )
    if not rows:
        note = "No threshold could be chosen: the validation part lacks positives or negatives."
    header = ["mode", "threshold for", "sensitivity", "specificity", "PPV", "NPV"]
    return [Table("Operating points", header, rows, note, raw)]


def calibrations(outcomes: Sequence[Outcome]) -> list[Table]:
    """Brier score and ECE as they come and after temperature scaling on validation."""
    rows, raw = [], []
    for mode in _modes(outcomes):
        runs = [(o, rescale(fit_temperature(v), o.test)) for o, v in _with_val(outcomes, mode)]
        if not runs:
            continue
        both = ([(o.fold, o.seed, o.test) for o, _ in runs], [(o.fold, o.seed, s) for o, s in runs])
        plain, scaled = (estimate(found, calibration) for found in both)
        numbers = [plain["brier"], plain["ece"], scaled["brier"], scaled["ece"]]
        rows.append([mode, *(cell(n) for n in numbers)])
        raw.append({"mode": mode, "plain": plain, "scaled": scaled})
    header = ["mode", "Brier", "ECE", "Brier, scaled", "ECE, scaled"]
    note = "Times 100; lower is better. Scaled: one temperature, fitted on validation."
    return [Table("Calibration", header, rows, note, raw)] if rows else []


def _gain(gain: dict[str, Any]) -> str:
    low, high = (100 * x for x in gain["interval"])
    return f"{100 * gain['mean']:+.1f} [{low:.1f}, {high:.1f}] p {gain['p']:.3f}"


def comparisons(outcomes: Sequence[Outcome], chosen: Clinical) -> list[Table]:
    """Every mode minus the reference, on the same draws of people."""
    modes = _modes(outcomes)
    if chosen.reference not in modes or len(modes) < 2:
        return []
    theirs, rows, raw = runs_of(outcomes, chosen.reference), [], []
    for mode in modes:
        if mode != chosen.reference:
            gains = difference(runs_of(outcomes, mode), theirs)
            cells = [_gain(gains[name]) for name in NAMES]
            rows.append([mode, *cells])
            raw.append({"mode": mode} | gains)
    note = (
        f"Difference in points to {chosen.reference}, 95 % interval and p-value of a paired "
        "bootstrap over groups; not corrected for the number of comparisons."
    )
    return [Table(f"Against {chosen.reference}", ["mode", *NAMES], rows, note, raw)]


def _part(scored: Scored, kept: np.ndarray) -> Scored:
    return Scored(*(array[kept] for array in scored))


def subgroups(
    outcomes: Sequence[Outcome], corpus: Corpus, mode: str, chosen: Clinical
) -> list[Table]:
    """The metrics of one mode within each value of the manifest's columns."""
    rows, raw = [], []
    mine = [o for o in outcomes if o.mode == mode]
    there = [c for c in chosen.subgroups if c in corpus.clips[0].extra]
    for column in there:
        of_clip = np.array([clip.column(column) or "(unknown)" for clip in corpus.clips])
        for value in np.unique(of_clip[mine[0].rows]):
            found = [(o.fold, o.seed, _part(o.test, of_clip[o.rows] == value)) for o in mine]
            found = [run for run in found if len(run[2].labels)]
            parts = parts_of(found)
            groups = len(set(np.concatenate([names for _, _, names in parts])))
            if groups < FEWEST:
                continue
            numbers = estimate(found)
            count = sum(len(labels) for _, labels, _ in parts)
            rows.append([column, value, count, groups, *(cell(numbers[n]) for n in NAMES)])
            raw.append({"column": column, "value": str(value), "groups": groups} | numbers)
    note = f"Mode {mode}; subgroups of fewer than {FEWEST} groups are left out."
    header = ["column", "value", "recordings", "groups", *NAMES]
    return [Table("Subgroups", header, rows, note, raw)] if rows else []


def per_class(shown: Outcome, classes: Sequence[str]) -> list[Table]:
    """Precision, recall, F1 and support of one run, as scikit-learn's classification report."""
    every = list(range(len(classes)))
    nothing: Any = 0  # the stubs of scikit-learn know strings alone
    found: Any = sk.classification_report(
        shown.test.labels,
        shown.test.scores.argmax(axis=1),
        labels=every,
        target_names=list(classes),
        output_dict=True,
        zero_division=nothing,
    )
    names = ("precision", "recall", "f1-score", "support")
    raw = [{"class": c} | found[c] for c in (*classes, "macro avg", "weighted avg")]
    rows = [[r["class"], *(f"{100 * r[n]:.1f}" for n in names[:3]), int(r["support"])] for r in raw]
    note = f"{shown.mode}, seed {shown.seed}, fold {shown.fold}; never named: precision 0."
    return [Table("Per class", ["class", *names], rows, note, raw)]


def icbhi(outcomes: Sequence[Outcome], classes: Sequence[str], chosen: Clinical) -> list[Table]:
    """The challenge's score, exact and binary."""
    normal = chosen.index("normal", classes)
    if normal is None:
        return []
    rows, raw, header = [], [], []
    for mode in _modes(outcomes):
        numbers = estimate(runs_of(outcomes, mode), icbhi_score(normal))
        header = ["mode", *(name.replace("_", " ") for name in numbers)]
        rows.append([mode, *(cell(n) for n in numbers.values())])
        raw.append({"mode": mode} | numbers)
    note = f"Normal: {classes[normal]}. Exact: the abnormal class must be named; binary: any does."
    return [Table("ICBHI score", header, rows, note, raw)]


def three_accuracies(scores: np.ndarray, labels: np.ndarray, patches: np.ndarray) -> dict:
    """Uclser's: macro (mean over classes), by clip, and by clip weighted by its patches.

    The release prints the last as "micro" (card, section 7).
    """
    plain = weighted_scores(scores, labels, np.ones((1, len(labels))))
    weighted = weighted_scores(scores, labels, patches[None].astype(float))
    named = {
        "macro": plain["balanced_accuracy"],
        "micro": plain["accuracy"],
        "micro, patch-weighted": weighted["accuracy"],
    }
    return {name: float(value[0]) for name, value in named.items()}


def _by_patches(outcomes: Sequence[Outcome], patches: np.ndarray) -> list[Table]:
    raw = []
    for mode in _modes(outcomes):
        runs = [o for o in outcomes if o.mode == mode]
        found = [three_accuracies(*o.test[:2], patches[o.rows]) for o in runs]
        raw.append({"mode": mode, **{k: float(np.mean([f[k] for f in found])) for k in found[0]}})
    rows = [[r["mode"], *(f"{100 * v:.1f}" for k, v in r.items() if k != "mode")] for r in raw]
    note = "Per cent, mean over runs; the release of uclser prints the last as micro."
    return [Table("Accuracy, three ways", list(raw[0]), rows, note, raw)] if raw else []


def tables(
    outcomes: Sequence[Outcome],
    corpus: Corpus,
    chosen: Clinical,
    *,
    shown: Outcome,
    leaky: bool,
    patches: np.ndarray,
) -> list[Table]:
    """All that can be said.

    Args:
      outcomes: Of all modes, seeds and folds.
      corpus: That was judged on.
      chosen: What to report.
      shown: Whose mode is taken apart by subgroup, and that by class.
      leaky: Then nothing is chosen on validation.
      patches: (clips,) evaluation windows of each.
    """
    chosen_on_val = (
        []
        if leaky
        else [
            *operating_points(outcomes, corpus.classes, chosen),
            *calibrations(outcomes),
        ]
    )
    return [
        *(_by_patches(outcomes, patches) if chosen.patches else []),
        *icbhi(outcomes, corpus.classes, chosen),
        *chosen_on_val,
        *per_class(shown, corpus.classes),
        *comparisons(outcomes, chosen),
        *subgroups(outcomes, corpus, shown.mode, chosen),
    ]
