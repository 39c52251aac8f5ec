"""Schedules: hand-made values, and properties that their definitions promise."""

from __future__ import annotations

import math

import numpy as np
import pytest

from dlbench.theory import schedules


def test_exponential() -> None:
    """After `steps` updates the factor has been applied once; a staircase waits until then."""
    steps = [0, 5, 10, 25]
    smooth = schedules.exponential(steps, 0.4, steps=10, factor=0.5)
    np.testing.assert_allclose(smooth, [0.4, 0.4 * math.sqrt(0.5), 0.2, 0.4 * 0.5**2.5])
    stairs = schedules.exponential(steps, 0.4, steps=10, factor=0.5, staircase=True)
    np.testing.assert_allclose(stairs, [0.4, 0.4, 0.2, 0.1])


def test_inverse_time() -> None:
    """With a factor of 1 the rate is halved, then a third, then a quarter."""
    rates = schedules.inverse_time([0, 10, 20, 30], 0.6, steps=10, factor=1.0)
    np.testing.assert_allclose(rates, [0.6, 0.3, 0.2, 0.15])
    stairs = schedules.inverse_time([9, 10, 19], 0.6, steps=10, factor=1.0, staircase=True)
    np.testing.assert_allclose(stairs, [0.6, 0.3, 0.3])


def test_polynomial() -> None:
    """A line of power 1 and a parabola of power 2 end at the end, and stay there."""
    line = schedules.polynomial([0, 5, 10, 99], 0.5, steps=10, end=0.1)
    np.testing.assert_allclose(line, [0.5, 0.3, 0.1, 0.1])
    parabola = schedules.polynomial([0, 5, 10], 0.5, steps=10, end=0.1, power=2)
    np.testing.assert_allclose(parabola, [0.5, 0.1 + 0.4 / 4, 0.1])


def test_piecewise() -> None:
    """A boundary itself still has the rate before it."""
    rates = schedules.piecewise([0, 3, 4, 7, 8], [3, 7], [1.0, 0.5, 0.1])
    np.testing.assert_array_equal(rates, [1.0, 1.0, 0.5, 0.5, 0.1])


def test_cosine() -> None:
    """It starts flat at the rate, is half-way in the middle, and ends flat at its share."""
    rates = schedules.cosine(np.arange(11), 0.8, steps=10, end=0.25)
    np.testing.assert_allclose(rates[[0, 5, 10]], [0.8, 0.8 * 0.625, 0.2])
    expected = [0.8 * (0.25 + 0.75 * math.cos(math.pi * k / 20) ** 2) for k in range(11)]
    np.testing.assert_allclose(rates, expected)  # by the half-angle formula
    assert schedules.cosine(99, 0.8, steps=10, end=0.25) == pytest.approx(0.2)


def test_warmup() -> None:
    """The rate rises in a line to the target, which is where the cosine starts."""
    rates = schedules.cosine(np.arange(15), 0.0, steps=10, warmup_target=0.4, warmup=4)
    np.testing.assert_allclose(rates[:5], [0.0, 0.1, 0.2, 0.3, 0.4])
    np.testing.assert_allclose(
        rates[4:], schedules.cosine(np.arange(11), 0.4, steps=10), atol=1e-16
    )


@pytest.mark.parametrize("longer", [1.0, 2.0, 1.5])
def test_restarts(longer: float) -> None:
    """Period after period, counted by hand, is a cosine of its own length and height."""
    rates = schedules.cosine_restarts(
        np.arange(60), 0.8, steps=6, longer=longer, lower=0.5, end=0.1
    )
    begin, length, height = 0.0, 6.0, 1.0
    for step, rate in enumerate(rates):
        while step >= begin + length:
            begin, length, height = begin + length, length * longer, height / 2
        cosine = math.cos(math.pi / 2 * (step - begin) / length) ** 2
        assert rate == pytest.approx(0.8 * (0.1 + 0.9 * height * cosine), rel=1e-9)
