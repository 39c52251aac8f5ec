"""Paired tests against SciPy by another way, all sign flips, and simulated error rates."""

from __future__ import annotations

import itertools
import math
from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from dlbench.statistics import Test, equivalence, shift

if TYPE_CHECKING:
    from collections.abc import Callable

FINITE = st.floats(-1e3, 1e3).map(lambda value: round(value, 3))
SPREAD = st.lists(FINITE, min_size=2, max_size=20).filter(lambda v: np.ptp(v) > 0)
MARGINS = st.floats(0, 100)
ALPHAS = st.floats(1e-7, 0.49)


def decides_as_it_lies(shown: bool, distance: float, test: Test) -> bool:
    """Return whether a decision is that of the interval, or p is alpha but for rounding."""
    return shown == (distance > 0) or math.isclose(test.p, test.alpha, rel_tol=1e-6)


@given(values=SPREAD, margin=MARGINS, alpha=ALPHAS)
def test_shift_is_scipys_paired_t_test(values: list[float], margin: float, alpha: float) -> None:
    """Its p and interval are those of `ttest_rel` between two samples, one moved by the margin."""
    test = shift(values, margin=margin, alpha=alpha)
    one = stats.ttest_rel(values, np.full(len(values), margin), alternative="greater")
    two = stats.ttest_1samp(values, 0.0).confidence_interval(1 - 2 * alpha)
    assert test.p == pytest.approx(one.pvalue, rel=1e-6, abs=1e-300)
    assert (test.low, test.high) == pytest.approx((two.low, two.high), rel=1e-6, abs=1e-6)
    assert test.estimate == pytest.approx(np.mean(values), abs=1e-9)
    assert (test.level, test.n) == (1 - 2 * alpha, len(values))


@given(values=SPREAD, margin=MARGINS, alpha=ALPHAS)
def test_shift_decides_as_its_interval_lies(
    values: list[float], margin: float, alpha: float
) -> None:
    """It finds a shift just where the whole interval lies above the margin."""
    test = shift(values, margin=margin, alpha=alpha)
    assert test.significant == (test.p < test.alpha)
    assert decides_as_it_lies(test.significant, test.low - margin, test)
    assert test.low < test.estimate < test.high


@given(values=SPREAD, margin=MARGINS, power=st.integers(-20, 20))
def test_shift_follows_the_unit(values: list[float], margin: float, power: int) -> None:
    """Values and margin in another unit give the same p, and the interval in that unit."""
    factor = 2.0**power
    test = shift(values, margin=margin, alpha=0.01)
    scaled = shift(np.array(values) * factor, margin=margin * factor, alpha=0.01)
    assert scaled.p == pytest.approx(test.p, rel=1e-9)
    assert (scaled.low, scaled.high) == pytest.approx((test.low * factor, test.high * factor))


@given(values=SPREAD, margin=MARGINS, more=st.floats(0, 100))
def test_shift_grows_with_the_effect(values: list[float], margin: float, more: float) -> None:
    """Moved up the same values have no larger p; a larger margin no smaller one."""
    test = shift(values, margin=margin, alpha=0.01)
    assert shift(np.array(values) + more, margin=margin, alpha=0.01).p <= test.p * (1 + 1e-9)
    assert shift(values, margin=margin + more, alpha=0.01).p >= test.p * (1 - 1e-9)


def test_shift_the_other_way_is_negated() -> None:
    """Without a margin the two directions' p add up to 1 and the interval is mirrored."""
    values = np.random.default_rng(0).normal(0.5, size=9)
    up, down = shift(values, alpha=0.01), shift(-values, alpha=0.01)
    assert up.p + down.p == pytest.approx(1)
    assert (up.low, up.high) == (-down.high, -down.low)


def flip_p(values: list[Fraction]) -> Fraction:
    """Return the share of sign flips that give as large a sum, by trying them all."""
    total = sum(values)
    flips = itertools.product((1, -1), repeat=len(values))
    sums = [sum(sign * value for sign, value in zip(f, values, strict=True)) for f in flips]
    return Fraction(sum(s >= total for s in sums), len(sums))


@pytest.mark.parametrize("margin", [0.0, 0.25, 0.5])
@pytest.mark.parametrize("value", [-0.5, 0.0, 0.25, 0.5, 1.0])
@pytest.mark.parametrize("n", [2, 5])
def test_equal_differences_count_by_their_signs(value: float, margin: float, n: int) -> None:
    """Without spread p is that of all sign flips, and the interval is the value."""
    test = shift([value] * n, margin=margin, alpha=0.01)
    assert test.p == flip_p([Fraction(value) - Fraction(margin)] * n)
    assert (test.estimate, test.low, test.high) == (value, value, value)
    within = equivalence([value] * n, margin=margin, alpha=0.1)
    below, above = Fraction(margin) - Fraction(value), Fraction(margin) + Fraction(value)
    assert within.p == max(flip_p([below] * n), flip_p([above] * n))
    assert (within.estimate, within.low, within.high) == (value, value, value)


def test_without_spread_the_decision_is_by_p_alone() -> None:
    """Few equal differences lie above the margin and show nothing, more of them do."""
    few, many = (shift([0.1] * n, margin=0.05, alpha=1e-3) for n in (9, 10))
    assert (few.significant, many.significant) == (False, True)
    assert few.low == many.low == 0.1


def test_all_zero_shows_no_shift() -> None:
    """However many, at every margin: p = 1. Within a margin they are equivalent."""
    for margin in (0.0, 0.01):
        assert shift([0.0] * 32, margin=margin, alpha=0.49).p == 1
    assert equivalence([0.0] * 32, margin=0.01).p == 2.0**-32
    assert equivalence([0.0] * 32, margin=0.0).p == 1


