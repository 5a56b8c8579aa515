"""Do probabilities mean what they say? ECE, Brier, reliability, temperature scaling."""

from typing import NamedTuple

import numpy as np
from scipy.optimize import minimize_scalar

from cryjax.evaluate.metrics import log_loss
from cryjax.evaluate.operating import require_apart
from cryjax.evaluate.scoring import Scored, softmax

BINS = 10


def _binned(scores: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, ...]:
    """Bin, confidence and hit of every row: the confidence is that of the class named."""
    confidence = scores.max(axis=1)
    hit = (scores.argmax(axis=1) == labels).astype(float)
    return np.minimum((confidence * BINS).astype(int), BINS - 1), confidence, hit


def calibration(
    scores: np.ndarray, labels: np.ndarray, weights: np.ndarray
) -> dict[str, np.ndarray]:
    """Brier score and expected calibration error; a `statistics.Statistic`.

    Brier as scikit-learn's: of the second of two classes, else summed over the classes. ECE: ten
    bins of equal width of the named class's probability (Guo et al. 2017).
    """
    target = np.eye(scores.shape[1])[labels]
    square = ((scores - target) ** 2).sum(axis=1) / (2 if scores.shape[1] == 2 else 1)
    which, confidence, hit = _binned(scores, labels)
    total = weights.sum(axis=1)
    gaps = np.zeros((len(weights), BINS))
    for b in range(BINS):
        mine = which == b
        gaps[:, b] = np.abs(weights[:, mine] @ (confidence - hit)[mine])
    return {"brier": weights @ square / total, "ece": gaps.sum(axis=1) / total}


def reliability(scores: np.ndarray, labels: np.ndarray) -> list[tuple[float, float, int]]:
    """Mean confidence, share of hits and count of every bin that is not empty."""
    which, confidence, hit = _binned(scores, labels)
    bins = [which == b for b in range(BINS)]
    return [(confidence[m].mean(), hit[m].mean(), int(m.sum())) for m in bins if m.any()]


class Temperature(NamedTuple):
    """A divisor of logits, and who it was fitted on."""

    value: float
    fitted_on: frozenset[str]


def _divided(scores: np.ndarray, temperature: float) -> np.ndarray:
    return softmax(np.log(np.maximum(scores, 1e-12)) / temperature)


def fit_temperature(val: Scored) -> Temperature:
    """The temperature, between 0.05 and 20, of the lowest log loss on validation."""

    def loss(log_t: float) -> float:
        return log_loss(_divided(val.scores, np.exp(log_t)), val.labels)

    found = minimize_scalar(loss, bounds=(np.log(0.05), np.log(20.0)), method="bounded")
    return Temperature(float(np.exp(found.x)), frozenset(map(str, val.groups)))


def rescale(temperature: Temperature, test: Scored) -> Scored:
    """Test predictions at that temperature; refused on the groups it was fitted on."""
    require_apart(temperature.fitted_on, test.groups, "the temperature")
    return test._replace(scores=_divided(test.scores, temperature.value))
