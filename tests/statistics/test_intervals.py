"""Estimates against independent definitions, and intervals against what they promise."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from dlbench.statistics import bootstrap_interval, interquartile_mean, mean_interval

inf = math.inf
SAMPLES = st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=40)


@given(values=SAMPLES)
def test_interquartile_mean_of_copies(values: list[float]) -> None:
    """Cutting fractions is cutting whole values from four copies of each, as rliable does."""
    copies = np.repeat(values, 4)
    expected = stats.trim_mean(copies, proportiontocut=0.25)
    assert interquartile_mean(values) == pytest.approx(expected, rel=1e-9, abs=1e-6)


@given(
    values=st.lists(st.floats(-1e6, 1e6), min_size=4, max_size=40).filter(lambda v: len(v) % 4 == 0)
)
def test_interquartile_mean_is_scipys(values: list[float]) -> None:
    """Where a quarter is a whole number of values, it is SciPy's trimmed mean (rliable's IQM)."""
    expected = stats.trim_mean(values, proportiontocut=0.25)
    assert interquartile_mean(values) == pytest.approx(expected, rel=1e-9, abs=1e-6)


@given(values=SAMPLES, seed=st.integers(0, 9))
def test_interquartile_mean_ignores_order_and_follows_scale(values: list[float], seed: int) -> None:
    """It lies within the values, does not depend on their order, and is scaled with them."""
    mean = interquartile_mean(values)
    assert min(values) - 1e-6 <= mean <= max(values) + 1e-6
    shuffled = np.random.default_rng(seed).permutation(values)
    assert interquartile_mean(shuffled) == pytest.approx(mean, rel=1e-9, abs=1e-6)
    scaled = interquartile_mean(np.array(values) * -2 + 1)
    assert scaled == pytest.approx(-2 * mean + 1, rel=1e-9, abs=1e-5)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([5], 5), ([1, 3], 2), ([1, 2, 9], (0.25 * 1 + 2 + 0.25 * 9) / 1.5), ([0, 1, 2, 9], 1.5),
        ([1, 2, 3, inf], 2.5), ([-inf, 2, 4, inf], 3), ([1, 2, inf], inf), ([1, inf, inf], inf),
        ([1, 2, 3, math.nan], math.nan), ([math.nan], math.nan),
    ],
)  # fmt: skip
def test_interquartile_mean(values: list[float], expected: float) -> None:
    """Infinite values count by rank; a NaN has none, and is never cut off as the largest."""
    assert interquartile_mean(values) == pytest.approx(expected, nan_ok=True)


@pytest.mark.parametrize("values", [[], [[1.0, 2.0]], 3.0])
def test_what_is_no_sample_is_refused(values: object) -> None:
    """Empty or two-dimensional values are an error that says the shape."""
    with pytest.raises(ValueError, match="shape"):
        interquartile_mean(values)  # type: ignore[arg-type]


def test_bootstrap_refuses_what_has_no_interval() -> None:
    """One value has no spread, and a level lies between 0 and 1."""
    with pytest.raises(ValueError, match="at least 2 values, got 1"):
        bootstrap_interval([1.0])
    for level in (0.0, 1.0, math.nan, 95):
        with pytest.raises(ValueError, match="between 0 and 1"):
            bootstrap_interval([1.0, 2.0], level=level)


def test_bootstrap_is_determined_by_its_seed() -> None:
    """The same seed gives the same interval, another seed a slightly different one."""
    values = np.random.default_rng(1).normal(size=20)
    np.random.seed(5)  # noqa: NPY002 - the global generator does not count
    one = bootstrap_interval(values, resamples=999)
    np.random.seed(6)  # noqa: NPY002
    assert bootstrap_interval(values, resamples=999) == one
    other = bootstrap_interval(values, resamples=999, rng=1)
    assert other.estimate == one.estimate
    assert (other.low, other.high) != (one.low, one.high)
    assert (other.low, other.high) == pytest.approx((one.low, one.high), abs=0.1)
    assert bootstrap_interval(values, resamples=999, rng=np.random.default_rng(0)) == one


def test_bootstrap_agrees_with_scipys() -> None:
    """The percentile interval of the mean is SciPy's, but for the drawing."""
    values = np.random.default_rng(2).exponential(size=30)
    ours = bootstrap_interval(values, lambda v: float(v.mean()), resamples=4999)
    scipys = stats.bootstrap(
        (values,), np.mean, method="percentile", n_resamples=4999, rng=np.random.default_rng(3)
    ).confidence_interval
    assert (ours.low, ours.high) == pytest.approx((scipys.low, scipys.high), abs=0.03)
    assert ours.estimate == pytest.approx(values.mean())


