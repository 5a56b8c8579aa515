"""L-BFGS for many multinomial logistic regressions on the same rows, in one program.

Fits differ in which rows they learn from and how strongly they are regularised. So the two products
of an iteration, features by weights and features by residuals, are one matrix product each for all
fits together, and because the logits of a linear model are linear in the step, a line search needs
no product at all. Where features are uncorrelated the Hessian is nearly diagonal; L-BFGS starts
from its diagonal, computed anew every few iterations.
"""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

MEMORY = 5  # pairs of differences that L-BFGS keeps
# on ESC-50's embeddings 5 and 4 take as many iterations, each of them half as long again
REFRESH = 20  # iterations between computations of the Hessian's diagonal
NEWTON = 2  # one-dimensional Newton steps of a line search
Weight = Float[Array, "features fits classes"]
Bias = Float[Array, "fits classes"]
Logits = Float[Array, "rows fits classes"]
PerFit = Float[Array, " fits"]


class _State(NamedTuple):
    """All fits: parameters, logits, gradient, memory of L-BFGS, inverse of the diagonal."""

    step: Any
    params: tuple[Weight, Bias]
    logits: Logits
    grad: tuple[Weight, Bias]
    moves: tuple[Array, Array]
    turns: tuple[Array, Array]
    inverse: Array
    scale: PerFit
    diagonal: tuple[Weight, Bias]


def _dot(a: tuple, b: tuple) -> PerFit:
    return (a[0] * b[0]).sum(axis=(0, 2)) + (a[1] * b[1]).sum(axis=1)


def _times(factor: PerFit, a: tuple) -> tuple:
    return factor[None, :, None] * a[0], factor[:, None] * a[1]


def _times_diagonal(diagonal: tuple, a: tuple) -> tuple:
    return diagonal[0] * a[0], diagonal[1] * a[1]


def _plus(a: tuple, factor: PerFit, b: tuple) -> tuple:
    return jax.tree.map(jnp.add, a, _times(factor, b))


def _direction(state: _State) -> tuple:
    """Computes the direction of L-BFGS in every fit (Nocedal & Wright 2006, algorithm 7.4)."""
    q, order = state.grad, [(state.step - 1 - i) % MEMORY for i in range(MEMORY)]
    factors = []
    for at in order:
        turn, move = ((p[0][at], p[1][at]) for p in (state.turns, state.moves))
        factors.append(state.inverse[at] * _dot(move, q))
        q = _plus(q, -factors[-1], turn)
    q = _times(state.scale, _times_diagonal(state.diagonal, q))
    for at, factor in zip(reversed(order), reversed(factors), strict=True):
        turn, move = ((p[0][at], p[1][at]) for p in (state.turns, state.moves))
        q = _plus(q, factor - state.inverse[at] * _dot(turn, q), move)
    return jax.tree.map(jnp.negative, q)


def _length(logits: Logits, change: Logits, weight: Weight, along: Weight, given: tuple) -> PerFit:
    """Computes how far to go along a direction, by Newton's method on the loss along it."""
    target, counted, strength = given
    straight, curve = strength * (weight * along).sum((0, 2)), strength * (along**2).sum((0, 2))
    # as products: XLA makes of sums, with one fit, a loop that is six times as slow
    over_classes, over_rows = "nrc,nrc->nr", "nr,nr->r"
    wanted = jnp.einsum("nrc,nc->nr", change, target)
    t = jnp.ones_like(strength)
    for _ in range(NEWTON):
        p = jax.nn.softmax(logits + t[None, :, None] * change)
        mean = jnp.einsum(over_classes, p, change)
        square = jnp.einsum(over_classes, p, change**2)
        slope = jnp.einsum(over_rows, counted, mean - wanted) + straight + t * curve
        bend = jnp.einsum(over_rows, counted, square - mean**2) + curve
        t = jnp.clip(t - slope / jnp.maximum(bend, 1e-12), 0.1 * t, 4 * t)
    return t


