"""What a clinician asks of a classifier, as tables: operating points, calibration, subgroups."""

import dataclasses
import difflib
from collections.abc import Sequence
from typing import Any

import numpy as np

from cryjax.data.corpus import Corpus
from cryjax.errors import UserError
from cryjax.evaluate.calibration import fit_recalibration, make_calibration, recalibrate
from cryjax.evaluate.estimates import Run, estimate
from cryjax.evaluate.metrics import NAMES
from cryjax.evaluate.operating_points import (
    ICBHI,
    YOUDEN,
    choose_threshold,
    decide,
    icbhi_score,
    predictive_values,
    rates,
)
from cryjax.evaluate.outcomes import Outcome, runs_of
from cryjax.evaluate.report.breakdown import by_patches, comparisons, modes_of, per_class, subgroups
from cryjax.evaluate.report.tables import LEVELS, UNDEFINED, Table, cell
from cryjax.evaluate.scoring import Scored


@dataclasses.dataclass(frozen=True)
class ClinicalSettings:
    """What is reported besides the metrics.

    Attributes:
      positive: Class whose detection is evaluated; None is the second of two, and none of more.
      normal: Class that counts as normal in the ICBHI score; None leaves the score out.
      specificities: Specificities that thresholds keep on validation.
      prevalence: Prevalence for PPV and NPV; None is that of the test part.
      reference: Protocol that the others are compared with.
      patches: Whether the three accuracies of Fonseca et al. 2021 are shown: macro, by clip, and by
        clip weighted by its windows.
      names: Whether the report's pictures name groups and recordings; otherwise by short hashes.
      subgroups: Columns of the manifest by which results are divided.
    """

    positive: str | None = None
    normal: str | None = None
    specificities: tuple[float, ...] = (0.8, 0.9, 0.95)
    prevalence: float | None = None
    reference: str = "random_linear"
    patches: bool = False
    names: bool = False
    subgroups: tuple[str, ...] = ("site", "device", "sex", "age")

    def index(self, which: str, classes: Sequence[str]) -> int | None:
        """Finds the index of `positive` or `normal`; None where there is none to evaluate."""
        name = getattr(self, which)
        if name is not None and name not in classes:
            raise UserError(f"clinical.{which} must be one of {', '.join(classes)}, got {name!r}")
        if name is not None:
            return list(classes).index(name)
        return 1 if which == "positive" and len(classes) == 2 else None


def require_metric(metric: str, settings: ClinicalSettings) -> None:
    """Refuses a metric that no table would have, before anything is run for it.

    Raises:
      UserError: There is no such metric, or it needs to know which class is normal.
    """
    known = (*NAMES, *ICBHI)
    if metric not in known:
        near = difflib.get_close_matches(metric, known, 2) or known
        raise UserError(
            f"config.metric must be one of {', '.join(known)}, got {metric!r}; nearest: "
            f"{', '.join(near)}"
        )
    if metric in ICBHI and settings.normal is None:
        raise UserError(f"config.metric={metric} needs clinical.normal, the class that is normal")


def _levels(outcomes: Sequence[Outcome]) -> tuple[str, ...]:
    """Lists recordings, and groups where some group has several recordings."""
    same = all(len(o.test.at("group").labels) == len(o.test.labels) for o in outcomes)
    return LEVELS[:1] if same else LEVELS


def _with_val(
    outcomes: Sequence[Outcome], mode: str, level: str, positive: int | None = None
) -> list[tuple[Outcome, Scored, Scored]]:
    """Collects finite runs whose validation part holds two classes, or positives and others."""
    runs = [(o, o.val.at(level), o.test.at(level)) for o in outcomes if o.mode == mode]
    finite = [(o, v, t) for o, v, t in runs if v.finite and t.finite]
    return [run for run in finite if _holds_both(run[1], positive)]


def _holds_both(val: Scored, positive: int | None) -> bool:
    labels = val.labels if positive is None else val.labels == positive
    return len(np.unique(labels)) > 1


def _folds_without(outcomes: Sequence[Outcome], positive: int | None = None) -> str:
    """Says which folds are left out, because nothing can be chosen on their validation part."""
    lacking = {o.fold for o in outcomes if not _holds_both(o.val, positive)}
    if not lacking:
        return ""
    what = "a second class" if positive is None else "positives or negatives"
    return f" Left out, because their validation part lacks {what}: {', '.join(sorted(lacking))}."


def _rate_cells(runs: Sequence[Run], prevalence: float | None) -> tuple[list[str], dict[str, Any]]:
    """Computes cells of sensitivity, specificity, PPV and NPV, and the numbers behind them."""
    numbers = estimate(runs, rates)
    measured = float(np.mean([run.scored.labels.mean() for run in runs]))
    ill = measured if prevalence is None else prevalence
    both = numbers["sensitivity"]["mean"], numbers["specificity"]["mean"]
    known = prevalence is not None or 0 < measured < 1  # a test part of one class has none
    ppv, npv = predictive_values(*both, ill) if known else (np.nan, np.nan)
    cells = [cell(numbers[name]) for name in ("sensitivity", "specificity")]
    cells += [UNDEFINED if np.isnan(value) else f"{100 * value:.1f}" for value in (ppv, npv)]
    return cells, numbers | {"prevalence": ill, "ppv": ppv, "npv": npv}


