"""A history is drawn: every run has its mark, every change its line and words."""

from __future__ import annotations

import io
import math
import warnings
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest

from dlbench.history.trend import Change, Trend
from dlbench.report.history_figure import trend_figure
from dlbench.report.style import styled

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def trend(runs: int, *changes: Change, median: object = 0.5, outcome: object = "passed") -> Trend:
    """Return a trend of runs."""
    levels = np.searchsorted([change.row for change in changes], np.arange(runs), side="right")
    table = pd.DataFrame(
        {
            "run": [f"{number:04}_x" for number in range(1, runs + 1)],
            "number": pd.array(range(1, runs + 1), dtype="Int64"),
            "commit": ["c0ffee" * 6] * runs, "complete": True, "outcome": outcome,
            "torch": "2.13.0", "median": median, "level": levels,
        }
    ).assign(low=lambda frame: frame["median"] - 0.1, high=lambda frame: frame["median"] + 0.1)  # fmt: skip
    return Trend("test_a.py::test_$x$", None, "mean_log_loss", True, False, table, changes)


def drawn(made: Trend) -> Figure:
    """Return the figure, drawn with warnings as errors."""
    with warnings.catch_warnings(), styled():
        warnings.simplefilter("error")
        figure = trend_figure(made)
        figure.savefig(io.BytesIO(), format="png")
    return figure


def texts(figure: Figure) -> list[str]:
    """Return the words in the panel."""
    return [text.get_text() for text in figure.axes[0].texts]


def test_a_change_and_a_break_have_a_line_and_words() -> None:
    """A level's change is a full line with its effect and commit, a break a dashed one with why."""
    figure = drawn(trend(9, Change(3, "commit abc", True, 0.05),
                         Change(6, "commit d", False, math.nan, ("torch 1 → 2",))))  # fmt: skip
    assert texts(figure) == ["+5 %, worse\ncommit abc", "torch 1 → 2"]
    places = [np.asarray(line.get_xdata()).tolist() for line in figure.axes[0].lines]
    lines = [figure.axes[0].lines[places.index([at, at])] for at in (2.5, 5.5)]
    assert [line.get_linestyle() for line in lines] == ["-", "--"]


def test_words_stay_above_the_values() -> None:
    """Room is made above the highest quartile where there is something to say."""
    quiet, told = drawn(trend(9)), drawn(trend(9, Change(3, "commit abc", True, 0.05)))
    assert told.axes[0].get_ylim()[1] > quiet.axes[0].get_ylim()[1] >= 0.6
    assert texts(quiet) == []


def test_failed_runs_have_a_mark_of_their_own() -> None:
    """Where marks differ, a legend says what they mean; else there is none."""
    assert drawn(trend(3)).axes[0].get_legend() is None
    legend = drawn(trend(3, outcome=["passed", "failed", "passed"])).axes[0].get_legend()
    assert legend is not None
    assert [text.get_text() for text in legend.get_texts()] == ["as it should be", "failed"]


@pytest.mark.parametrize("runs", [1, 2, 61, 300])
def test_any_number_of_runs(runs: int) -> None:
    """From the first run on; with many, only some have a label below."""
    assert 1 <= len(drawn(trend(runs)).axes[0].get_xticks()) <= 14


@pytest.mark.parametrize("median", [math.inf, [math.inf, 0.5, 0.5], 0.0])
def test_values_that_have_no_place(median: object) -> None:
    """A run that diverged is marked at the upper edge; a history of such runs is drawn too."""
    assert drawn(trend(3, Change(1, "commit abc", True, -math.inf), median=median)) is not None
