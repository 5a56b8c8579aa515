"""Where curves over the share of labels meet, with the interval over groups."""

import numpy as np
from jaxtyping import Float


def column_of(fraction: float) -> str:
    """Names the column of a share of labels, such as "20 %" of 0.2; see `share_of`."""
    return f"{100 * fraction:g} %"


def share_of(column: str) -> float:
    """Reads the name of a column such as "20 %"; 0 of one that is no share of labels."""
    number, percent, rest = column.partition(" %")
    return float(number) if percent and not rest else 0.0


def crossing(
    shares: Float[np.ndarray, " shares"], gap: Float[np.ndarray, "shares draws"]
) -> Float[np.ndarray, " draws"]:
    """Interpolates the share of labels from which on one curve is not below another.

    Args:
      shares: Shares of the labels, increasing.
      gap: Score of the first curve minus that of the second.

    Returns:
      The share of each draw, between the logarithms of its neighbours; the smallest where the first
      curve is nowhere below the second; infinite where it ends below.
    """
    below, draws, last = gap < 0, np.arange(gap.shape[1]), len(shares) - 1
    before = last - below[::-1].argmax(axis=0)  # the last share at which it is below
    after = np.minimum(before + 1, last)
    low, high = gap[before, draws], gap[after, draws]
    x, part = np.log(shares), low / np.where(low == high, 1, low - high)
    met = np.exp(x[before] + part * (x[after] - x[before]))
    return np.where(below.any(axis=0), np.where(before < last, met, np.inf), shares[0])


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
    if 2 * finite.shape[1] < drawn.shape[1] or not np.isfinite(gap).all():
        return "with a share of the labels that is not known"
    ends = np.quantile(crossing(shares, finite), [0.025, 0.975], method="inverted_cdf")
    (point,) = crossing(shares, gap[:, None])
    return f"with {told(point)} of the labels [{told(ends[0])}, {told(ends[1])}]"
