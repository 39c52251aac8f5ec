"""Statistics of samples: pure functions of arrays that know no word of machine learning."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

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
    ordered = np.sort(_sample(values))
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
    sample = _sample(values)
    if sample.size < 2:  # noqa: PLR2004
        raise ValueError(f"an interval takes at least 2 values, got {sample.size}")
    if not 0 < level < 1:
        raise ValueError(f"level must lie between 0 and 1, got {level}")
    generator = np.random.default_rng(rng)
    picks = generator.integers(sample.size, size=(resamples, sample.size))
    replicates = [statistic(sample[pick]) for pick in picks]
    # Order statistics, not values between them: halfway from inf to inf would be NaN.
    ends = [(1 - level) / 2, (1 + level) / 2]
    low, high = np.quantile(replicates, ends, method="inverted_cdf")
    return Interval(float(statistic(sample)), float(low), float(high), level)


def _sample(values: ArrayLike) -> np.ndarray:
    sample = np.asarray(values, dtype=float)
    if sample.ndim != 1 or sample.size == 0:
        raise ValueError(f"a sample has shape (n,) with n >= 1, got shape {sample.shape}")
    return sample