def test_rounding_is_not_taken_for_certainty() -> None:
    """Equal log ratios that differ in their last digits count as equal: 2^-n, not t's 1e-70."""
    values = np.random.default_rng(1).lognormal(size=6)
    ratios = np.log(2 * values) - np.log(values)
    assert np.ptp(ratios) > 0
    assert shift(ratios, margin=0.01, alpha=0.01).p == 2.0**-6


def alarms(differences: np.ndarray, alpha: float) -> int:
    """Return in how many rows `shift` finds a shift; rows far from one are not asked about."""
    n = differences.shape[1]
    t = differences.mean(axis=1) / differences.std(axis=1, ddof=1) * n**0.5
    near = differences[t > 0.98 * stats.t.isf(alpha, n - 1)]
    return sum(shift(row, alpha=alpha).significant for row in near)


REPLAYS = 200_000


def paired_draws(draw: str, n: int) -> np.ndarray:
    """Return differences of two like draws, shape `(REPLAYS, n)`, from a generator's method."""
    rng = np.random.default_rng(n)
    one, two = (getattr(rng, draw)(size=(REPLAYS, n)) for _ in range(2))
    return np.asarray(one - two)


def excess_in_errors(count: int, alpha: float) -> float:
    """Return how many binomial standard errors a count of alarms lies above alpha's."""
    return (count - REPLAYS * alpha) / math.sqrt(REPLAYS * alpha)


@pytest.mark.parametrize("n", [5, 16])
def test_differences_of_normal_draws_alarm_as_often_as_alpha(n: int) -> None:
    """Far into the tail, within four standard errors (of 2 to 22 % of the count)."""
    differences = paired_draws("normal", n)
    for alpha in (1e-2, 1e-3, 1e-4):
        assert abs(excess_in_errors(alarms(differences, alpha), alpha)) < 4


@pytest.mark.parametrize("draw", ["exponential", "gumbel", "standard_cauchy"])
def test_differences_of_skewed_draws_alarm_no_more_often_than_alpha(draw: str) -> None:
    """Skew cancels in the difference; heavy tails make the test careful."""
    differences = paired_draws(draw, 5)
    for alpha in (1e-2, 1e-3, 1e-4):
        assert excess_in_errors(alarms(differences, alpha), alpha) < 4


def test_draws_from_two_narrow_modes_alarm_too_often() -> None:
    """All 5 differences fall into one mode at (1/4)^5, about ten times an alpha of 1e-4."""
    rng = np.random.default_rng(2)
    modes = rng.integers(0, 2, (2, REPLAYS, 5)) + rng.normal(scale=0.05, size=(2, REPLAYS, 5))
    count = alarms(modes[0] - modes[1], 1e-4)
    assert count / REPLAYS == pytest.approx(4.0**-5, rel=0.3)


@given(values=SPREAD, margin=st.floats(0.001, 100), alpha=ALPHAS)
def test_equivalence_is_two_one_sided_t_tests(
    values: list[float], margin: float, alpha: float
) -> None:
    """Its p is the larger of SciPy's two, its interval that of the two-sided test."""
    test = equivalence(values, margin=margin, alpha=alpha)
    below = stats.ttest_1samp(values, margin, alternative="less").pvalue
    above = stats.ttest_1samp(values, -margin, alternative="greater").pvalue
    assert test.p == pytest.approx(max(below, above), rel=1e-6, abs=1e-300)
    one = shift(values, alpha=alpha)
    assert (test.low, test.high, test.level, test.n) == (one.low, one.high, one.level, one.n)


@given(values=SPREAD, margin=st.floats(0.001, 100), alpha=ALPHAS)
def test_equivalence_decides_as_its_interval_lies(
    values: list[float], margin: float, alpha: float
) -> None:
    """It holds just where the interval lies within the margin, and no shift beyond it is found."""
    test = equivalence(values, margin=margin, alpha=alpha)
    room = margin - max(-test.low, test.high)
    assert decides_as_it_lies(test.significant, room, test)
    assert not (test.significant and shift(values, margin=margin, alpha=alpha).significant)
    mirrored = equivalence(-np.array(values), margin=margin, alpha=alpha)
    assert mirrored.p == pytest.approx(test.p, rel=1e-9)
    assert equivalence(values, margin=margin * 2, alpha=alpha).p <= test.p


def test_equivalence_errs_as_often_as_it_says() -> None:
    """With the true mean at the margin, at 0.05 in 5 % of 4,000 samples, give or take 1.4 %."""
    samples = np.random.default_rng(3).normal(1.0, 0.3, size=(4000, 10))
    shown = np.mean([equivalence(row, margin=1.0).significant for row in samples])
    assert shown == pytest.approx(0.05, abs=0.014)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: shift([1.0], alpha=0.01), "differences must be at least 2 values, got 1"),
        (lambda: shift([], alpha=0.01), r"shape \(n,\) with n >= 1, got shape \(0,\)"),
        (lambda: shift([1.0, math.nan], alpha=0.01), "differences must be finite, got nan"),
        (lambda: shift([1.0, 2.0], alpha=0.5), "alpha must lie between"),
        (lambda: shift([1.0, 2.0], margin=-1, alpha=0.1), "margin must be finite and not neg"),
        (lambda: equivalence([1.0], margin=1), "differences must be at least 2 values"),
        (lambda: equivalence([1.0, 2.0], margin=-1), "margin must be finite and not negative"),
        (lambda: equivalence([1.0, 2.0], margin=1, alpha=0), "alpha must lie between"),
    ],
)
def test_unfit_arguments_are_refused(call: Callable[[], Test], message: str) -> None:
    """Every argument of every test is checked: what, got, expected."""
    with pytest.raises(ValueError, match=message):
        call()