def _update(state: _State, x: Array, transposed: Array, given: tuple) -> _State:
    along = _direction(state)
    change = _logits(x, along)
    length = _length(state.logits, change, state.params[0], along[0], given)
    move = _times(length, along)
    params = jax.tree.map(jnp.add, state.params, move)
    logits = state.logits + length[None, :, None] * change
    grad = _gradient(transposed, logits, params, given)
    turn = jax.tree.map(jnp.subtract, grad, state.grad)
    step = state.step + 1
    again, kept = lambda: _inverse_diagonal(transposed, logits, given), lambda: state.diagonal
    diagonal = jax.lax.cond(step % REFRESH == 0, again, kept)
    product, square = _dot(move, turn), _dot(turn, _times_diagonal(diagonal, turn))
    curved = product > 1e-10 * square
    at = state.step % MEMORY
    put = lambda kept, new: jax.tree.map(lambda k, n: k.at[at].set(n), kept, new)  # noqa: E731
    inverse = jnp.where(curved, 1 / jnp.maximum(product, 1e-30), 0.0)
    scale = jnp.where(curved, product / jnp.maximum(square, 1e-30), state.scale)
    return _State(
        step,
        params,
        logits,
        grad,
        put(state.moves, move),
        put(state.turns, turn),
        state.inverse.at[at].set(inverse),
        scale,
        diagonal,
    )


def _logits(x: Array, params: tuple) -> Logits:
    weight, bias = params
    return jnp.tensordot(x, weight, 1) + bias[None]


def _gradient(transposed: Array, logits: Logits, params: tuple, given: tuple) -> tuple:
    target, counted, strength = given
    residual = counted[..., None] * (jax.nn.softmax(logits) - target[:, None])
    weight = jnp.tensordot(transposed, residual, 1) + strength[None, :, None] * params[0]
    return weight, residual.sum(0)


def _inverse_diagonal(transposed: Array, logits: Logits, given: tuple) -> tuple[Weight, Bias]:
    """Inverts the Hessian's diagonal; the bias, without a penalty, is kept from infinity."""
    _, counted, strength = given
    p = jax.nn.softmax(logits)
    bend = counted[..., None] * p * (1 - p)
    weight = jnp.tensordot(transposed**2, bend, 1) + strength[None, :, None]
    return 1 / weight, 1 / (bend.sum(0) + 1e-3 * strength[:, None])


@functools.partial(jax.jit, static_argnames=("classes", "most"))
def fit(
    x: Float[Array, "rows features"],
    transposed: Float[Array, "features rows"],
    labels: Int[Array, " rows"],
    counted: Float[Array, "rows fits"],
    strength: PerFit,
    tolerance: Float[Array, ""],
    *,
    classes: int,
    most: int,
) -> tuple[tuple[Weight, Bias], Int[Array, ""], Bool[Array, " fits"]]:
    """Minimises sum of cross-entropy + strength |weight|^2 / 2 for every fit.

    Args:
      x: Features, centred and best uncorrelated.
      transposed: A copy of them, transposed: XLA multiplies by it half as fast again as by `x`.
      labels: Class of each row.
      counted: How often a row counts in each fit.
      strength: Weight of the penalty; biases have none.
      tolerance: Largest entry of a gradient, by the number of rows, at which a fit has converged.
      classes: Number of classes.
      most: Number of iterations after which all end.

    Returns:
      Weights and biases, the number of iterations, and which fits converged.
    """
    features, fits = x.shape[1], counted.shape[1]
    given = (jax.nn.one_hot(labels, classes), counted, strength)
    params = (jnp.zeros((features, fits, classes)), jnp.zeros((fits, classes)))
    # written so that XLA does not fold a large constant while it compiles
    logits = jnp.broadcast_to(0 * counted[..., None], (*counted.shape, classes))
    grad = _gradient(transposed, logits, params, given)
    empty = jax.tree.map(lambda p: jnp.zeros((MEMORY, *p.shape)), params)
    first = _State(
        jnp.zeros((), jnp.int32),
        params,
        logits,
        grad,
        empty,
        empty,
        jnp.zeros((MEMORY, fits)),
        jnp.ones(fits),
        _inverse_diagonal(transposed, logits, given),
    )

    def steepest(state: _State) -> PerFit:
        return jnp.abs(state.grad[0]).max((0, 2)) / jnp.maximum(counted.sum(0), 1)

    def going(state: _State):
        return (state.step < most) & (steepest(state).max() > tolerance)

    end = jax.lax.while_loop(going, lambda state: _update(state, x, transposed, given), first)
    return end.params, end.step, steepest(end) <= tolerance
