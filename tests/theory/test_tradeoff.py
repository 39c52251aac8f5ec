"""Updates against samples: the hyperbola, its fit where the answer is known, and what is not."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dlbench.theory import tradeoff
from dlbench.theory.tradeoff import TradeOff

SIZES = [1, 4, 10, 32, 100, 1437]
TRUE = TradeOff(fewest_updates=70, fewest_samples=2100)
PLENTY = [1e6] * len(SIZES)


def runs(count: int = 8, spread: float = 0.15) -> list[np.ndarray]:
    """Return the updates to the target of several runs of each batch size, around the truth."""
    noise = np.random.default_rng(1).normal(0, spread, (len(SIZES), count))
    return list(TRUE.updates(SIZES)[:, None] * np.exp(noise))


@given(st.floats(1, 1e4), st.floats(1, 1e6), st.floats(1, 1e5))
def test_the_hyperbola(fewest_updates: float, fewest_samples: float, size: float) -> None:
    """(S / S_min - 1) (E / E_min - 1) = 1 with E = S B at every batch size."""
    curve = TradeOff(fewest_updates, fewest_samples)
    updates, samples = float(curve.updates(size)), float(curve.samples(size))
    assert samples == pytest.approx(size * updates, rel=1e-12)
    over = np.subtract([updates, samples], [fewest_updates, fewest_samples])
    # Multiplied out: next to S_min the factors are differences of nearly equal numbers.
    assert over.prod() == pytest.approx(fewest_updates * fewest_samples, rel=1e-6)


def test_at_the_critical_batch_size_both_are_doubled() -> None:
    """B_crit costs twice the fewest updates and twice the fewest samples."""
    size = TRUE.critical_batch_size
    assert size == 30
    assert TRUE.updates(size) == pytest.approx(140)
    assert TRUE.samples(size) == pytest.approx(4200)


def test_a_fit_finds_what_lies_on_the_curve() -> None:
    """Medians on a hyperbola give back its two numbers; a run that never got there moves no median."""
    exact = [[updates, updates, math.inf] for updates in TRUE.updates(SIZES)]
    found = tradeoff.fit(SIZES, exact, PLENTY)
    assert found.fewest_updates == pytest.approx(70, rel=1e-6)
    assert found.fewest_samples == pytest.approx(2100, rel=1e-6)


def test_a_fit_is_the_least_squares_of_logs() -> None:
    """No trade-off nearby has a smaller sum of squared differences of logarithms."""
    measured = np.array([np.median(updates) for updates in runs()])

    def squares(curve: TradeOff) -> float:
        return float(np.sum(np.log(curve.updates(SIZES) / measured) ** 2))

    found = tradeoff.fit(SIZES, runs(), PLENTY)
    for one in (0.99, 1, 1.01):
        for two in (0.99, 1, 1.01):
            near = TradeOff(found.fewest_updates * one, found.fewest_samples * two)
            assert squares(near) >= squares(found) * (1 - 1e-12)


@pytest.mark.parametrize("budget", [300, 2000])
def test_a_target_that_was_not_reached_is_more_than_its_budget(budget: float) -> None:
    """A budget below what the curve says changes nothing: it agrees with the other sizes."""
    updates = [[math.inf], *([updates] for updates in TRUE.updates(SIZES[1:]))]
    found = tradeoff.fit(SIZES, updates, [budget, *PLENTY[1:]])
    assert found.critical_batch_size == pytest.approx(30, rel=1e-6)


def test_a_miss_that_contradicts_the_curve_moves_it() -> None:
    """A budget far above what the other sizes foretell is evidence against them, and counts."""
    updates = [[math.inf], *([updates] for updates in TRUE.updates(SIZES[1:]))]
    found = tradeoff.fit(SIZES, updates, [10_000, *PLENTY[1:]])
    assert found.fewest_samples > 1.2 * TRUE.fewest_samples


def test_too_little_to_fit() -> None:
    """One batch size that reached the target leaves everything unknown."""
    updates = [[100.0], *([math.inf] for _ in SIZES[1:])]
    assert math.isnan(tradeoff.fit(SIZES, updates, PLENTY).critical_batch_size)


def test_a_target_that_was_reached_before_training() -> None:
    """No update at all is no measure of any batch size."""
    updates = [[0.0], *([updates] for updates in TRUE.updates(SIZES[1:]))]
    assert math.isnan(tradeoff.fit(SIZES, updates, PLENTY).critical_batch_size)


def test_no_bend_is_no_bend() -> None:
    """Where updates fall as 1 / B throughout, no critical batch size is in sight."""
    found = tradeoff.fit(SIZES, [[1e5 / size] for size in SIZES], PLENTY)
    assert found.fewest_samples == pytest.approx(1e5, rel=1e-4)
    assert found.critical_batch_size > 1e4 * max(SIZES)


def test_the_bootstrap_covers_the_truth() -> None:
    """95 % intervals hold the truth in about as many of 40 drawn studies, and are none too wide."""
    held, widths = [], []
    for study in range(40):
        noise = np.random.default_rng(study).normal(0, 0.15, (len(SIZES), 16))
        drawn = list(TRUE.updates(SIZES)[:, None] * np.exp(noise))
        found = [fit.critical_batch_size for fit in tradeoff.resampled(SIZES, drawn, PLENTY, 100)]
        low, high = np.quantile(found, [0.025, 0.975])
        held.append(low <= TRUE.critical_batch_size <= high)
        widths.append(high / low)
    assert np.mean(held) >= 0.85
    assert np.median(widths) < 1.5


def test_the_bootstrap_draws_the_same_again() -> None:
    """Two calls return the same fits: a report does not change from one drawing to the next."""
    assert tradeoff.resampled(SIZES, runs(), PLENTY, 5) == tradeoff.resampled(
        SIZES, runs(), PLENTY, 5
    )
