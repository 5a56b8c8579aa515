"""L-BFGS for a multinomial logistic regression, in one program.

Because the logits of a linear model are linear in the step, a line search needs no matrix product:
an iteration has two, features by weights and features by residuals. Where features are uncorrelated
the Hessian is nearly diagonal; L-BFGS starts from its diagonal, computed anew every few iterations.
"""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

MEMORY = 5  # pairs of differences that L-BFGS keeps
REFRESH = 5  # iterations between computations of the Hessian's diagonal
NEWTON = 4  # one-dimensional Newton steps of a line search
Weight = Float[Array, "features classes"]  # of features and a last one that is 1: the bias
Logits = Float[Array, "rows classes"]
Pairs = Float[Array, "memory features classes"]
Scalar = Float[Array, ""]


class _Given(NamedTuple):
    """The problem: features, one-hot labels, count of each row, penalty of each feature."""

    x: Float[Array, "rows features"]
    target: Logits
    counted: Float[Array, "rows 1"]
    penalty: Float[Array, "features 1"]


class _State(NamedTuple):
    """Weights, their logits and gradient, memory of L-BFGS, inverse of the Hessian's diagonal."""

    step: Int[Array, ""]
    weight: Weight
    logits: Logits
    grad: Weight
    moves: Pairs
    turns: Pairs
    inverse: Float[Array, " memory"]
    scale: Scalar
    diagonal: Weight


def _direction(state: _State) -> Weight:
    """Computes the direction of L-BFGS (Nocedal & Wright 2006, algorithm 7.4)."""
    q, order = state.grad, [(state.step - 1 - i) % MEMORY for i in range(MEMORY)]
    factors = []
    for at in order:
        factors.append(state.inverse[at] * (state.moves[at] * q).sum())
        q = q - factors[-1] * state.turns[at]
    q = state.scale * state.diagonal * q
    for at, factor in zip(reversed(order), reversed(factors), strict=True):
        q = q + (factor - state.inverse[at] * (state.turns[at] * q).sum()) * state.moves[at]
    return -q


def _length(state: _State, change: Logits, along: Weight, given: _Given) -> Scalar:
    """Computes how far to go along a direction, by Newton's method on the loss along it."""
    straight = (given.penalty * state.weight * along).sum()
    curve = (given.penalty * along**2).sum()
    wanted = (given.target * change).sum(-1, keepdims=True)
    t = jnp.ones_like(straight)
    for _ in range(NEWTON):
        p = jax.nn.softmax(state.logits + t * change)
        mean = (p * change).sum(-1, keepdims=True)
        square = (p * change**2).sum(-1, keepdims=True)
        slope = (given.counted * (mean - wanted)).sum() + straight + t * curve
        bend = (given.counted * (square - mean**2)).sum() + curve
        t = jnp.clip(t - slope / jnp.maximum(bend, 1e-12), 0.1 * t, 4 * t)
    return t


def _gradient(logits: Logits, weight: Weight, given: _Given) -> Weight:
    residual = given.counted * (jax.nn.softmax(logits) - given.target)
    return given.x.T @ residual + given.penalty * weight


def _inverse_diagonal(logits: Logits, given: _Given) -> Weight:
    """Inverts the Hessian's diagonal; the bias, without a penalty, is kept from infinity."""
    p = jax.nn.softmax(logits)
    floor = jnp.maximum(given.penalty, 1e-3 * given.penalty.max())
    return 1 / ((given.x**2).T @ (given.counted * p * (1 - p)) + floor)


def _update(state: _State, given: _Given) -> _State:
    along = _direction(state)
    change = given.x @ along
    length = _length(state, change, along, given)
    move = length * along
    weight, logits = state.weight + move, state.logits + length * change
    grad, step = _gradient(logits, weight, given), state.step + 1
    turn = grad - state.grad
    again, kept = lambda: _inverse_diagonal(logits, given), lambda: state.diagonal
    diagonal = jax.lax.cond(step % REFRESH == 0, again, kept)
    product, square = (move * turn).sum(), (turn * diagonal * turn).sum()
    curved, at = product > 1e-10 * square, state.step % MEMORY
    return _State(
        step,
        weight,
        logits,
        grad,
        state.moves.at[at].set(move),
        state.turns.at[at].set(turn),
        state.inverse.at[at].set(jnp.where(curved, 1 / jnp.maximum(product, 1e-30), 0.0)),
        jnp.where(curved, product / jnp.maximum(square, 1e-30), state.scale),
        diagonal,
    )


@functools.partial(jax.jit, static_argnames=("classes", "most"))
def fit(
    x: Float[Array, "rows features"],
    labels: Int[Array, " rows"],
    counted: Float[Array, " rows"],
    strength: Scalar,
    tolerance: Scalar,
    *,
    classes: int,
    most: int,
) -> tuple[Weight, Float[Array, " classes"], Int[Array, ""], Bool[Array, ""]]:
    """Minimises sum of cross-entropy + strength |weight|^2 / 2.

    Args:
      x: Features, centred and best uncorrelated.
      labels: Class of each row.
      counted: How often a row counts.
      strength: Weight of the penalty; biases have none.
      tolerance: Largest entry of a gradient, by the number of rows, at which it has converged.
      classes: Number of classes.
      most: Number of iterations after which it ends.

    Returns:
      Weights, biases, the number of iterations, and whether it converged.
    """
    penalty = jnp.append(jnp.full(x.shape[1], strength), 0.0)
    x = jnp.concatenate([x, jnp.ones((len(x), 1))], axis=1)
    given = _Given(x, jax.nn.one_hot(labels, classes), counted[:, None], penalty[:, None])
    weight, logits = jnp.zeros((x.shape[1], classes)), jnp.zeros((len(x), classes))
    empty = jnp.zeros((MEMORY, *weight.shape))
    first = _State(
        jnp.zeros((), jnp.int32),
        weight,
        logits,
        _gradient(logits, weight, given),
        empty,
        empty,
        jnp.zeros(MEMORY),
        jnp.ones(()),
        _inverse_diagonal(logits, given),
    )

    def steepest(state: _State) -> Scalar:
        return jnp.abs(state.grad[:-1]).max() / jnp.maximum(counted.sum(), 1)

    def going(state: _State) -> Bool[Array, ""]:
        return (state.step < most) & (steepest(state) > tolerance)

    end = jax.lax.while_loop(going, lambda state: _update(state, given), first)
    return end.weight[:-1], end.weight[-1], end.step, steepest(end) <= tolerance
