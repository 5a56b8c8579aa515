"""Operating points: thresholds are chosen on validation and then only applied."""

from typing import NamedTuple

import numpy as np

from cryjax.errors import UserError
from cryjax.evaluate.scoring import Scored
from cryjax.evaluate.statistics import weighted_confusion

YOUDEN = "Youden"
ICBHI = (
    *("icbhi_specificity", "icbhi_sensitivity", "icbhi_score"),
    *("binary_sensitivity", "binary_score"),
)


class Threshold(NamedTuple):
    """A cut on the positive class's score.

    Attributes:
      value: Score at and above which a recording is called positive.
      rule: How it was chosen, such as "specificity 0.9" or "Youden".
      positive: Index of the positive class.
      chosen_on: Groups that it was chosen on.
    """

    value: float
    rule: str
    positive: int
    chosen_on: frozenset[str]


def require_apart(chosen_on: frozenset[str], tested: np.ndarray, what: str) -> None:
    """Refuses to test something on groups that it was chosen on."""
    if shared := sorted(chosen_on & {str(g) for g in tested}):
        raise UserError(
            f"{what} was chosen on {len(shared)} groups that it is now tested on, such as "
            f"{shared[:3]}; choose it on the validation part"
        )


def choose_threshold(
    val: Scored, *, positive: int = 1, specificity: float | None = None
) -> Threshold:
    """Chooses the threshold of the highest sensitivity at a specificity, or of Youden's index.

    Args:
      val: Predictions of the validation part.
      positive: Index of the positive class; all others are negative.
      specificity: Specificity that validation must keep at least; None maximises sensitivity +
        specificity - 1. Of equally sensitive thresholds the highest is taken.

    Raises:
      UserError: Validation lacks positives or negatives, or a score is not finite.
    """
    from sklearn.metrics import roc_curve

    score, truth = val.scores[:, positive], val.labels == positive
    if truth.all() or not truth.any() or not val.finite:
        raise UserError("a threshold needs positives and negatives in the validation part")
    accepted, sensitive, cuts = roc_curve(truth, score, drop_intermediate=False)
    specific = 1 - accepted
    if specificity is None:
        at, rule = int(np.argmax(sensitive + specific)), YOUDEN
    else:
        last = int(np.flatnonzero(specific >= specificity - 1e-12).max())
        at = int(np.flatnonzero(sensitive >= sensitive[last])[0])  # nothing is gained below it
        rule = f"specificity {specificity:g}"
    return Threshold(float(cuts[at]), rule, positive, frozenset(map(str, val.groups)))


def decide(threshold: Threshold, test: Scored) -> Scored:
    """Decides between negative (0) and positive (1); refuses groups it was chosen on."""
    require_apart(threshold.chosen_on, test.groups, "the threshold")
    called = test.scores[:, threshold.positive] >= threshold.value
    truth = (test.labels == threshold.positive).astype(int)
    return Scored.of(np.stack([~called, called], axis=1).astype(float), truth, test.groups)


def rates(scored: Scored, weights: np.ndarray) -> dict[str, np.ndarray]:
    """Computes sensitivity and specificity of binary decisions; a `statistics.Statistic`."""
    table = weighted_confusion(scored, weights)
    with np.errstate(invalid="ignore", divide="ignore"):
        right = table.diagonal(axis1=1, axis2=2) / table.sum(axis=2)
    return {"sensitivity": right[:, 1], "specificity": right[:, 0]}


def predictive_values(
    sensitivity: float, specificity: float, prevalence: float
) -> tuple[float, float]:
    """Computes PPV and NPV at a prevalence by Bayes' rule; NaN where nobody is called so."""
    if not 0 < prevalence < 1:
        raise UserError(f"prevalence must lie between 0 and 1, got {prevalence}")
    ill, well = prevalence, 1 - prevalence
    called = sensitivity * ill + (1 - specificity) * well
    cleared = specificity * well + (1 - sensitivity) * ill
    ppv = sensitivity * ill / called if called else np.nan
    return float(ppv), float(specificity * well / cleared if cleared else np.nan)


def icbhi_score(normal: int):
    """Makes the ICBHI challenge's measures, a `statistics.Statistic`.

    Args:
      normal: Index of the class "normal".

    Returns:
      A function whose values are "icbhi_specificity", "icbhi_sensitivity" (the exact abnormal class
      must be named), "icbhi_score" (their mean), and "binary_sensitivity" and "binary_score", where
      any abnormal class counts, so that they are never lower.
    """

    def statistic(scored: Scored, weights: np.ndarray) -> dict[str, np.ndarray]:
        table = weighted_confusion(scored, weights)
        table = table if scored.finite else np.full_like(table, np.nan)
        ill = np.arange(table.shape[1]) != normal
        with np.errstate(invalid="ignore", divide="ignore"):
            specific = table[:, normal, normal] / table[:, normal].sum(axis=1)
            total = table[:, ill].sum(axis=(1, 2))
            exact = table.diagonal(axis1=1, axis2=2)[:, ill].sum(axis=1) / total
            noticed = table[:, ill][:, :, ill].sum(axis=(1, 2)) / total
        return {
            "icbhi_specificity": specific,
            "icbhi_sensitivity": exact,
            "icbhi_score": (specific + exact) / 2,
            "binary_sensitivity": noticed,
            "binary_score": (specific + noticed) / 2,
        }

    return statistic


def equal_error_rate(score: np.ndarray, same: np.ndarray) -> tuple[float, float]:
    """Computes the rate at which false acceptances and false rejections of pairs are equal.

    Args:
      score: (pairs,) similarities.
      same: (pairs,) whether both recordings are of one speaker.

    Returns:
      The rate, interpolated linearly between the two steps around the crossing, and the threshold
      there.
    """
    from sklearn.metrics import roc_curve

    if same.all() or not same.any():
        raise UserError("an equal error rate needs pairs of both kinds")
    accepted, recognised, cuts = roc_curve(same, score, drop_intermediate=False)
    rejected = 1 - recognised
    at = int(np.argmax(accepted >= rejected))
    gap, step = rejected[at - 1] - accepted[at - 1], accepted[at] - rejected[at]
    share = gap / (gap + step)
    rate = accepted[at - 1] + share * (accepted[at] - accepted[at - 1])
    return float(rate), float(cuts[at])
