"""Do probabilities mean what they say? Brier score, ECE, reliability, recalibration."""

from typing import Any, NamedTuple

import numpy as np

from cryjax.evaluate.operating_points import require_apart
from cryjax.evaluate.scoring import Scored, softmax

BINS = 10
TINY = 1e-12


def _bin_of(confidence: np.ndarray) -> np.ndarray:
    return np.minimum((confidence * BINS).astype(int), BINS - 1)


def _gap(confidence: np.ndarray, hit: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Computes the expected calibration error under (weightings, rows) weights."""
    which, gaps = _bin_of(confidence), np.zeros((len(weights), BINS))
    for b in range(BINS):
        mine = which == b
        gaps[:, b] = np.abs(weights[:, mine] @ (confidence - hit)[mine])
    return gaps.sum(axis=1) / weights.sum(axis=1)


def make_calibration(positive: int | None) -> Any:
    """Makes the statistic of calibration; see `statistics.Statistic`.

    Args:
      positive: Index of the class whose own probability is checked too; None checks none.

    Returns:
      A function whose values are "brier" (of the second of two classes as scikit-learn's, else
      summed over the classes), "ece" (ten bins of equal width of the highest probability, Guo et
      al. 2017) and, with a positive class, "positive_ece" (ten bins of its probability).
    """

    def calibration(scored: Scored, weights: np.ndarray) -> dict[str, np.ndarray]:
        scores, labels = scored.scores, scored.labels
        if not scored.finite:
            unknown = np.full(len(weights), np.nan)
            return dict.fromkeys(
                ("brier", "ece", *(["positive_ece"] * (positive is not None))), unknown
            )
        target = (labels[:, None] == np.arange(scores.shape[1])).astype(float)
        square = ((scores - target) ** 2).sum(axis=1) / (2 if scores.shape[1] == 2 else 1)
        hit = (scores.argmax(axis=1) == labels).astype(float)
        values = {
            "brier": weights @ square / weights.sum(axis=1),
            "ece": _gap(scores.max(axis=1), hit, weights),
        }
        if positive is not None:
            ill = (labels == positive).astype(float)
            values["positive_ece"] = _gap(scores[:, positive], ill, weights)
        return values

    return calibration


def reliability(scored: Scored, positive: int | None = None) -> list[tuple[float, float, int]]:
    """Lists mean confidence, share of hits and count of every bin that is not empty.

    Args:
      scored: Predictions beside the truth.
      positive: Index of the class whose probability is the confidence; None takes the highest.
    """
    if positive is None:
        confidence = scored.scores.max(axis=1)
        hit = scored.scores.argmax(axis=1) == scored.labels
    else:
        confidence, hit = scored.scores[:, positive], scored.labels == positive
    which = _bin_of(confidence)
    bins = [which == b for b in range(BINS)]
    return [(confidence[m].mean(), hit[m].mean(), int(m.sum())) for m in bins if m.any()]


class Recalibration(NamedTuple):
    """A change of probabilities, p -> softmax(log p / temperature + bias).

    Attributes:
      temperature: Divisor of the log-probabilities, which mends over-confidence.
      bias: (classes,) shift of the log-probabilities, which mends another prevalence than that of
        training, such as after balanced sampling. Of two classes both together are Platt scaling.
      fitted_on: Groups that it was fitted on.
    """

    temperature: float
    bias: np.ndarray
    fitted_on: frozenset[str]


def recalibrated(scores: np.ndarray, change: Recalibration) -> np.ndarray:
    """Changes (n, classes) probabilities; `recalibrate` refuses what it was fitted on besides."""
    return softmax(np.log(np.maximum(scores, TINY)) / change.temperature + change.bias)


def fit_recalibration(val: Scored) -> Recalibration:
    """Fits temperature and bias on validation by the lowest log loss.

    Temperature and biases are held back as if 1 and 0 had been seen in one recording more: classes
    of few validation recordings move little, and probabilities of a validation part that is
    separated without an error are not driven to 0 and 1. The temperature lies between 0.05 and 20.
    """
    from scipy.optimize import minimize

    log_p = np.log(np.maximum(val.scores, TINY))
    n, classes = log_p.shape
    target = val.labels[:, None] == np.arange(classes)

    def loss(x: np.ndarray) -> tuple[float, np.ndarray]:
        inverse, bias = np.exp(-x[0]), x[1:]
        p = softmax(log_p * inverse + bias)
        error = (p - target) / n
        value = -np.log(np.maximum(p[target], TINY)).mean() + (x**2).sum() / (2 * n)
        slope = -inverse * (error * log_p).sum() + x[0] / n
        return value, np.r_[slope, error.sum(axis=0) + bias / n]

    bounds = [(np.log(0.05), np.log(20.0)), *[(-20.0, 20.0)] * classes]
    found = minimize(loss, np.zeros(classes + 1), jac=True, method="L-BFGS-B", bounds=bounds)
    groups = frozenset(map(str, val.groups))
    return Recalibration(float(np.exp(found.x[0])), found.x[1:], groups)


def recalibrate(change: Recalibration, test: Scored) -> Scored:
    """Changes test probabilities; refuses groups that the change was fitted on."""
    require_apart(change.fitted_on, test.groups, "the recalibration")
    return Scored.of(recalibrated(test.scores, change), test.labels, test.groups)
