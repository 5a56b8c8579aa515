"""Where curves over the share of labels meet, with the interval over groups."""

import numpy as np
from jaxtyping import Float


def share_of(column: str) -> float:
    """Reads the name of a column such as "20 %"; 0 of one that is no share of labels."""
    number, percent, rest = column.partition(" %")
    return float(number) if percent and not rest else 0.0


def crossing(
    shares: Float[np.ndarray, " shares"], gap: Float[np.ndarray, "shares draws"]
) -> Float[np.ndarray, " draws"]:
    """Interpolates the share of labels at which one curve reaches another.

    Args:
      shares: Shares of the labels, increasing.
      gap: Score of the first curve minus that of the second.

    Returns:
      The share of each draw, between the logarithms of its neighbours; the smallest where the first
      curve is not below the second from the start; infinite where it never gets there.
    """
    reached, draws = gap >= 0, np.arange(gap.shape[1])
    after = reached.argmax(axis=0)
    before = np.maximum(after - 1, 0)
    low, high = gap[before, draws], gap[after, draws]
    part = np.where(after > 0, low / np.where(low == high, 1, low - high), 0)
    x = np.log(shares)
    return np.where(reached.any(axis=0), np.exp(x[before] + part * (x[after] - x[before])), np.inf)


def describe(
    shares: Float[np.ndarray, " shares"],
    gap: Float[np.ndarray, " shares"],
    drawn: Float[np.ndarray, "shares draws"],
) -> str:
    """Says with how many of the labels a curve reaches another, and the 95 % interval.

    Args:
      shares: Shares of the labels in per cent, increasing.
      gap: What the means of the curves differ by.
      drawn: The same of each bootstrap resample of the test groups.
    """

    def told(share: float) -> str:
        if share <= shares[0]:
            return f"{shares[0]:g} % or less"
        return f"{share:.0f} %" if np.isfinite(share) else f"more than {shares[-1]:g} %"

    finite = drawn[:, np.isfinite(drawn).all(axis=0)]
    ends = np.quantile(crossing(shares, finite), [0.025, 0.975], method="inverted_cdf")
    (point,) = crossing(shares, gap[:, None])
    return f"with {told(point)} of the labels [{told(ends[0])}, {told(ends[1])}]"
