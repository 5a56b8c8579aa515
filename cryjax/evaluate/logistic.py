"""Logistic regressions of many seeds, label fractions and strengths on the same embeddings.

Each is fitted on its own rows alone, rotated to their principal components, which the penalty does
not notice: there features are uncorrelated, `cryjax.evaluate.lbfgs` takes, on embeddings of real
recordings, less than half of the iterations, and few rows have few components. Rows and components
are padded to few sizes, for each of which one program is compiled.
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
from cryjax.evaluate.lbfgs import fit
from cryjax.evaluate.metrics import NAMES


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
    weight: Float[Array, "features fits classes"],
    bias: Float[Array, "fits classes"],
    x: Float[Array, "rows features"],
) -> Float[Array, "fits rows classes"]:
    logits = jnp.einsum("nd,drc->rnc", x, weight) + bias[:, None]
    return jax.nn.softmax(logits)


def _principal_components(x: np.ndarray) -> np.ndarray:
    """Computes the (features, components) orthonormal axes of (rows, features) float64.

    Components without variance are left out.
    """
    wide = x.shape[1] > x.shape[0]
    values, vectors = scipy.linalg.eigh(x @ x.T if wide else x.T @ x)
    kept = values > 1e-10 * max(values[-1], 1e-30)
    values, vectors = values[kept], vectors[:, kept]
    return x.T @ vectors / np.sqrt(values) if wide else vectors


def _padded(n: int) -> int:
    """Rounds up to a power of two, or one and a half times one: at most a third is added."""
    power = 2 ** math.ceil(math.log2(max(n, 16)))
    return power * 3 // 4 if n <= power * 3 // 4 else power


class _Rows(NamedTuple):
    """What fits on the same rows share: centred rotated features, labels, counts, rotation."""

    x: Array
    labels: Array
    counted: Array
    axes: np.ndarray
    mean: np.ndarray


def _rows_of(x: np.ndarray, labels: np.ndarray, counted: np.ndarray) -> _Rows:
    """Takes the rows that count, as `fit` wants them."""
    rows = np.flatnonzero(counted)
    mean = x[rows].mean(axis=0)
    centred = x[rows] - mean
    axes = _principal_components(centred)
    more = _padded(len(rows)) - len(rows)
    width = min(x.shape[1], len(rows) + more) - axes.shape[1]
    axes = np.pad(axes, ((0, 0), (0, width)))
    return _Rows(
        jnp.asarray(np.pad(centred @ axes, ((0, more), (0, 0))), jnp.float32),
        jnp.asarray(np.pad(labels[rows], (0, more))),
        jnp.asarray(np.pad(counted[rows], (0, more)), jnp.float32),
        axes,
        mean,
    )


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
    given, of_fit = np.unique(counted, axis=0, return_inverse=True)
    shared = [_rows_of(x, labels, np.asarray(one, np.float64)) for one in given]
    decay = (2 if classes == 2 else 1) / np.asarray(strength)
    ended = []
    for at, weight_of_penalty in zip(of_fit.ravel(), decay, strict=True):
        rows = shared[at]
        ended.append(
            fit(
                rows.x,
                rows.labels,
                rows.counted,
                jnp.float32(weight_of_penalty),
                jnp.float32(tolerance),
                classes=classes,
                most=most,
            )
        )
    weights, biases = [], []
    for at, (weight, bias, *_) in zip(of_fit.ravel(), ended, strict=True):
        scaled = shared[at].axes @ np.asarray(weight, np.float64)
        raw = scaled / std[:, None]
        weights.append(raw)
        biases.append(np.asarray(bias, np.float64) - shared[at].mean @ scaled - mean @ raw)
    return Fits(
        np.stack(weights, axis=1).astype(np.float32),
        np.stack(biases).astype(np.float32),
        max(int(iterations) for *_, iterations, _ in ended),
        np.array([bool(converged) for *_, converged in ended]),
    )
