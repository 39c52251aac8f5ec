"""Tests without pairs against SciPy, full enumeration, published examples, and simulation."""

from __future__ import annotations

import itertools
import math
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy import stats

from dlbench.statistics import Test, excess_share, larger, shift, welch
from dlbench.statistics.unpaired import EXACT

if TYPE_CHECKING:
    from collections.abc import Callable

FINITE = st.floats(-1e3, 1e3).map(lambda value: round(value, 3))
SPREAD = st.lists(FINITE, min_size=2, max_size=20).filter(lambda v: np.ptp(v) > 0)
ALPHAS = st.floats(1e-7, 0.49)
TIED = st.lists(st.integers(0, 4), min_size=1, max_size=6)


@given(values=SPREAD, reference=SPREAD, margin=st.floats(0, 100), alpha=ALPHAS)
def test_welch_is_scipys(
    values: list[float], reference: list[float], margin: float, alpha: float
) -> None:
    """It has p, estimate and interval of `ttest_ind(equal_var=False)`, the reference moved by the margin."""
    test = welch(values, reference, margin=margin, alpha=alpha)
    moved = np.array(reference) + margin
    one = stats.ttest_ind(values, moved, equal_var=False, alternative="greater")
    two = stats.ttest_ind(values, reference, equal_var=False).confidence_interval(1 - 2 * alpha)
    assert test.p == pytest.approx(one.pvalue, rel=1e-5, abs=1e-300)
    assert (test.low, test.high) == pytest.approx((two.low, two.high), rel=1e-5, abs=1e-5)
    assert test.n == len(values)
    assert test.significant == (test.low > margin) or math.isclose(test.p, alpha, rel_tol=1e-6)


def test_welch_allows_one_sample_without_spread() -> None:
    """It then is the one-sample t test against the other's mean."""
    values = [1.0, 2.0, 4.0]
    one, other = welch(values, [0.5] * 9, alpha=0.05), shift(np.array(values) - 0.5, alpha=0.05)
    assert (one.p, one.low, one.high) == pytest.approx((other.p, other.low, other.high))


@pytest.mark.parametrize(("value", "p"), [(1.0, 1 / 35), (0.5, 1.0), (0.0, 1.0)])
def test_welch_without_spread_counts_the_deals(value: float, p: float) -> None:
    """Of the C(7, 3) deals of two constants, one puts all the larger into the first sample."""
    test = welch([value] * 3, [0.0] * 4, margin=0.5, alpha=0.05)
    assert (test.p, test.low, test.estimate, test.high) == (p, value, value, value)


@given(n=st.integers(1, 12), m=st.integers(1, 12), data=st.data())
def test_excess_share_is_the_hypergeometric_tail(n: int, m: int, data: st.DataObject) -> None:
    """Its p is found by counting which of the n + m failed, in whole numbers."""
    failed, before = data.draw(st.integers(0, n)), data.draw(st.integers(0, m))
    test = excess_share(failed, n, before, m)
    both = failed + before
    ways = sum(math.comb(n, k) * math.comb(m, both - k) for k in range(failed, min(n, both) + 1))
    assert test.p == pytest.approx(ways / math.comb(n + m, both), rel=1e-9)
    assert (test.estimate, test.n, test.level) == (failed / n - before / m, n, 0.95)
    assert -1 <= test.low <= test.estimate <= test.high <= 1
    assert test.low < test.high


@pytest.mark.parametrize(
    ("counts", "low", "high"),
    [
        ((56, 70, 48, 80), 0.0524, 0.3339), ((9, 10, 3, 10), 0.1705, 0.8090),
        ((6, 7, 2, 7), 0.0582, 0.8062), ((5, 56, 0, 29), -0.0381, 0.1926),
        ((0, 10, 0, 20), -0.1611, 0.2775), ((0, 10, 0, 10), -0.2775, 0.2775),
        ((10, 10, 0, 20), 0.6791, 1.0), ((10, 10, 0, 10), 0.6075, 1.0),
    ],
)  # fmt: skip
def test_the_interval_of_shares_is_newcombes(
    counts: tuple[int, int, int, int], low: float, high: float
) -> None:
    """The eight examples of Newcombe 1998, table II, method 10, at 95 %."""
    test = excess_share(*counts)
    assert (test.low, test.high) == pytest.approx((low, high), abs=6e-5)


