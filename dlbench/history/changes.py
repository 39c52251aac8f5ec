"""Where a sequence of repeated measurements changes its level: an exact test, and a margin.

A history is a table: a row a run, a column a seed. Without change the rows of a column are
exchangeable, whatever the spread of its noise, and the noise of two seeds is independent: it comes
from kernels that do not add in the same order twice. So each column, put into ranks, can be permuted
by itself, and the largest jump of the rank sums over all places is compared with what permutations
give. This holds its error rate for every distribution, heavy tails and constants among them, and for
every number of runs, since ranks know neither scale nor outliers. With many seeds it finds a change in
the very last run; with one column only (a time) it needs about ten runs.

Penalized segmentation (PELT and its kin, as `ruptures` has it) is fast and finds places as well, but
its penalty promises no error rate: with heavy tails or few runs it cuts noise into pieces.

Sources: Pettitt 1979, "A non-parametric approach to the change-point problem" (the rank statistic);
Vostrikova 1981 (binary segmentation); Phipson and Smyth 2010 (the p value of a permutation test).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from typing import TypeAlias

    from numpy.typing import NDArray

    Array: TypeAlias = NDArray[np.float64]

FALSE_ALARM = 0.008
"""The share of histories without change in which one is found nevertheless.

The test is exact: at 1 % every second simulation of it would count a little more than 1 %.
"""

RESOLUTION = 20
"""So many permutations are drawn as give this many exceedances at the error rate."""

CHUNK = 2_000_000
"""Numbers permuted at once."""


def change_points(
    values: Array, margin: float, *, alpha: float = FALSE_ALARM, rng: int = 0
) -> list[int]:
    """Return the rows at which a new level begins, in order; without any, an empty list.

    Args:
        values: shape `(runs, columns)`, no NaN; infinite values count by their rank.
        margin: a level that differs from the one before by less is no other level.
        alpha: the probability of any change point where there is no change.
        rng: the seed of the permutations: the same history gives the same answer.
    """
    runs = len(values)
    if runs < 2 or typical_range(values) < margin:  # noqa: PLR2004 - a change takes two runs
        return []
    found: list[int] = []
    generator = np.random.default_rng(rng)
    pending = [(0, runs)]
    while pending:
        start, stop = pending.pop()
        length = stop - start
        part = values[start:stop]
        if length < 2 or typical_range(part) < margin:  # noqa: PLR2004
            continue
        # Each cut leaves two parts, which share the error rate by their length.
        place = significant_cut(part, alpha * length / runs, generator)
        if place is not None:
            cut = start + place
            found.append(cut)
            pending += [(start, cut), (cut, stop)]
    return merged(values, sorted(found), margin)


def significant_cut(
    values: Array, alpha: float, generator: np.random.Generator, place: int | None = None
) -> int | None:
    """Return the row before which the level changes most, or None where that may be chance.

    Args:
        values: shape `(runs, columns)`, no NaN.
        alpha: the error rate.
        generator: draws the permutations.
        place: look there alone; by default everywhere.
    """
    from scipy.stats import rankdata

    ranks = rankdata(values, axis=0) - (len(values) + 1) / 2
    ranks = ranks[:, ranks.any(axis=0)]  # a constant column says nothing
    if not ranks.size:
        return None
    observed = _jumps(ranks[None], place)[0]
    best = int(observed.argmax())
    reached = observed[best] * (1 - 1e-9)  # sums of the same ranks in another order
    draws = math.ceil(RESOLUTION / alpha)
    allowed = math.floor(alpha * (draws + 1)) - 1
    exceeded, left = 0, draws
    while left > 0 and exceeded <= allowed:
        # Small portions at first: where nothing changed, a few hundred permutations show it.
        count = min(left, max(100, min(draws - left, CHUNK // ranks.size)))
        shuffled = generator.permuted(np.broadcast_to(ranks, (count, *ranks.shape)), axis=1)
        exceeded += int((_jumps(shuffled, place).max(axis=1) >= reached).sum())
        left -= count
    return None if exceeded > allowed else (best + 1 if place is None else place)


def level_change(before: Array, after: Array) -> float:
    """Return by how much the level differs: the median over columns of the medians' differences.

    Args:
        before: shape `(runs, columns)`.
        after: shape `(runs, columns)`, the same columns.
    """
    first, second = _middle(before), _middle(after)
    same = first == second  # inf - inf is no number, and no difference
    with np.errstate(invalid="ignore", over="ignore"):
        differences = np.where(same, 0.0, second - first)
    return float(_middle(differences[:, None])[0])


def typical_range(values: Array) -> float:
    """Return the median over columns of largest minus smallest: no two levels differ by more."""
    low, high = values.min(axis=0), values.max(axis=0)
    with np.errstate(invalid="ignore", over="ignore"):
        ranges = np.where(low == high, 0.0, high - low)
    # The upper of two middle values: a bound must not fall short.
    return float(np.sort(ranges)[ranges.size // 2]) if ranges.size else 0.0


def merged(values: Array, cuts: list[int], margin: float) -> list[int]:
    """Return the cuts at which neighbouring levels differ by the margin or more.

    The smallest difference goes first, since its two levels then become one.
    """
    cuts = list(cuts)
    while cuts:
        ends = [0, *cuts, len(values)]
        sizes = [
            abs(level_change(values[ends[i] : ends[i + 1]], values[ends[i + 1] : ends[i + 2]]))
            for i in range(len(cuts))
        ]
        smallest = int(np.argmin(sizes))
        if sizes[smallest] >= margin:
            break
        del cuts[smallest]
    return cuts


def _jumps(ranks: Array, place: int | None) -> Array:
    """Return the standardized rank sums before each row but the first.

    Args:
        ranks: shape `(permutations, runs, columns)`, centred.
        place: return the one before this row alone.

    Returns:
        Shape `(permutations, runs - 1)`, or `(permutations, 1)`.
    """
    runs = ranks.shape[1]
    by_run = ranks.sum(axis=2)
    if place is not None:
        place_jump: Array = np.abs(by_run[:, :place].sum(axis=1, keepdims=True))
        return place_jump
    sums = np.abs(by_run.cumsum(axis=1)[:, :-1])
    before = np.arange(1, runs)
    return np.asarray(sums / np.sqrt(before * (runs - before)))


def _middle(values: Array) -> Array:
    """Return each column's median; the lower of two middle values where their mean is no number."""
    with np.errstate(invalid="ignore", over="ignore"):
        middle = np.median(values, axis=0)
    lower = np.sort(values, axis=0)[(len(values) - 1) // 2]
    result: Array = np.where(np.isnan(middle), lower, middle)
    return result
