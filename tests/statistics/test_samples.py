"""What is no sample, rate, size or count is refused with what was got and what is expected."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dlbench.statistics.samples import (
    check_alpha,
    check_count,
    check_level,
    check_size,
    finite_sample,
    mean_and_error,
    sample,
)

if TYPE_CHECKING:
    from numpy.typing import ArrayLike


@pytest.mark.parametrize("values", [(1, 2), [1.0, 2.0], np.array([1, 2]), [True, 2]])
def test_a_sample_is_an_array_of_floats(values: ArrayLike) -> None:
    """Lists, tuples and arrays of any numbers become float64; nothing is refused for its type."""
    for array in (sample(values), finite_sample("x", values, at_least=2)):
        assert array.dtype == np.float64
        assert array.tolist() == [1.0, 2.0]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([], r"shape \(n,\) with n >= 1, got shape \(0,\)"),
        ([[1.0, 2.0]], r"got shape \(1, 2\)"),
        (3.0, r"got shape \(\)"),
        ([1.0, 2.0], "x must be at least 3 values, got 2"),
        ([1.0, math.inf, 2.0], "x must be finite, got inf at index 1"),
        ([1.0, 2.0, -math.inf], "x must be finite, got -inf at index 2"),
        ([math.nan], "x must be finite, got nan at index 0"),
    ],
)
def test_what_is_no_finite_sample_is_refused(values: ArrayLike, message: str) -> None:
    """Empty, not in one dimension, too few, or not finite."""
    with pytest.raises(ValueError, match=message):
        finite_sample("x", values, at_least=3)


def test_a_sample_may_be_infinite_where_ranks_are_asked_for() -> None:
    """`sample` alone lets through what has an order."""
    assert sample([1, math.inf]).tolist() == [1, math.inf]


@pytest.mark.parametrize("alpha", [0, 0.5, 1, -0.1, math.nan, math.inf])
def test_alpha_outside_is_refused(alpha: float) -> None:
    """One side errs in less than half of the trials, and in some."""
    with pytest.raises(ValueError, match=r"alpha must lie between 0 and 0\.5, both excluded"):
        check_alpha(alpha)


@pytest.mark.parametrize("level", [0, 1, 95, -0.1, math.nan])
def test_level_outside_is_refused(level: float) -> None:
    """A level is a share."""
    with pytest.raises(ValueError, match="level must lie between 0 and 1"):
        check_level(level)


@pytest.mark.parametrize("size", [-1e-9, -math.inf, math.inf, math.nan])
def test_size_outside_is_refused(size: float) -> None:
    """A margin or deviation is a finite length."""
    with pytest.raises(ValueError, match="margin must be finite and not negative"):
        check_size("margin", size)


@pytest.mark.parametrize("count", [-1, 8, 2.5, math.nan, math.inf])
def test_count_outside_is_refused(count: int) -> None:
    """A count is whole and within its total."""
    with pytest.raises(ValueError, match="failed must be a whole number from 0 to 7, got"):
        check_count("failed", count, least=0, most=7)


def test_count_without_a_total_says_so() -> None:
    """Where there is no upper bound the message names the lower one."""
    with pytest.raises(ValueError, match="n must be a whole number of at least 2, got 1"):
        check_count("n", 1, least=2)


def test_what_is_allowed_passes() -> None:
    """The ends of each range that belong to it, and NumPy's own numbers."""
    check_alpha(1e-300)
    check_level(np.float64(0.5))
    check_size("deviation", 0)
    for count in (0, 7, np.int64(3), 3.0):
        check_count("failed", count, least=0, most=7)  # type: ignore[arg-type]


@given(value=st.floats(-1e300, 1e300), n=st.integers(2, 40))
def test_equal_values_have_no_error(value: float, n: int) -> None:
    """Whatever the rounding of their mean: the value itself, and 0."""
    assert mean_and_error(np.full(n, value)) == (value, 0.0)


def test_equal_but_for_rounding_has_no_error() -> None:
    """Logs of ratios that are all 2 differ in the last digits, by no more than float64 rounds."""
    values = np.random.default_rng(0).lognormal(size=1000)
    ratios = np.log(2 * values) - np.log(values)
    assert np.ptp(ratios) > 0
    mean, error = mean_and_error(ratios)
    assert mean == pytest.approx(math.log(2), rel=1e-12)
    assert error == 0


def test_small_spread_is_spread() -> None:
    """What is ten times the tolerance counts."""
    mean, error = mean_and_error(np.array([1 - 1e-11, 1 + 1e-11]))
    assert mean == pytest.approx(1)
    assert error == pytest.approx(1e-11, rel=1e-4)