@pytest.mark.parametrize(("share", "before"), [(0.1, 0.0), (0.3, 0.05), (0.5, 0.5), (0.9, 0.2)])
def test_the_interval_of_shares_holds_what_it_promises(share: float, before: float) -> None:
    """At 90 % with 16 and 32, over all outcomes by their exact chances: 88 to 99 %."""
    held = 0.0
    for failed, failed_before in itertools.product(range(17), range(33)):
        test = excess_share(failed, 16, failed_before, 32, alpha=0.05)
        chance = stats.binom.pmf(failed, 16, share) * stats.binom.pmf(failed_before, 32, before)
        held += chance * (test.low <= share - before <= test.high)
    assert 0.88 < held < 0.99


@given(n=st.integers(2, 40), m=st.integers(1, 40), data=st.data(), alpha=ALPHAS)
def test_more_failures_are_a_greater_excess(
    n: int, m: int, data: st.DataObject, alpha: float
) -> None:
    """One more failure now raises estimate and interval and lowers p; one more before, the reverse."""
    failed, before = data.draw(st.integers(0, n - 1)), data.draw(st.integers(0, m))
    test = excess_share(failed, n, before, m, alpha=alpha)
    more = excess_share(failed + 1, n, before, m, alpha=alpha)
    assert more.estimate > test.estimate
    assert more.low >= test.low
    assert more.high >= test.high
    assert more.p <= test.p * (1 + 1e-9)
    mirrored = excess_share(m - before, m, n - failed, n, alpha=alpha)
    assert mirrored.p == pytest.approx(test.p, rel=1e-6)


def test_what_a_few_failures_show() -> None:
    """Eight of eight that failed where none had are shown at 1e-4, half of them are not."""
    assert excess_share(8, 8, 0, 8, alpha=1e-4).p == pytest.approx(1 / math.comb(16, 8))
    assert excess_share(8, 8, 0, 8, alpha=1e-4).significant
    assert not excess_share(4, 8, 0, 8, alpha=1e-4).significant
    assert excess_share(0, 8, 0, 8).p == 1


@settings(deadline=None)
@given(values=TIED, reference=TIED)
def test_larger_counts_every_deal_of_tied_values(values: list[int], reference: list[int]) -> None:
    """Its p is the share of all deals with as large a U, each U counted pair by pair."""
    n, pooled = len(values), values + reference

    def twice_u(first: set[int]) -> int:
        one = [pooled[index] for index in first]
        two = [pooled[index] for index in range(len(pooled)) if index not in first]
        return sum(2 * (a > b) + (a == b) for a in one for b in two)

    seen = twice_u(set(range(n)))
    deals = [twice_u(set(deal)) for deal in itertools.combinations(range(len(pooled)), n)]
    test = larger(values, reference)
    assert test.p == pytest.approx(np.mean(np.array(deals) >= seen), rel=1e-12)
    assert test.estimate == pytest.approx(seen / 2 / (n * len(reference)))
    assert test.n == n


@settings(deadline=None)
@given(
    values=st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=50, unique=True),
    split=st.integers(1, 49),
    alpha=ALPHAS,
)
def test_larger_is_scipys_exact_test_without_ties(
    values: list[float], split: int, alpha: float
) -> None:
    """The same p, and U / (n m), however lopsided the samples."""
    assume(split < len(values))
    new, old = values[:split], values[split:]
    test = larger(new, old, alpha=alpha)
    expected = stats.mannwhitneyu(new, old, alternative="greater", method="exact")
    assert test.p == pytest.approx(expected.pvalue, rel=1e-9)
    assert test.estimate == pytest.approx(expected.statistic / (len(new) * len(old)))
    assert 0 <= test.low <= test.estimate <= test.high <= 1
    assert test.low < test.high
    back = larger(old, new, alpha=alpha)
    assert (back.low, back.high) == pytest.approx((1 - test.high, 1 - test.low))


def test_larger_is_exact_far_into_the_tail() -> None:
    """16 values above 32 have one deal of C(48, 16), and the smallest p there is."""
    test = larger(np.arange(32, 48), np.arange(32))
    assert test.p == pytest.approx(1 / math.comb(48, 16), rel=1e-12)
    assert (test.estimate, test.high) == (1, 1)
    assert 0.8 < test.low < 0.95
    opposite = larger(np.arange(16), np.arange(16, 48))
    assert (opposite.estimate, opposite.low, opposite.p) == (0, 0, 1)


def test_many_ties_are_no_evidence() -> None:
    """3 of 16 above 45 equal values: as rare as all 3 among the 16, which the normal misses."""
    test = larger([1] * 3 + [0] * 13, [0] * 32)
    assert test.p == pytest.approx(math.comb(16, 3) / math.comb(48, 3), rel=1e-12)
    normal = stats.mannwhitneyu(
        [1] * 3 + [0] * 13, [0] * 32, alternative="greater", method="asymptotic"
    )
    assert normal.pvalue < test.p / 4
    assert larger([0] * 16, [0] * 32).p == 1


