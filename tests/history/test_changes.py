"""Change points: rare where nothing changed, found where something did, never below the margin."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom

from dlbench.history.changes import (
    FALSE_ALARM,
    change_points,
    level_change,
    merged,
    significant_cut,
    typical_range,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Array = NDArray[np.float64]
    Noise = Callable[[np.random.Generator, tuple[int, int]], Array]

NOISES: dict[str, Noise] = {
    "normal": lambda rng, shape: rng.normal(size=shape),
    "heavy tails": lambda rng, shape: rng.standard_t(2, size=shape),
    "Cauchy": lambda rng, shape: rng.standard_cauchy(size=shape),
    "skewed": lambda rng, shape: rng.lognormal(sigma=2, size=shape),
    "two values": lambda rng, shape: rng.integers(0, 2, size=shape).astype(float),
    "rare jumps": lambda rng, shape: (rng.random(shape) < 0.1).astype(float),
    "some infinite": lambda rng, shape: np.where(rng.random(shape) < 0.2, np.inf, rng.normal(size=shape)),
    "seeds far apart": lambda rng, shape: 9 * rng.normal(size=(1, shape[1])) + rng.normal(size=shape),
}  # fmt: skip


@pytest.mark.parametrize("shape", [(2, 16), (3, 16), (5, 5), (12, 1), (12, 16), (40, 4)], ids=str)
@pytest.mark.parametrize("noise", NOISES.values(), ids=NOISES)
def test_where_nothing_changed_one_history_in_a_hundred_has_a_change(
    noise: Noise, shape: tuple[int, int]
) -> None:
    """Among 300 histories of pure noise no more have a change than the error rate explains.

    The bound is exceeded by chance once in 10,000 times; the seed is fixed.
    """
    rng = np.random.default_rng(shape)
    histories = 300
    found = sum(bool(change_points(noise(rng, shape), 1e-9, rng=n)) for n in range(histories))
    assert found <= binom.ppf(1 - 1e-4, histories, FALSE_ALARM)


def test_the_error_rate_is_exact_over_many_histories() -> None:
    """Of 4,000 histories of eight runs and seeds, the share with a change is the error rate, below 1 %."""
    rng = np.random.default_rng(1)
    found = sum(bool(change_points(rng.normal(size=(8, 8)), 1e-9, rng=n)) for n in range(4000))
    assert FALSE_ALARM < 0.01
    assert binom.ppf(1e-4, 4000, FALSE_ALARM) <= found <= binom.ppf(1 - 1e-4, 4000, FALSE_ALARM)


def test_a_constant_history_has_no_change() -> None:
    """Where every run is the same to the last bit there is none, however many runs."""
    for runs in (1, 2, 3, 50):
        assert change_points(np.tile(np.arange(16.0), (runs, 1)), 1e-9) == []


def step(runs: int, at: int, seeds: int, size: float, noise: float, *, rng: int = 0) -> Array:
    """Return a history whose level rises at one run."""
    values = np.random.default_rng(rng).normal(scale=noise, size=(runs, seeds))
    return values + np.where(np.arange(runs) >= at, size, 0.0)[:, None]


@pytest.mark.parametrize(
    ("runs", "at", "seeds", "size", "noise"),
    [
        (2, 1, 16, 0.05, 0.01),
        (2, 1, 16, -0.02, 0.0),
        (5, 4, 16, 0.05, 0.01),
        (30, 29, 16, 0.05, 0.02),
        (30, 1, 16, 0.05, 0.02),
        (30, 15, 16, 0.02, 0.02),
        (60, 30, 1, 0.5, 0.1),
        (12, 6, 5, 0.05, 0.01),
        (400, 300, 8, 0.02, 0.02),
    ],
)
def test_a_change_is_found_at_its_run(
    runs: int, at: int, seeds: int, size: float, noise: float
) -> None:
    """In the very last run too, where several seeds agree; exactly there where noise is small."""
    for rng in range(10):
        found = change_points(step(runs, at, seeds, size, noise, rng=rng), 0.01)
        assert len(found) == 1
        assert abs(found[0] - at) <= (3 if noise >= size or runs > 50 else 0)


def test_levels_that_come_and_go() -> None:
    """A regression and its repair are two changes, though the mean before and after is the same."""
    for rng in range(10):
        values = step(40, 15, 16, 0.05, 0.01, rng=rng) - step(40, 22, 16, 0.05, 0.0)
        assert change_points(values, 0.01) == [15, 22]


def test_few_seeds_and_few_runs_say_nothing() -> None:
    """Three runs of one seed, or two of five, can be anything: no test could reach 1 %."""
    assert change_points(step(3, 2, 1, 9.0, 0.01), 0.01) == []
    assert change_points(step(2, 1, 5, 9.0, 0.01), 0.01) == []


def test_a_change_that_half_of_the_seeds_share() -> None:
    """A target that seven of sixteen seeds no longer reach moves no median: no change of the level."""
    values = np.tile(np.arange(16.0), (10, 1))
    values[5:, :7] = np.inf
    assert change_points(values, 0.01) == []
    values[5:, :9] = np.inf
    assert change_points(values, 0.01) == [5]


@settings(max_examples=60, deadline=None)
@given(
    at=st.integers(1, 9), size=st.floats(-0.0099, 0.0099), noise=st.sampled_from([0.0, 1e-4, 1e-3])
)
def test_no_change_is_below_the_margin(at: int, size: float, noise: float) -> None:
    """A level that differs by less than the margin is never a change, however sure it is."""
    values = step(10, at, 16, size, noise)
    for cut in change_points(values, 0.01):
        assert abs(level_change(values[:cut], values[cut:])) >= 0.01
    if noise == 0:
        assert change_points(values, 0.01) == []


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.lists(st.floats(allow_nan=False), min_size=4, max_size=4), min_size=0, max_size=12)
)
def test_any_numbers_give_rising_cuts(rows: list[list[float]]) -> None:
    """Infinite, huge and equal numbers are no obstacle, and the same numbers give the same answer."""
    values = np.array(rows, dtype=float).reshape(len(rows), 4)
    found = change_points(values, 0.01)
    assert found == sorted(set(found))
    assert all(0 < cut < len(values) for cut in found)
    assert change_points(values, 0.01) == found


def test_a_cut_at_a_named_place() -> None:
    """Asked about one place, no other is looked at."""
    values, rng = step(10, 5, 16, 1.0, 0.01), np.random.default_rng(0)
    assert significant_cut(values, 0.01, rng, 5) == 5
    assert significant_cut(step(10, 10, 16, 1.0, 0.01), 0.01, rng, 5) is None


def test_neighbours_below_the_margin_become_one_level() -> None:
    """The smallest difference goes first: a slope of small steps keeps its large one."""
    values = np.array([0.0, 0.0, 0.004, 0.004, 1.0, 1.0, 1.005])[:, None]
    assert merged(values, [2, 4, 6], 0.01) == [4]


def test_the_range_bounds_every_change() -> None:
    """No two levels differ by more than the range by which a history is passed over unread."""
    rng = np.random.default_rng(0)
    for columns in (1, 2, 5, 16):
        values = rng.standard_t(2, size=(9, columns))
        largest = max(abs(level_change(values[:cut], values[cut:])) for cut in range(1, 9))
        assert largest <= typical_range(values) + 1e-12