def test_bootstrap_covers_about_as_often_as_it_says() -> None:
    """Of 200 intervals at 90 % over 30 values each, about 180 hold the true mean."""
    rng = np.random.default_rng(4)
    intervals = [
        bootstrap_interval(
            rng.normal(3.0, size=30), lambda v: float(v.mean()), level=0.9, resamples=199, rng=run
        )
        for run in range(200)
    ]
    held = sum(interval.low <= 3.0 <= interval.high for interval in intervals)
    assert 165 <= held <= 191


def test_a_wider_level_is_a_wider_interval() -> None:
    """Higher levels nest, around the estimate."""
    values = np.random.default_rng(5).normal(size=15)
    narrow, wide = (bootstrap_interval(values, level=level, resamples=999) for level in (0.5, 0.99))
    assert wide.low < narrow.low < narrow.estimate < narrow.high < wide.high
    assert (narrow.level, wide.level) == (0.5, 0.99)


def test_runs_that_never_arrive_leave_an_infinite_end() -> None:
    """Steps-to-target of `inf` for some seeds give an interval up to `inf`, not NaN."""
    interval = bootstrap_interval([10, 20, 30, 40, inf, inf], np.median, resamples=999)
    assert 10 <= interval.low < inf
    assert interval.high == inf
    assert interval.estimate == 35


def test_a_nan_makes_the_interval_unknown() -> None:
    """A run without a value leaves estimate and interval unknown, rather than better."""
    interval = bootstrap_interval([1, 2, 3, math.nan], resamples=99)
    assert all(map(math.isnan, (interval.estimate, interval.low, interval.high)))


@given(
    values=st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=40).filter(lambda v: np.std(v) > 1),
    level=st.floats(0.01, 0.9999),
)
def test_mean_interval_is_scipys(values: list[float], level: float) -> None:
    """It is the interval that SciPy's own one-sample t test gives."""
    interval = mean_interval(values, level)
    expected = stats.ttest_1samp(values, 0.0).confidence_interval(level)
    assert (interval.low, interval.high) == pytest.approx(
        (expected.low, expected.high), rel=1e-6, abs=1e-5
    )
    assert interval.estimate == pytest.approx(np.mean(values), abs=1e-9)
    assert interval.level == level


def test_mean_interval_of_equal_values_is_their_value() -> None:
    """Rounding in a mean of equal values is not taken for spread."""
    interval = mean_interval([0.1] * 3)
    assert (interval.low, interval.estimate, interval.high) == (0.1, 0.1, 0.1)


def test_mean_interval_covers_as_often_as_it_says() -> None:
    """Of 4,000 intervals at 99 % over 5 normal values each, 40 miss the mean, give or take 25."""
    samples = np.random.default_rng(6).normal(3.0, size=(4000, 5))
    intervals = [mean_interval(sample, 0.99) for sample in samples]
    assert 15 <= sum(not i.low <= 3.0 <= i.high for i in intervals) <= 65


@pytest.mark.parametrize(
    ("values", "level", "message"),
    [
        ([1.0], 0.95, "values must be at least 2 values, got 1"),
        ([1.0, math.nan], 0.95, "must be finite, got nan at index 1"),
        ([1.0, 2.0], 95, "between 0 and 1, both excluded, got 95"),
        ([1.0, 2.0], math.nan, "got nan"),
    ],
)
def test_mean_interval_refuses(values: list[float], level: float, message: str) -> None:
    """One value has no spread, NaN no mean, and 95 is no level."""
    with pytest.raises(ValueError, match=message):
        mean_interval(values, level)