def test_large_samples_take_the_normal() -> None:
    """Just below the limit the normal is within 5 % of the exact p, just above it is what counts."""
    rng = np.random.default_rng(5)
    new, old = rng.normal(0.3, size=EXACT // 2), rng.normal(size=EXACT // 2)

    def normal(reference: np.ndarray) -> float:
        result = stats.mannwhitneyu(new, reference, alternative="greater", method="asymptotic")
        return float(result.pvalue)

    assert larger(new, old).p == pytest.approx(normal(old), rel=0.05)
    assert larger(new, old).p != normal(old)
    one_more = np.append(old, 0.0)
    assert larger(new, one_more).p == normal(one_more)
    assert larger([0.0] * EXACT, [0.0] * 2).p == 1


@given(values=TIED, reference=TIED, factor=st.sampled_from([0.125, 3.0]))
def test_larger_looks_at_the_order_alone(
    values: list[int], reference: list[int], factor: float
) -> None:
    """A growing function of both samples changes nothing; more is never less."""
    test = larger(values, reference)
    bent = larger(np.exp(np.array(values) * factor), np.exp(np.array(reference) * factor))
    assert bent == test
    more = larger(np.array(values) + 1, reference)
    assert more.p <= test.p * (1 + 1e-12)
    assert more.estimate >= test.estimate
    assert more.low >= test.low - 1e-9


@given(values=TIED, reference=TIED, alpha=ALPHAS)
def test_the_interval_of_superiority_is_where_the_score_is_z(
    values: list[int], reference: list[int], alpha: float
) -> None:
    """At each end within (0, 1), U / (n m) lies z of the end's own deviations away."""
    test = larger(values, reference, alpha=alpha)
    n, m = len(values), len(reference)
    for end in (test.low, test.high):
        if 1e-6 < end < 1 - 1e-6:
            q, r = end / (2 - end), 2 * end**2 / (1 + end)
            k = (n + m) / 2 - 1  # Hanley and McNeil's variance, both counts put at their mean
            variance = (end * (1 - end) + k * (q - end**2) + k * (r - end**2)) / (n * m)
            z = abs(test.estimate - end) / math.sqrt(variance)
            assert z == pytest.approx(stats.norm.isf(alpha), rel=1e-4)


def test_the_interval_of_superiority_holds_what_it_promises() -> None:
    """Of 1,000 intervals at 90 % from 8 and 16 values a deviation apart, 850 to 950 hold."""
    rng, true = np.random.default_rng(7), stats.norm.cdf(2**-0.5)
    tests = [larger(rng.normal(1, size=8), rng.normal(size=16), alpha=0.05) for _ in range(1000)]
    assert 850 < sum(test.low <= true <= test.high for test in tests) < 950


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: welch([1.0], [1.0, 2.0], alpha=0.1), "values must be at least 2 values"),
        (lambda: welch([1.0, 2.0], [1.0], alpha=0.1), "reference must be at least 2 values"),
        (lambda: welch([1, 2], [1, 2], margin=math.nan, alpha=0.1), "margin must be finite"),
        (lambda: welch([1, 2], [1, 2], alpha=0.7), "alpha must lie between"),
        (lambda: excess_share(9, 8, 0, 8), "failed must be a whole number from 0 to 8, got 9"),
        (lambda: excess_share(0, 8, 9, 8), "failed_before must be a whole number from 0 to 8"),
        (lambda: excess_share(0, 0, 0, 8), "n must be a whole number of at least 1, got 0"),
        (lambda: excess_share(0, 8, 0, 0), "n_before must be a whole number of at least 1"),
        (lambda: excess_share(1, 8, 0, 8, alpha=0.5), "alpha must lie between"),
        (lambda: larger([], [1.0]), "a sample has shape"),
        (lambda: larger([1.0], [math.inf]), "reference must be finite, got inf at index 0"),
        (lambda: larger([math.nan], [1.0]), "values must be finite, got nan at index 0"),
        (lambda: larger([1.0], [1.0], alpha=1), "alpha must lie between"),
    ],
)
def test_unfit_arguments_are_refused(call: Callable[[], Test], message: str) -> None:
    """Every argument of every test is checked: what, got, expected."""
    with pytest.raises(ValueError, match=message):
        call()
