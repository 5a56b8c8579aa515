"""Logistic regressions of many seeds, label fractions and strengths on the same embeddings.

Features are rotated to the principal components of all rows, which the penalty does not notice:
there they are nearly uncorrelated, and `cryjax.evaluate.lbfgs` takes, on embeddings of real
recordings, less than half of the iterations. Fits on as many rows with the same strength, which
take as many iterations, share a program on the rows that one of them uses: as many as make its
matrix products wide, and no more, since all wait for the slowest; with many classes each fit is
alone. Rows and components are padded to few sizes, so that few programs are compiled: random
encoders differ in how many of their features ever vary.
"""

import dataclasses
import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import scipy.linalg
from jaxtyping import Array, Float

from cryjax.errors import UserError
from cryjax.evaluate.lbfgs import Bias, Weight, fit
from cryjax.evaluate.metrics import NAMES

COLUMNS = 32  # of a matrix product that is fast; more share a program's slowest fit


@dataclasses.dataclass(frozen=True)
class LogisticSettings:
    """Logistic regressions on the mean representation of each recording.

    Attributes:
      strengths: Inverse strengths of regularisation, of which validation selects one;
        scikit-learn's C.
      select: Metric of validation that selects it.
    """

    strengths: tuple[float, ...] = (0.001, 0.01, 0.1, 1.0, 10.0)
    select: str = "balanced_accuracy"

    def __post_init__(self):
        if self.select not in NAMES:
            raise UserError(
                f"logistic.select must be one of {', '.join(NAMES)}, got {self.select!r}"
            )
        if not self.strengths or min(self.strengths) <= 0:
            raise UserError(f"logistic.strengths must be positive, got {self.strengths}")


class Fits(NamedTuple):
    """Fitted models.

    Attributes:
      weight: (features, fits, classes) weights of raw features.
      bias: (fits, classes) biases.
      iterations: Number of iterations of the slowest fit.
      converged: (fits,) whether each fit reached the tolerance.
    """

    weight: np.ndarray
    bias: np.ndarray
    iterations: int
    converged: np.ndarray

    def probabilities(self, x: np.ndarray) -> np.ndarray:
        """Computes (fits, rows, classes) probabilities of (rows, features)."""
        weight, bias = jnp.asarray(self.weight), jnp.asarray(self.bias)
        return np.asarray(_probabilities(weight, bias, jnp.asarray(x, jnp.float32)), np.float64)


@jax.jit
def _probabilities(
    weight: Weight, bias: Bias, x: Float[Array, "rows features"]
) -> Float[Array, "fits rows classes"]:
    logits = jnp.einsum("nd,drc->rnc", x, weight) + bias[:, None]
    return jax.nn.softmax(logits)


def _principal_components(x: np.ndarray) -> np.ndarray:
    """Computes the (features, components) orthonormal axes of (rows, features) centred float64.

    Components without variance are left out.
    """
    wide = x.shape[1] > x.shape[0]
    values, vectors = scipy.linalg.eigh(x @ x.T if wide else x.T @ x)
    kept = values > 1e-10 * values[-1]
    values, vectors = values[kept], vectors[:, kept]
    return x.T @ vectors / np.sqrt(values) if wide else vectors


def _padded(n: int) -> int:
    """Rounds up to a power of two, or one and a half times one: at most a third is added."""
    power = 2 ** math.ceil(math.log2(max(n, 16)))
    return power * 3 // 4 if n <= power * 3 // 4 else power


def _together(counted: np.ndarray, decay: np.ndarray, classes: int) -> list[np.ndarray]:
    """Groups fits that share a program; all groups are of one size, the last is filled up."""
    sizes = [_padded(int(n)) for n in (counted > 0).sum(axis=1)]
    order = np.lexsort(np.stack([decay, sizes]))
    each = min(len(order), max(1, COLUMNS // classes))
    return [np.resize(order[i : i + each], each) for i in range(0, len(order), each)]


def fit_many(
    x: np.ndarray,
    labels: np.ndarray,
    counted: np.ndarray,
    strength: np.ndarray,
    *,
    classes: int,
    tolerance: float = 2e-7,
    most: int = 3000,
) -> Fits:
    """Fits a multinomial logistic regression for each row of `counted`.

    Features are standardised by all rows of `x` (no labels are needed for that; features that vary
    by less than a hundredth of the mean spread are not blown up beyond that), each fit minimises
    sum of cross-entropy + |weight|^2 / (2 strength), with a free bias: scikit-learn's
    `LogisticRegression(C=strength)` on `StandardScaler` features; with two classes, as there, it is
    the difference of the two weights that is penalised.

    Args:
      x: (rows, features) embeddings.
      labels: (rows,) class of each row.
      counted: (fits, rows) how often a row counts in each fit; 0 leaves it out.
      strength: (fits,) inverse regularisation, positive.
      classes: Number of classes.
      tolerance: Largest entry of a gradient, divided by the number of rows, at which a fit has
        converged. At the default probabilities, of other recordings too, are within 1e-3 of the
        optimum's (measured on ESC-50, C from 0.01 to 10).
      most: Number of iterations after which fits that have not converged are left as they are.

    Returns:
      Weights and biases of raw features, and which fits converged.

    Raises:
      UserError: A strength is not positive, or a fit has no row.
    """
    if (np.asarray(strength) <= 0).any():
        raise UserError(f"strength must be positive, got {np.min(strength)}")
    if not (counted.sum(axis=1) > 0).all():
        raise UserError("a fit has no row to learn from; every row of counted needs one")
    mean, std = x.mean(axis=0, dtype=np.float64), x.std(axis=0, dtype=np.float64)
    std = np.maximum(std, 0.01 * std.mean() + 1e-12)
    x = (x - mean) / std
    axes = _principal_components(x)
    axes = np.pad(axes, ((0, 0), (0, _padded(axes.shape[1]) - axes.shape[1])))
    rotated, labels = (x @ axes).astype(np.float32), np.asarray(labels, np.int32)
    decay = ((2 if classes == 2 else 1) / np.asarray(strength)).astype(np.float32)
    weights, biases = (
        np.empty((len(decay), axes.shape[1], classes)),
        np.empty((len(decay), classes)),
    )
    steps, converged = np.empty(len(decay), int), np.empty(len(decay), bool)
    for fits in _together(counted, decay, classes):
        rows = np.flatnonzero(counted[fits].any(axis=0))
        more = (0, _padded(len(rows)) - len(rows))
        padded = np.pad(rotated[rows], (more, (0, 0)))
        (weight, bias), steps[fits], converged[fits] = fit(
            padded,
            np.ascontiguousarray(padded.T),
            np.pad(labels[rows], more),
            np.pad(counted[fits][:, rows].T.astype(np.float32), (more, (0, 0))),
            decay[fits],
            np.float32(tolerance),
            classes=classes,
            most=most,
        )
        weights[fits], biases[fits] = np.moveaxis(np.asarray(weight), 1, 0), np.asarray(bias)
    weight = np.tensordot(axes, np.moveaxis(weights, 1, 0), 1) / std[:, None, None]
    return Fits(
        weight.astype(np.float32),
        (biases - np.tensordot(mean, weight, 1)).astype(np.float32),
        int(steps.max()),
        converged,
    )
