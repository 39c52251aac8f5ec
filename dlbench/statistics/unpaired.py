"""Tests of two samples whose values do not pair: means, shares, ranks."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from dlbench.statistics.result import Test
from dlbench.statistics.samples import (
    check_alpha,
    check_count,
    check_size,
    finite_sample,
    half_width,
    mean_and_error,
    t_tail,
)

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

EXACT = 128
"""Up to so many values in both samples together, `larger` counts; above, it takes the normal."""


def welch(values: ArrayLike, reference: ArrayLike, *, margin: float = 0.0, alpha: float) -> Test:
    """Test whether a mean exceeds another by more than a margin, without pairs (Welch's t test).

    With the standard errors e and f of the two means, t = (difference - margin) / √(e² + f²) has
    about (e² + f²)² / (e⁴ / (n - 1) + f⁴ / (m - 1)) degrees of freedom. Assumes independent
    values, normal about their means, whose variances may differ. Where neither sample has spread,
    p is the permutation test's: 1 / C(n + m, n) above the margin, else 1.

    Source: Welch 1947, "The generalization of Student's problem when several different population
    variances are involved"; as `scipy.stats.ttest_ind(equal_var=False)`.

    Args:
        values: shape `(n,)`, n >= 2, finite.
        reference: shape `(m,)`, m >= 2, finite.
        margin: what is tolerated, >= 0, in the unit of the values.
        alpha: the error rate, in (0, 0.5).

    Raises:
        ValueError: too few or unfit values, a negative margin, or alpha outside (0, 0.5).
    """
    new = finite_sample("values", values, at_least=2)
    old = finite_sample("reference", reference, at_least=2)
    check_size("margin", margin)
    check_alpha(alpha)
    (new_mean, new_error), (old_mean, old_error) = mean_and_error(new), mean_and_error(old)
    difference, error = new_mean - old_mean, math.hypot(new_error, old_error)
    if error == 0:
        p = 1 / math.comb(new.size + old.size, new.size) if difference > margin else 1.0
        return Test(difference, difference, difference, 1 - 2 * alpha, p, new.size)
    share = (new_error / error) ** 2
    freedom = 1 / (share**2 / (new.size - 1) + (1 - share) ** 2 / (old.size - 1))
    half = half_width(error, freedom, alpha)
    p = t_tail((difference - margin) / error, freedom)
    return Test(difference, difference - half, difference + half, 1 - 2 * alpha, p, new.size)


def excess_share(
    failed: int, n: int, failed_before: int, n_before: int, *, alpha: float = 0.025
) -> Test:
    """Test whether a share is greater than it was (Fisher's exact test, one-sided).

    Given how many failed in both samples together, the number among the n is hypergeometric where
    the share is the same; p is the chance of `failed` or more. Assumes independent failures; errs
    less often than alpha, since counts are discrete.

    The estimate is failed / n - failed_before / n_before. The interval is Newcombe's: with Wilson's
    intervals (l, u) and (l', u') of the shares q and q',
    from d - √((q - l)² + (u' - q')²) to d + √((u - q)² + (q' - l')²). It holds what it promises
    for small counts and is no point where none or all failed. It is not Fisher's test turned round,
    so near alpha it may leave out 0 where p does not decide.

    Sources: Fisher 1935, "The logic of inductive inference", `scipy.stats.fisher_exact`; Newcombe
    1998, "Interval estimation for the difference between independent proportions", method 10;
    `scipy.stats.binomtest`'s Wilson interval.

    Args:
        failed: how many of the `n` failed.
        n: how many there are now, >= 1.
        failed_before: how many of the `n_before` failed.
        n_before: how many there were, >= 1.
        alpha: the error rate, in (0, 0.5).

    Raises:
        ValueError: a count outside 0 to its total, a total below 1, or alpha outside (0, 0.5).
    """
    from scipy import stats

    check_count("n", n, least=1)
    check_count("n_before", n_before, least=1)
    check_count("failed", failed, least=0, most=n)
    check_count("failed_before", failed_before, least=0, most=n_before)
    check_alpha(alpha)
    failed, n, failed_before, n_before = map(int, (failed, n, failed_before, n_before))
    table = [[failed, n - failed], [failed_before, n_before - failed_before]]
    p = float(stats.fisher_exact(table, alternative="greater").pvalue)
    now, before = failed / n, failed_before / n_before
    low, high = _wilson(failed, n, alpha)
    low_before, high_before = _wilson(failed_before, n_before, alpha)
    down = math.hypot(now - low, high_before - before)
    up = math.hypot(high - now, before - low_before)
    difference = now - before
    return Test(difference, difference - down, difference + up, 1 - 2 * alpha, p, n)


def larger(values: ArrayLike, reference: ArrayLike, *, alpha: float = 0.025) -> Test:
    """Test whether values tend to be larger than a reference's (Mann-Whitney U, one-sided).

    The estimate is the probability of superiority θ = P(value > reference) + P(equal) / 2, the
    share U / (n m) of all pairs; 1/2 where neither tends to be larger. Assumes independent values,
    and without an effect the same distribution on both sides.

    p is exact, with ties or without: the share of the C(n + m, n) ways to deal the ranks out whose
    sum is as large. Above 128 values together it is the normal's, corrected for ties. That one is
    no match for ties in small samples: 3 of 16 values above the 13 and 32 others have p = 0.032, by
    the normal 0.0066.

    The interval is of θ, by scores: all θ with (θ - U / (n m))² <= z² V(θ), where
    V(θ) = θ (1 - θ) (1 + k (1 - θ) / (2 - θ) + k θ / (1 + θ)) / (n m), k = (n + m) / 2 - 1. It lies
    within [0, 1] and is no point even where one sample lies wholly above the other.

    Sources: Mann and Whitney 1947, "On a test of whether one of two random variables is
    stochastically larger than the other"; Streitberg and Röhmel 1986, "Exact distributions for
    permutation and rank tests" (counting with ties); `scipy.stats.mannwhitneyu` (the normal);
    Newcombe 2006, "Confidence intervals for an effect size measure based on the Mann-Whitney
    statistic. Part 2", method 5.

    Args:
        values: shape `(n,)`, n >= 1, finite.
        reference: shape `(m,)`, m >= 1, finite.
        alpha: the error rate, in (0, 0.5).

    Raises:
        ValueError: no or unfit values, or alpha outside (0, 0.5).
    """
    from scipy import stats

    new = finite_sample("values", values, at_least=1)
    old = finite_sample("reference", reference, at_least=1)
    check_alpha(alpha)
    twice_ranks = np.rint(2 * stats.rankdata(np.concatenate([new, old]))).astype(int)
    twice_sum = int(twice_ranks[: new.size].sum())
    theta = (twice_sum / 2 - new.size * (new.size + 1) / 2) / (new.size * old.size)
    if twice_ranks.size <= EXACT:
        p = _share_of_sums(twice_ranks, new.size, twice_sum)
    else:
        p = float(stats.mannwhitneyu(new, old, alternative="greater", method="asymptotic").pvalue)
    low = _lowest_superiority(theta, new.size, old.size, alpha)
    high = 1 - _lowest_superiority(1 - theta, new.size, old.size, alpha)
    return Test(theta, low, high, 1 - 2 * alpha, p, new.size)


def _wilson(count: int, total: int, alpha: float) -> tuple[float, float]:
    from scipy import stats

    share = stats.binomtest(count, total)
    interval = share.proportion_ci(confidence_level=1 - 2 * alpha, method="wilson")
    return float(interval.low), float(interval.high)


def _share_of_sums(numbers: np.ndarray, size: int, at_least: int) -> float:
    """Return the share of all subsets of a size whose sum is large enough.

    Counts subsets by size and sum, one number after the other. The counts are sums of positive
    floats, so that the share is right to about 1e-14 of itself, however small.

    Args:
        numbers: positive integers, shape `(n,)`.
        size: of the subsets.
        at_least: the sum.
    """
    most = int(np.sort(numbers)[-size:].sum())
    counts = np.zeros((size + 1, most + 1))
    counts[0, 0] = 1
    for number in numbers:
        counts[1:, number:] += counts[:-1, : most + 1 - number]
    return float(counts[size, at_least:].sum() / counts[size].sum())


def _lowest_superiority(theta: float, n: int, m: int, alpha: float) -> float:
    """Return the lower end of the interval that `larger` tells of."""
    from scipy import optimize, special

    if theta == 0:
        return 0.0
    z, k = float(-special.ndtri(alpha)), (n + m) / 2 - 1

    def outside(true: float) -> float:
        spread = 1 + k * (1 - true) / (2 - true) + k * true / (1 + true)
        return float((theta - true) ** 2 - z**2 * true * (1 - true) * spread / (n * m))

    below_one = 1 - np.finfo(float).eps  # at theta = 1 the other root is 1 itself
    return float(optimize.brentq(outside, 0.0, min(theta, below_one)))
