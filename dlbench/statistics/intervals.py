"""Estimates of a sample, and intervals around them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from dlbench.statistics.samples import (
    check_level,
    finite_sample,
    half_width,
    mean_and_error,
    sample,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import ArrayLike


@dataclass(frozen=True, slots=True)
class Interval:
    """An estimate with the interval around it."""

    estimate: float
    low: float
    high: float
    level: float
    """The share of repeated samples whose interval holds the true value, 0 to 1."""


def interquartile_mean(values: ArrayLike) -> float:
    """Return the mean of the middle half: as robust as a median, at less variance.

    A quarter of the values is cut at each end, fractions by weight, so that any sample size does.
    An infinite value counts by its rank; a NaN among the values makes the mean NaN.
    Source: Agarwal et al. 2021, "Deep RL at the edge of the statistical precipice", section 4.3.

    Args:
        values: shape `(n,)`, n >= 1.

    Raises:
        ValueError: `values` is empty or not one-dimensional.
    """
    ordered = np.sort(sample(values))
    if np.isnan(ordered[-1]):
        return float("nan")  # it has no rank: cut off as the largest, it would pass for the best
    cut = ordered.size / 4
    ranks = np.arange(ordered.size)
    inside = np.minimum(ranks + 1, ordered.size - cut) - np.maximum(ranks, cut)
    weights = np.clip(inside, 0, None)
    kept = weights > 0  # an infinite value outside must not turn 0 x inf into NaN
    return float(np.average(ordered[kept], weights=weights[kept]))


def bootstrap_interval(
    values: ArrayLike,
    statistic: Callable[[np.ndarray], float] = interquartile_mean,
    *,
    level: float = 0.95,
    resamples: int = 9999,
    rng: np.random.Generator | int = 0,
) -> Interval:
    """Return a percentile bootstrap interval of a statistic.

    Assumes independent values; with fewer than about 10 it is too narrow (Colas et al. 2018,
    section 5). Source: Efron and Tibshirani 1993, "An introduction to the bootstrap", chapter 13.

    Args:
        values: shape `(n,)`, n >= 2.
        statistic: a function from a sample, shape `(n,)`, to a number.
        level: between 0 and 1.
        resamples: how many samples are drawn with replacement.
        rng: the generator, or its seed: the same seed gives the same interval.

    Raises:
        ValueError: fewer than 2 values, or a level outside (0, 1).
    """
    array = sample(values)
    if array.size < 2:  # noqa: PLR2004
        raise ValueError(f"an interval takes at least 2 values, got {array.size}")
    check_level(level)
    generator = np.random.default_rng(rng)
    picks = generator.integers(array.size, size=(resamples, array.size))
    replicates = [statistic(array[pick]) for pick in picks]
    # Order statistics, not values between them: halfway from inf to inf would be NaN.
    ends = [(1 - level) / 2, (1 + level) / 2]
    low, high = np.quantile(replicates, ends, method="inverted_cdf")
    return Interval(float(statistic(array)), float(low), float(high), level)


def mean_interval(values: ArrayLike, level: float = 0.95) -> Interval:
    """Return the t interval of a mean, mean ± t s / √n with n - 1 degrees of freedom.

    Assumes independent values, normal or many. Values that are all equal give a single point.
    Source: Student 1908, "The probable error of a mean"; `scipy.special.stdtrit`.

    Args:
        values: shape `(n,)`, n >= 2, finite.
        level: between 0 and 1.

    Raises:
        ValueError: fewer than 2 values, one that is not finite, or a level outside (0, 1).
    """
    array = finite_sample("values", values, at_least=2)
    check_level(level)
    mean, error = mean_and_error(array)
    half = half_width(error, array.size - 1, (1 - level) / 2)
    return Interval(mean, mean - half, mean + half, level)
