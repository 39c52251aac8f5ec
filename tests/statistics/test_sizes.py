"""Pairs and effects against exact power by other ways, each other, and simulated decisions."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy import integrate, stats

from dlbench.statistics import pairs_needed, shift, smallest_effect
from dlbench.statistics.sizes import FAR, _power

inf = math.inf

SUITE = 4.2e-5
"""1 % divided over 60 cases of 4 tests."""


def integrated_power(noncentrality: float, n: int, alpha: float) -> float:
    """Return P(Z + noncentrality > critical x S) over the distribution of S = s / deviation."""
    critical = stats.t.isf(alpha, n - 1)
    scale = stats.chi(n - 1, scale=(n - 1) ** -0.5)

    def density(s: float) -> float:
        return float(stats.norm.sf(critical * s - noncentrality) * scale.pdf(s))

    ends = scale.ppf([1e-14, 1 - 1e-14])
    step = [(noncentrality + distance) / critical for distance in (-9, -3, 0, 3, 9)]
    cuts = np.sort(np.clip([*ends, 1.0, *step], *ends))
    parts = [integrate.quad(density, low, high)[0] for low, high in itertools.pairwise(cuts)]
    return float(sum(parts))


@pytest.mark.parametrize("n", [2, 3, 5, 8, 32])
@pytest.mark.parametrize("alpha", [0.3, 1e-2, SUITE])
@pytest.mark.parametrize("ratio", [0.2, 1.0, 1.7])
def test_power_is_the_integral_over_the_standard_deviation(
    n: int, alpha: float, ratio: float
) -> None:
    """The noncentral t is right where the deviation is integrated out by quadrature instead."""
    noncentrality = ratio * float(stats.t.isf(alpha, n - 1))
    expected = integrated_power(noncentrality, n, alpha)
    assert _power(noncentrality, n, alpha) == pytest.approx(expected, abs=1e-8)


@pytest.mark.parametrize("n", [2, 3, 4])
def test_power_has_no_step_where_noise_is_dropped(n: int) -> None:
    """Just below and above the noncentrality from which chi-square alone counts."""
    alpha = float(stats.t.sf(FAR / 2, n - 1))
    below, above = (_power(FAR * (1 + sign * 1e-9), n, alpha) for sign in (-1, 1))
    assert below == pytest.approx(above, abs=1e-7)
    assert 0.1 < below < 0.99995


@pytest.mark.parametrize(
    ("deviation", "alpha", "n", "percent"),
    [
        (0.01, SUITE, 4, 29.90), (0.01, SUITE, 8, 5.816), (0.01, SUITE, 16, 3.135),
        (0.01, SUITE, 32, 2.269), (0.03, SUITE, 4, 87.70), (0.03, SUITE, 8, 15.45),
        (0.03, SUITE, 16, 7.404), (0.03, SUITE, 32, 4.807), (0.01, 0.01, 16, 2.286),
    ],
)  # fmt: skip
def test_what_a_suite_sees(deviation: float, alpha: float, n: int, percent: float) -> None:
    """A margin of 1 % included, in hundredths of a log unit, in 99 of 100 trials."""
    effect = smallest_effect(deviation, n, margin=0.01, alpha=alpha)
    assert 100 * effect == pytest.approx(percent, rel=5e-4)
    assert pairs_needed(effect * (1 + 1e-9), deviation, margin=0.01, alpha=alpha) == n


@pytest.mark.parametrize(
    ("deviation", "n", "margin", "alpha", "power"),
    [(0.01, 5, 0.01, 1e-2, 0.9), (3.0, 8, 0.0, 1e-3, 0.5), (0.2, 16, 0.5, SUITE, 0.8)],
)
def test_shift_finds_the_smallest_effect_as_often_as_it_says(
    deviation: float, n: int, margin: float, alpha: float, power: float
) -> None:
    """Decisions of `shift` itself on 6,000 samples, within 4.5 standard errors of the power."""
    effect = smallest_effect(deviation, n, margin=margin, alpha=alpha, power=power)
    samples = np.random.default_rng(n).normal(effect, deviation, size=(6000, n))
    found = np.mean([shift(row, margin=margin, alpha=alpha).significant for row in samples])
    assert found == pytest.approx(power, abs=4.5 * math.sqrt(power * (1 - power) / 6000))


SETTINGS: dict[str, Any] = {
    "margin": st.sampled_from([0.0, 0.01, 2.0]),
    "alpha": st.sampled_from([0.2, 0.05, 1e-2, SUITE, 1e-7]),
    "power": st.sampled_from([0.5, 0.8, 0.99, 0.9999]),
}


@settings(max_examples=60, deadline=None)
@given(n=st.integers(2, 300), deviation=st.floats(1e-6, 1e3), **SETTINGS)
def test_pairs_and_effects_are_inverse(
    n: int, deviation: float, margin: float, alpha: float, power: float
) -> None:
    """The smallest effect of n pairs takes n; a little less takes more."""
    excess = smallest_effect(deviation, n, margin=0, alpha=alpha, power=power)
    scale = {"margin": 0.0, "alpha": alpha, "power": power}
    assert pairs_needed(excess * (1 + 1e-6), deviation, **scale) == n
    more = pairs_needed(excess * (1 - 1e-6), deviation, **scale)
    assert more is not None
    assert more > n
    beyond = smallest_effect(deviation, n, margin=margin, alpha=alpha, power=power)
    assert beyond == pytest.approx(margin + excess)


@settings(max_examples=60, deadline=None)
@given(effect=st.floats(1e-3, 1e3), deviation=st.floats(1e-3, 1e3), **SETTINGS)
def test_enough_is_enough_and_one_less_is_not(
    effect: float, deviation: float, margin: float, alpha: float, power: float
) -> None:
    """The number has the power, the number before it has not."""
    excess = effect - margin
    n = pairs_needed(effect, deviation, margin=margin, alpha=alpha, power=power)
    if n is None:
        assert excess <= 0 or excess / deviation < 1e-3
        return
    assert n >= 2
    assert _power(excess / deviation * n**0.5, n, alpha) >= power
    if n > 2:
        assert _power(excess / deviation * (n - 1) ** 0.5, n - 1, alpha) < power


@settings(max_examples=60, deadline=None)
@given(n=st.integers(2, 200), deviation=st.floats(1e-3, 1e3), **SETTINGS)
def test_what_makes_an_effect_easier_to_see(
    n: int, deviation: float, margin: float, alpha: float, power: float
) -> None:
    """More pairs, less spread, a larger alpha and less power each lower the smallest effect."""
    effect = smallest_effect(deviation, n, margin=margin, alpha=alpha, power=power)
    assert effect > margin
    assert smallest_effect(deviation, n + 1, margin=margin, alpha=alpha, power=power) < effect
    assert smallest_effect(deviation / 2, n, margin=margin, alpha=alpha, power=power) < effect
    assert smallest_effect(deviation, n, margin=margin, alpha=alpha * 2, power=power) < effect
    power = (alpha + power) / 2
    assert smallest_effect(deviation, n, margin=margin, alpha=alpha, power=power) < effect


@settings(max_examples=40, deadline=None)
@given(effect=st.floats(0.02, 1e2), factor=st.floats(1.01, 10), alpha=SETTINGS["alpha"])
def test_a_larger_effect_takes_no_more_pairs(effect: float, factor: float, alpha: float) -> None:
    """Larger effects and less spread take as many pairs or fewer; both scaled, as many."""
    n = pairs_needed(effect, 0.5, margin=0.01, alpha=alpha)
    larger = pairs_needed(effect * factor, 0.5, margin=0.01, alpha=alpha)
    assert n is not None
    assert larger is not None
    assert larger <= n
    doubled = pairs_needed(effect * 2, 1.0, margin=0.02, alpha=alpha)
    assert doubled == n  # by a power of two nothing is rounded


@pytest.mark.parametrize("alpha", [0.3, 0.25, 0.05, 0.03125, 1e-2, SUITE, 2.0**-16])
def test_without_spread_the_signs_alone_count(alpha: float) -> None:
    """The number is the smallest at which `shift` decides on equal differences, by trying."""
    tried = (n for n in range(2, 40) if shift([1.0] * n, alpha=alpha).significant)
    n = next(tried)
    assert pairs_needed(1.0, 0.0, margin=0.0, alpha=alpha) == n
    assert smallest_effect(0.0, n, margin=0.5, alpha=alpha) == 0.5
    assert n == 2 or smallest_effect(0.0, n - 1, margin=0.5, alpha=alpha) == inf


def test_no_number_of_pairs_shows_what_is_not_there() -> None:
    """An effect within the margin, or so near it that a billion pairs are too few."""
    for effect in (0.01, 0.0, -5.0):
        assert pairs_needed(effect, 0.01, margin=0.01, alpha=SUITE) is None
        assert pairs_needed(effect, 0.0, margin=0.01, alpha=SUITE) is None
    assert pairs_needed(1e-9, 1.0, margin=0.0, alpha=0.05) is None
    million = pairs_needed(1e-3, 1.0, margin=0.0, alpha=0.05, power=0.5)
    assert million == pytest.approx(stats.norm.isf(0.05) ** 2 * 1e6, rel=1e-5)


def test_few_pairs_at_a_small_alpha_see_next_to_nothing() -> None:
    """Two pairs at 1e-9 need an effect of half a billion deviations; nothing breaks."""
    effect = smallest_effect(1.0, 2, margin=0.0, alpha=1e-9)
    ratio = stats.chi.ppf(0.99, 1) * stats.t.isf(1e-9, 1) / 2**0.5
    assert effect == pytest.approx(ratio, rel=1e-6)
    assert pairs_needed(effect * 1.001, 1.0, margin=0.0, alpha=1e-9) == 2
    assert pairs_needed(1e11, 1.0, margin=0.0, alpha=1e-9) == 2


def test_rounding_is_not_taken_for_spread() -> None:
    """A deviation that `shift` takes for none is none here too: signs count, 8 of them at 0.005."""
    differences = np.log(2 * np.arange(1.0, 8.0)) - np.log(np.arange(1.0, 8.0))
    deviation = float(differences.std(ddof=1))
    assert deviation > 0
    assert not shift(differences, margin=0.01, alpha=0.005).significant
    assert pairs_needed(math.log(2), deviation, margin=0.01, alpha=0.005) == 8
    assert smallest_effect(deviation, 7, margin=0.01, alpha=0.005) == inf
    assert smallest_effect(deviation, 8, margin=0.01, alpha=0.005) == 0.01


FINE: dict[str, Any] = {"deviation": 0.01, "margin": 0.01, "alpha": 0.01}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"deviation": -1}, "deviation must be finite and not negative, got -1"),
        ({"deviation": math.nan}, "deviation must be finite"),
        ({"margin": -0.01}, "margin must be finite and not negative, got -0.01"),
        ({"alpha": 0.5}, "alpha must lie between 0 and 0.5"),
        ({"alpha": 0}, "alpha must lie between"),
        ({"power": 1}, "power must lie between alpha = 0.01 and 1, got 1"),
        ({"power": 0.01}, "power must lie between alpha"),
        ({"power": math.nan}, "power must lie between alpha"),
    ],
)
def test_arguments_out_of_range_are_refused(change: dict[str, float], message: str) -> None:
    """By both functions, in the same words."""
    with pytest.raises(ValueError, match=message):
        pairs_needed(0.05, **{**FINE, **change})
    with pytest.raises(ValueError, match=message):
        smallest_effect(n=8, **{**FINE, **change})


def test_effect_and_number_out_of_range_are_refused() -> None:
    """An effect is finite; pairs are whole and at least two."""
    for effect in (inf, math.nan):
        with pytest.raises(ValueError, match="effect must be finite"):
            pairs_needed(effect, **FINE)
    numbers: tuple[Any, ...] = (1, 0, 2.5, math.nan)
    for n in numbers:
        with pytest.raises(ValueError, match="n must be a whole number of at least 2"):
            smallest_effect(n=n, **FINE)


@settings(max_examples=40, deadline=None)
@given(effect=st.floats(0.1, 5), n=st.integers(3, 40), alpha=st.sampled_from([0.05, 1e-2, SUITE]))
def test_the_normal_approximation_is_too_hopeful(effect: float, n: int, alpha: float) -> None:
    """((z_alpha + z_power) / effect)^2 is a lower bound: t has to estimate the deviation too."""
    needed = pairs_needed(effect, 1.0, margin=0.0, alpha=alpha)
    normal = (stats.norm.isf(alpha) + stats.norm.isf(0.01)) ** 2 / effect**2
    assume(needed is not None)
    assert needed > normal
