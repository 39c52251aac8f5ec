"""Updates against samples: what a larger batch saves, and what it costs.

To train to a target, batches of B samples take S updates, and so E = S B samples. Few updates want
large batches, few samples want small ones; where the two meet is the critical batch size.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from scipy.optimize import least_squares

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray

    Array: TypeAlias = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class TradeOff:
    """The hyperbola (S / S_min - 1) (E / E_min - 1) = 1, each batch size at its best rate.

    Solved for either, S = S_min + E_min / B and E = E_min + S_min B: a sum of what no batch saves and
    of what falls, or rises, in proportion to B. Source: McCandlish et al. 2018, arXiv 1812.06162,
    section 2.3. A model, exact for a quadratic loss with the same noise everywhere.
    """

    fewest_updates: float
    """S_min, which no batch size undercuts, in updates."""
    fewest_samples: float
    """E_min, which no batch size undercuts, in samples."""

    @property
    def critical_batch_size(self) -> float:
        """B_crit = E_min / S_min in samples: there S is twice S_min, and E twice E_min."""
        return self.fewest_samples / self.fewest_updates

    def updates(self, batch_size: ArrayLike) -> Array:
        """Return S = S_min + E_min / B, in updates, of the same shape."""
        size = np.asarray(batch_size, dtype=float)
        found: Array = self.fewest_updates + self.fewest_samples / size
        return found

    def samples(self, batch_size: ArrayLike) -> Array:
        """Return E = E_min + S_min B, in samples, of the same shape."""
        size = np.asarray(batch_size, dtype=float)
        found: Array = self.fewest_samples + self.fewest_updates * size
        return found


UNKNOWN = TradeOff(math.nan, math.nan)
"""Two numbers cannot be had from fewer than two batch sizes."""


def fit(
    batch_sizes: Sequence[int], updates: Sequence[ArrayLike], budgets: Sequence[float]
) -> TradeOff:
    """Return the trade-off closest to the median updates to a target: least squares of log S.

    A batch size whose median run did not reach the target is not left out, which would flatter it.
    It is known to need more than its budget, and counts as far as the curve says less.

    Args:
        batch_sizes: B, in samples.
        updates: for each of them, every run's updates to the target; `inf` where it was not reached.
        budgets: for each of them, how many updates a run was given.

    Returns:
        `UNKNOWN` where fewer than two batch sizes reached the target, or one began beyond it.
    """
    sizes = np.log(np.asarray(batch_sizes, dtype=float))
    medians = np.array([np.median(np.asarray(runs, dtype=float)) for runs in updates])
    reached = np.isfinite(medians)
    if reached.sum() < 2 or (medians <= 0).any():  # noqa: PLR2004
        return UNKNOWN
    measured = np.log(np.where(reached, medians, np.asarray(budgets, dtype=float)))

    def apart(logs: Array) -> Array:
        off = np.logaddexp(logs[0], logs[1] - sizes) - measured
        counted: Array = np.where(reached, off, np.minimum(off, 0))
        return counted

    def slopes(logs: Array) -> Array:
        model = np.logaddexp(logs[0], logs[1] - sizes)
        parts = np.exp(np.stack([logs[0] - model, logs[1] - sizes - model], axis=1))
        counted = reached | (model < measured)
        found: Array = np.where(counted[:, None], parts, 0)
        return found

    start = [measured[reached].min(), (measured + sizes)[reached].min()]
    found = least_squares(apart, start, slopes, method="lm").x
    return TradeOff(*np.exp(found).tolist())


def resampled(
    batch_sizes: Sequence[int],
    updates: Sequence[ArrayLike],
    budgets: Sequence[float],
    count: int = 200,
) -> list[TradeOff]:
    """Return the fits of runs drawn with replacement, each batch size by itself: the bootstrap.

    Their quantiles make intervals of any number that a trade-off tells. The draws are always the
    same. (The spread is that of the seeds. How well each rate was tuned is no part of it, nor whether
    the hyperbola holds.) Source: Efron 1979, "Bootstrap methods: another look at the jackknife".

    Args:
        batch_sizes: as of `fit`.
        updates: as of `fit`.
        budgets: as of `fit`.
        count: how many.
    """
    generator = np.random.default_rng(0)
    known = [np.asarray(runs, dtype=float) for runs in updates]
    return [
        fit(batch_sizes, [generator.choice(runs, len(runs)) for runs in known], budgets)
        for _ in range(count)
    ]
