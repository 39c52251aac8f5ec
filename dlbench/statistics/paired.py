"""Tests of paired differences, by Student's t: beyond a margin, or within it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dlbench.statistics.result import Test
from dlbench.statistics.samples import (
    check_alpha,
    check_size,
    finite_sample,
    half_width,
    mean_and_error,
    t_tail,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import ArrayLike


def shift(differences: ArrayLike, *, margin: float = 0.0, alpha: float) -> Test:
    """Test whether the mean of paired differences exceeds a margin (one-sided paired t test).

    With the mean m and the standard deviation s of n differences, p = P(T > (m - margin) √n / s)
    for T of Student's t with n - 1 degrees of freedom; the interval is m ± t s / √n. So
    `low > margin` just where `p < alpha`. For "below -margin" negate the differences.

    Assumes independent differences, normal about their mean. Without an effect, the difference of
    two like draws is symmetric whatever they are drawn from, and then little more is needed: from
    skewed draws the test errs less often than alpha, from uniform ones 1.1 to 1.4 times as often
    (at 1e-2 to 1e-4). The exception are few values from few narrow modes: with two modes, 5
    differences all lie close together at one end once in 1,000 times, and t takes them for certain.

    Differences that are all equal have no t. Their p is the exact one of the sign-flip test (of
    2^n ways to flip the signs of differences less the margin, one gives as large a sum): 2^-n
    above the margin, else 1. Their interval is the value alone.

    Sources: Student 1908, "The probable error of a mean"; Fisher 1935, "The design of
    experiments", section 21 (sign flips); `scipy.special.stdtr`.

    Args:
        differences: shape `(n,)`, n >= 2, finite, one for each pair.
        margin: what is tolerated, >= 0, in the unit of the differences.
        alpha: the error rate, in (0, 0.5).

    Raises:
        ValueError: too few or unfit values, a negative margin, or alpha outside (0, 0.5).
    """
    return _tested(differences, margin, alpha, lambda mean: mean - margin)


def equivalence(differences: ArrayLike, *, margin: float, alpha: float = 0.05) -> Test:
    """Test whether the mean of paired differences lies within ±margin (two one-sided t tests).

    It does if it is shown to lie below the margin and above its negative. The larger of the two p
    is P(T > (margin - |m|) √n / s), and needs no correction for there being two. The interval lies
    within the margin just where `p < alpha`. Assumptions as for `shift`; differences that are all
    equal have p = 2^-n within the margin, else 1.

    Source: Schuirmann 1987, "A comparison of the two one-sided tests procedure and the power
    approach for assessing the equivalence of average bioavailability"; `scipy.special.stdtr`.

    Args:
        differences: shape `(n,)`, n >= 2, finite, one for each pair.
        margin: what is tolerated on either side, >= 0, in the unit of the differences.
        alpha: the error rate, in (0, 0.5).

    Raises:
        ValueError: too few or unfit values, a negative margin, or alpha outside (0, 0.5).
    """
    return _tested(differences, margin, alpha, lambda mean: margin - abs(mean))


def _tested(
    differences: ArrayLike, margin: float, alpha: float, distance: Callable[[float], float]
) -> Test:
    """Return the test that the mean's `distance` beyond its limit, or within it, is above 0."""
    array = finite_sample("differences", differences, at_least=2)
    check_size("margin", margin)
    check_alpha(alpha)
    mean, error = mean_and_error(array)
    half = half_width(error, array.size - 1, alpha)
    p = _p_of_distance(distance(mean), error, array.size)
    return Test(mean, mean - half, mean + half, 1 - 2 * alpha, p, array.size)


def _p_of_distance(distance: float, error: float, n: int) -> float:
    """Return the chance that a mean of n values lies so far beyond a limit that it does not pass.

    From t, or by sign flips where the values have no spread.
    """
    if error == 0:
        return 2.0**-n if distance > 0 else 1.0
    return t_tail(distance / error, n - 1)
