"""The one shape of every test's result.

Every test is one-sided at an error rate `alpha`. Its interval is two-sided at the level
1 - 2 x alpha, so that each end errs as often as the test.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Test:
    """An effect, the interval around it, and how often chance alone would show as much."""

    __test__ = False  # not for pytest

    estimate: float
    low: float
    high: float
    level: float
    """The share of repeated samples whose interval holds the true value: 1 - 2 x alpha."""
    p: float
    """The chance of what was seen, or of more, where the hypothesis is false."""
    n: int
    """The values behind it: pairs, or the size of the first sample."""

    @property
    def alpha(self) -> float:
        """The error rate that the test was made for, (1 - level) / 2."""
        return (1 - self.level) / 2

    @property
    def significant(self) -> bool:
        """Whether the hypothesis is shown, p < alpha: the decision is by p, not by the interval.

        In the t tests the two agree, except where the values have no spread: there the interval is
        one point, however few they are, and p tells how few.
        """
        return self.p < self.alpha
