"""What `shift` can see: the pairs that an effect takes, the effect that so many pairs show.

With a true mean `effect`, t of `shift` follows the noncentral t distribution with n - 1 degrees of
freedom and the noncentrality (effect - margin) √n / deviation. The power is the chance that it
exceeds the critical value of alpha. Assumes independent normal differences.

Sources: Johnson and Welch 1940, "Applications of the non-central t-distribution"; Cohen 1988,
"Statistical power analysis for the behavioral sciences", section 2.3; `scipy.stats.nct`.
"""

from __future__ import annotations

import itertools
import math
from bisect import bisect_left
from functools import lru_cache

import numpy as np

from dlbench.statistics.samples import CONSTANT, check_alpha, check_count, check_size

MOST = 10**9
"""More pairs than these are as good as none."""

FAR = 1e4
"""Above this noncentrality the mean's own noise no longer counts (1e-8 of the power)."""


def pairs_needed(
    effect: float, deviation: float, *, margin: float, alpha: float, power: float = 0.99
) -> int | None:
    """Return the smallest number of pairs at which `shift` finds an effect with this power.

    The power grows with n, so that the number is found by bisection. Where the differences have no
    spread (or rounding's, 1e-12 of the effect) it is the smallest with 2^-n < alpha.

    Args:
        effect: the true mean of the differences.
        deviation: their standard deviation, >= 0, in the same unit.
        margin: as in `shift`, >= 0.
        alpha: as in `shift`, in (0, 0.5).
        power: the share of trials in which the effect is found, from alpha to 1, both excluded.

    Returns:
        The number, at least 2; None where there is none up to 10^9, as for effect <= margin.

    Raises:
        ValueError: an argument outside its range.
    """
    _check(deviation, margin, alpha, power)
    if not math.isfinite(effect):
        raise ValueError(f"effect must be finite, got {effect}")
    if effect <= margin:
        return None
    if deviation <= CONSTANT * effect:
        return next(n for n in itertools.count(2) if 2.0**-n < alpha)

    def enough(n: int) -> bool:
        return _power((effect - margin) / deviation * math.sqrt(n), n, alpha) >= power

    last = 2
    while not enough(last):
        last *= 2
        if last > MOST:
            return None
    return bisect_left(range(last), True, lo=max(2, last // 2), key=enough)


def smallest_effect(
    deviation: float, n: int, *, margin: float, alpha: float, power: float = 0.99
) -> float:
    """Return the smallest true mean that `shift` finds in n pairs with this power.

    Where the differences have no spread (or rounding's, 1e-12 of the margin) every effect beyond the
    margin is found, or none: the margin if 2^-n < alpha, else infinity.

    Args:
        deviation: the standard deviation of the differences, >= 0.
        n: the number of pairs, >= 2.
        margin: as in `shift`, >= 0.
        alpha: as in `shift`, in (0, 0.5).
        power: the share of trials in which the effect is found, from alpha to 1, both excluded.

    Raises:
        ValueError: an argument outside its range.
    """
    _check(deviation, margin, alpha, power)
    check_count("n", n, least=2)
    if deviation <= CONSTANT * margin:
        return margin if 2.0**-n < alpha else math.inf
    return margin + _noncentrality(n, alpha, power) * deviation / math.sqrt(n)


@lru_cache(maxsize=1024)
def _noncentrality(n: int, alpha: float, power: float) -> float:
    """Return the noncentrality at which n values have this power."""
    from scipy import optimize

    last = 1.0
    while _power(last, n, alpha) < power:
        last *= 2
    return float(optimize.brentq(lambda value: _power(value, n, alpha) - power, 0.0, last))


def _power(noncentrality: float, n: int, alpha: float) -> float:
    """Return the chance that t of n values with this noncentrality is significant at alpha."""
    from scipy import stats

    critical = float(stats.t.isf(alpha, n - 1))
    if noncentrality > FAR:  # SciPy's series does not converge from 1e5 on, and need not
        return float(stats.chi2.cdf((n - 1) * (noncentrality / critical) ** 2, n - 1))
    with np.errstate(divide="ignore"):  # SciPy before 1.15 divides by zero on its way, unharmed
        return float(stats.nct.sf(critical, n - 1, noncentrality))


def _check(deviation: float, margin: float, alpha: float, power: float) -> None:
    check_size("deviation", deviation)
    check_size("margin", margin)
    check_alpha(alpha)
    if not alpha < power < 1:
        raise ValueError(f"power must lie between alpha = {alpha} and 1, got {power}")
