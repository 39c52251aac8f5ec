"""The one shape of a result: its decision is by p, its fields are plain numbers."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from dlbench.statistics import Test, equivalence, excess_share, larger, shift, welch


@pytest.mark.parametrize(("p", "significant"), [(0.0, True), (0.0099, True), (0.0101, False)])
def test_the_decision_is_by_p(p: float, significant: bool) -> None:
    """Whatever the interval says: p below (1 - level) / 2."""
    for low in (-1.0, 0.5):
        test = Test(estimate=1.0, low=low, high=2.0, level=0.98, p=p, n=8)
        assert test.significant is significant
        assert test.alpha == pytest.approx(0.01)


def test_p_equal_to_alpha_shows_nothing() -> None:
    """Five equal signs have p = 2^-5, which is not below 2^-5."""
    assert not shift([1.0] * 5, alpha=2.0**-5).significant
    assert shift([1.0] * 6, alpha=2.0**-5).significant


def test_results_do_not_change() -> None:
    """A result is frozen and compares by its numbers."""
    test = shift([1.0, 2.0, 4.0], alpha=0.01)
    assert test == shift(np.array([1.0, 2.0, 4.0]), alpha=0.01)
    with pytest.raises(dataclasses.FrozenInstanceError):
        test.p = 0.0  # type: ignore[misc]


def test_results_are_plain_numbers() -> None:
    """No NumPy scalar leaves: a result can be written as JSON and compared."""
    values = np.array([1.0, 2.0, 4.0])
    for test in (
        shift(values, alpha=0.01), equivalence(values, margin=1.0), larger(values, values),
        shift([0.0, 0.0], alpha=0.01), welch(values, values, alpha=0.01),
        excess_share(np.int64(1), np.int64(8), np.int64(0), np.int64(8)),  # type: ignore[arg-type]
    ):  # fmt: skip
        fields = (test.estimate, test.low, test.high, test.level, test.p)
        assert {type(field) for field in fields} == {float}
        assert type(test.n) is int
        assert type(test.significant) is bool
