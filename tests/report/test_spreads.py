"""Medians and spreads, against NumPy where all is finite."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import pytest

from dlbench.report.frames import curve_frame
from dlbench.report.spreads import band_words, bands, spread

if TYPE_CHECKING:
    from collections.abc import Callable

    from dlbench.history.record import Record


@pytest.mark.parametrize("count", [4, 5, 8, 16, 33])
def test_spread_is_numpys_quartiles(count: int) -> None:
    """Of finite numbers the median and quartiles are NumPy's, linear between neighbours."""
    values = np.random.default_rng(count).normal(size=count)
    found = spread(values)
    expected = np.quantile(values, [0.25, 0.5, 0.75])
    assert np.allclose([found.low, found.median, found.high], expected)
    assert found.name == "IQR"


@pytest.mark.parametrize("count", [1, 2, 3])
def test_few_seeds_have_a_range(count: int) -> None:
    """With fewer than four seeds the spread is all of them."""
    values = np.arange(count) + 0.5
    found = spread(values)
    assert (found.low, found.high, found.name) == (values.min(), values.max(), "range")


def test_a_lost_seed_is_the_worst() -> None:
    """NaN counts as the worst value, on whichever side that is."""
    assert spread([1.0, 2.0, math.nan]).high == math.inf
    assert spread([1.0, 2.0, math.nan]).median == 2.0
    assert spread([0.8, 0.9, math.nan], higher=True).low == -math.inf
    assert spread([1.0, math.nan, math.nan]).median == math.inf
    assert math.isnan(spread([]).median)


def test_texts_say_what_the_numbers_are() -> None:
    """A text has the median, the unit, and the spread with its name; one seed has no spread."""
    values = spread([200.0, 210.0, 220.0, 230.0, 240.0])
    assert values.text("updates") == "220 updates (IQR 210–230)"
    assert values.around() == "210–230"
    assert spread([220.0]).text() == "220"
    assert spread([1.0, 2.0, math.inf]).around() == "from 1"


def test_bands_are_medians_at_every_point(trained: Callable[..., Record]) -> None:
    """A band's rows are the curves' quantiles by point, one a case."""
    frame = curve_frame([trained("test_a", {}), trained("test_b", {}, rate=0.02)])
    loss = frame[frame["metric"] == "loss"]
    found = bands(loss)
    for record, case in found.groupby("record"):
        table = loss[loss["record"] == record].pivot_table(
            index="seed", columns="step", values="value"
        )
        assert list(case["step"]) == list(table.columns)
        assert np.allclose(case["median"], table.median())
        assert np.allclose(case["low"], table.quantile(0.25))
        assert np.allclose(case["high"], table.quantile(0.75))


def test_bands_end_where_most_seeds_are_lost(trained: Callable[..., Record]) -> None:
    """Where more than half of the seeds are NaN, so is the median: it is not the survivors'."""
    frame = curve_frame([trained("test_a", {}, diverged=3)])
    found = bands(frame[frame["metric"] == "loss"])
    assert np.isposinf(found["median"].iloc[-1])
    found = bands(frame[frame["metric"] == "val_accuracy"], higher=True)
    assert np.isneginf(found["median"].iloc[-1])


@pytest.mark.parametrize(
    ("counts", "words"),
    [([1], ""), ([2, 3], "all seeds"), ([5, 16], "middle half"), ([2, 8], "or")],
)
def test_band_words(counts: list[int], words: str) -> None:
    """The caption says which band it is, by how many seeds there are."""
    assert words in band_words(counts)