def operating_points(
    outcomes: Sequence[Outcome], classes: Sequence[str], settings: ClinicalSettings
) -> list[Table]:
    """Chooses thresholds on validation, by level, seed and fold, and applies them to test."""
    positive = settings.index("positive", classes)
    if positive is None:
        return []
    rows, raw = [], []
    wanted = [
        (m, v, w)
        for m in modes_of(outcomes)
        for v in _levels(outcomes)
        for w in (*settings.specificities, None)
    ]
    for mode, level, specificity in wanted:
        runs = _with_val(outcomes, mode, level, positive)
        if not runs:
            continue
        cuts = [
            choose_threshold(val, positive=positive, specificity=specificity) for _, val, _ in runs
        ]
        decided = [o.as_run(decide(c, test)) for c, (o, _, test) in zip(cuts, runs, strict=True)]
        cells, numbers = _rate_cells(decided, settings.prevalence)
        rule = YOUDEN if specificity is None else f"specificity {100 * specificity:g} %"
        rows.append([mode, level, rule, *cells])
        about = {"mode": mode, "level": level, "rule": rule, "thresholds": [c.value for c in cuts]}
        raw.append(about | numbers)
    stated = settings.prevalence
    at = "that of the test part" if stated is None else f"{100 * stated:g} %"
    note = (
        f"Positive: {classes[positive]}. Thresholds are chosen on validation (for the specificity "
        f"named, or the largest Youden index) and applied to test. PPV and NPV at prevalence {at}."
        + _folds_without(outcomes, positive)
    )
    if not rows:
        note = "No threshold could be chosen: the validation part lacks positives or negatives."
    header = ["mode", "by", "threshold for", "sensitivity", "specificity", "PPV", "NPV"]
    return [Table("Operating points", header, rows, note, raw)]


def calibrations(
    outcomes: Sequence[Outcome], classes: Sequence[str], settings: ClinicalSettings
) -> list[Table]:
    """Computes Brier score and ECE as they come and after recalibration on validation."""
    positive = settings.index("positive", classes)
    statistic, rows, raw = make_calibration(positive), [], []
    for mode in modes_of(outcomes):
        for level in _levels(outcomes):
            runs = _with_val(outcomes, mode, level)
            if not runs:
                continue
            mended = [o.as_run(recalibrate(fit_recalibration(val), test)) for o, val, test in runs]
            plain = estimate([o.as_run(test) for o, _, test in runs], statistic)
            after = estimate(mended, statistic)
            cells = [cell(numbers[name]) for numbers in (plain, after) for name in plain]
            rows.append([mode, level, *cells])
            raw.append({"mode": mode, "level": level, "plain": plain, "recalibrated": after})
    names = ["Brier", "ECE"]
    if positive is not None:
        names.append(f"ECE of {classes[positive]}")
    header = ["mode", "by", *names, *(f"{name}, recalibrated" for name in names)]
    note = (
        "Times 100; lower is better. Recalibrated: temperature and class bias, fitted on "
        "validation, which also undo balanced training; where validation's prevalence is not that "
        "of use, fit them there."
    ) + _folds_without(outcomes)
    return [Table("Calibration", header, rows, note, raw)] if rows else []


def icbhi(
    outcomes: Sequence[Outcome], classes: Sequence[str], settings: ClinicalSettings
) -> list[Table]:
    """Computes the score of the ICBHI challenge, exact and binary."""
    normal = settings.index("normal", classes)
    if normal is None:
        return []
    rows, raw, header = [], [], []
    for mode in modes_of(outcomes):
        numbers = estimate(runs_of(outcomes, mode), icbhi_score(normal))
        header = ["mode", *(name.replace("_", " ") for name in numbers)]
        rows.append([mode, *(cell(n) for n in numbers.values())])
        raw.append({"mode": mode} | numbers)
    note = f"Normal: {classes[normal]}. Exact: the abnormal class must be named; binary: any does."
    return [Table("ICBHI score", header, rows, note, raw)]


def tables(
    outcomes: Sequence[Outcome],
    corpus: Corpus,
    settings: ClinicalSettings,
    *,
    shown: Outcome,
    leaky: bool,
    windows: np.ndarray,
) -> list[Table]:
    """Makes all tables besides the main one.

    Args:
      outcomes: Outcomes of all protocols, seeds and folds.
      corpus: What was evaluated on.
      settings: What is reported.
      shown: Outcome whose protocol is divided by subgroup, and which is divided by class.
      leaky: Whether validation leaks, so that nothing may be chosen on it.
      windows: (clips,) number of evaluation windows of each clip.
    """
    classes = corpus.classes
    chosen_on_val = () if leaky else (operating_points, calibrations)
    return [
        *(by_patches(outcomes, windows) if settings.patches else []),
        *icbhi(outcomes, classes, settings),
        *(table for make in chosen_on_val for table in make(outcomes, classes, settings)),
        *per_class(shown, classes),
        *comparisons(outcomes, settings.reference),
        *subgroups(outcomes, corpus, shown.mode, settings.subgroups),
    ]
