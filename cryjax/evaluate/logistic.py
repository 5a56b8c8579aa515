"""Many logistic regressions at once: all seeds, label fractions and strengths in one program.

Features are rotated to their principal components, which the penalty does not notice: there they
are uncorrelated, and `cryjax.evaluate.lbfgs` takes, on embeddings of real recordings, less than
half of the iterations.
"""

import dataclasses
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import scipy.linalg
from jaxtyping import Array, Float

from cryjax.errors import UserError
from cryjax.evaluate.lbfgs import Bias, Weight, fit
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
def _probabilities(weight: Weight, bias: Bias, x: Float[Array, "rows features"]) -> Array:
    logits = jnp.einsum("nd,drc->rnc", x, weight) + bias[:, None]
    return jax.nn.softmax(logits)


def _principal_components(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rotates centred features to their principal components.

    Args:
      x: (rows, features) float64.

    Returns:
      (rows, components), and (features, components) orthonormal axes.
      Components without variance are left out.
    """
    wide = x.shape[1] > x.shape[0]
    values, vectors = scipy.linalg.eigh(x @ x.T if wide else x.T @ x)
    kept = values > 1e-10 * values[-1]
    values, vectors = values[kept], vectors[:, kept]
    axes = x.T @ vectors / np.sqrt(values) if wide else vectors
    return x @ axes, axes


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
    """Fits a multinomial logistic regression for each row of `counted`, all at the same time.

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
    rotated, axes = _principal_components((x - mean) / std)
    decay = (2 if classes == 2 else 1) / np.asarray(strength)
    params, iterations, converged = fit(
        jnp.asarray(rotated, jnp.float32),
        jnp.asarray(labels),
        jnp.asarray(counted.T, jnp.float32),
        jnp.asarray(decay, jnp.float32),
        jnp.asarray(tolerance, jnp.float32),
        classes=classes,
        most=most,
    )
    weight = np.tensordot(axes, np.asarray(params[0], np.float64), 1) / std[:, None, None]
    bias = np.asarray(params[1], np.float64) - np.tensordot(mean, weight, 1)
    return Fits(
        weight.astype(np.float32),
        bias.astype(np.float32),
        int(iterations),
        np.asarray(converged),
    )
