"""Many seeds in three numbers: the median, with the middle half of the seeds around it.

A seed that diverged counts as the worst of all, and is never left out: a median over the survivors
would make an unstable setting look good.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import pandas as pd

from dlbench.report.formatting import TO, UNKNOWN, number

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from numpy.typing import NDArray

    Array: TypeAlias = NDArray[np.float64]

QUARTILES_FROM = 4
"""With fewer seeds the whole range stands in for the middle half."""

LEAST_SPREAD = 2


@dataclass(frozen=True, slots=True)
class Spread:
    """A median and the values around it; infinite where so many seeds have no finite value."""

    median: float
    low: float
    high: float
    count: int

    @property
    def name(self) -> str:
        """What `low` and `high` are: the interquartile range, or the whole range."""
        return "IQR" if self.count >= QUARTILES_FROM else "range"

    def text(self, unit: str = "", write: Callable[[float], str] = number) -> str:
        """Return the median and the spread: `227 updates (IQR 215 to 257)`, a dash for `to`."""
        alone, around = f"{write(self.median)} {unit}".strip(), self.around(write)
        return f"{alone} ({self.name} {around})" if around else alone

    def around(self, write: Callable[[float], str] = number) -> str:
        """Return the spread alone, `215 to 257`, a dash for `to`; empty where there is none."""
        low, high = write(self.low), write(self.high)
        if self.count < LEAST_SPREAD or low == high == write(self.median):
            return ""
        return f"{low}{TO}{high}" if high != UNKNOWN else f"from {low}"


def spread(values: Iterable[float], *, higher: bool = False) -> Spread:
    """Return the median and spread of one number a seed.

    Args:
        values: shape `(seeds,)`; NaN counts as the worst.
        higher: True where a higher value is better, so that the worst is the lowest.
    """
    by_seed = np.array(list(values), dtype=float)
    if by_seed.size == 0:
        return Spread(math.nan, math.nan, math.nan, 0)
    low, median, high = (float(value) for value in _quantiles(by_seed, higher=higher))
    return Spread(median, low, high, by_seed.size)


def bands(curves: pd.DataFrame, *, higher: bool = False) -> pd.DataFrame:
    """Return each case's median curve and its band.

    Args:
        curves: a row a case, seed and point, of one metric; a case's in the order of its seeds, a
            seed's in the order of its points.
        higher: True where a higher value is better.

    Returns:
        A row a case and point: the columns of `curves`, with low, median, high and seeds in place
        of seed and value.
    """
    frames = []
    for _, case in curves.groupby("record", sort=False):
        seeds = len(case["seed"].unique())
        values = case["value"].to_numpy(dtype=float).reshape(seeds, -1)
        low, median, high = _quantiles(values, higher=higher)
        points = case.iloc[: values.shape[1]].drop(columns=["seed", "value"])
        frames.append(points.assign(low=low, median=median, high=high, seeds=seeds))
    return pd.concat(frames, ignore_index=True)


def band_words(counts: Iterable[int]) -> str:
    """Return what a band spans, for a caption; empty where there is one seed each."""
    most, least = max(counts, default=0), min(counts, default=0)
    if most < LEAST_SPREAD:
        return ""
    if least >= QUARTILES_FROM:
        return "the band spans the middle half of the seeds (IQR)"
    if most < QUARTILES_FROM:
        return "the band spans all seeds"
    return "the band spans the middle half of the seeds, or all where they are fewer than 4"


def _quantiles(values: Array, *, higher: bool) -> list[Array]:
    """Return the lower end, median and upper end over the seeds, the first axis."""
    worst = -math.inf if higher else math.inf
    ordered = np.sort(np.where(np.isnan(values), worst, values), axis=0)
    edge = 0.25 if len(ordered) >= QUARTILES_FROM else 0.0
    return [_quantile(ordered, share) for share in (edge, 0.5, 1 - edge)]


def _quantile(ordered: Array, share: float) -> Array:
    """Linear between neighbours, as NumPy's; infinite beside an infinite neighbour."""
    place = share * (len(ordered) - 1)
    below, above = ordered[math.floor(place)], ordered[math.ceil(place)]
    with np.errstate(invalid="ignore"):
        between = below + (place - math.floor(place)) * (above - below)
    between = np.where(np.isinf(below), below, between)
    between = np.where(np.isinf(above), above, between)
    found: Array = np.where(below == above, below, between)
    return found
