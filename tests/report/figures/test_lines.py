"""Reference lines, and where their words stand."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from dlbench.report.figures.lines import line_labels, noted_lines
from dlbench.report.study import ReferenceLine

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def panel(**settings: Any) -> Axes:
    """Return an empty panel."""
    axes = Figure(figsize=(4, 3)).add_subplot()
    axes.set(**settings)
    return axes


def box(axes: Axes, words: str) -> Any:
    """Return where words of a panel stand, in pixels."""
    (text,) = [text for text in axes.texts if text.get_text() == words]
    figure = axes.get_figure()
    assert isinstance(figure, Figure)
    return text.get_window_extent(FigureCanvasAgg(figure).get_renderer())  # type: ignore[no-untyped-call]


def height(axes: Axes, value: float) -> float:
    """Return how high in the figure a value is, in pixels."""
    return float(axes.transData.transform((axes.get_xlim()[1], value))[1])


def line(value: float, words: str) -> ReferenceLine:
    """Return a dashed line."""
    return ReferenceLine(value, words, "dashed")


@pytest.mark.parametrize(("scale", "near"), [("linear", 0.98), ("log", 0.9)])
def test_words_of_close_lines_stand_apart(scale: str, near: float) -> None:
    """Where two lines nearly meet, the words of one stand above it and of the other below."""
    for lower in (near, 0.3):
        axes = panel(yscale=scale, ylim=(1e-3, 2.5))
        line_labels(axes, [line(1.0, "upper"), line(lower, "lower")])
        assert not box(axes, "upper").overlaps(box(axes, "lower"))
        assert (box(axes, "lower").y1 < height(axes, lower)) == (lower == near)


@pytest.mark.parametrize("scale", ["linear", "log"])
def test_words_below_have_room_above_the_axis(scale: str) -> None:
    """Where the lower of two close lines is near the panel's lower limit, the limit falls."""
    axes = panel(yscale=scale, ylim=(0.68, 0.85))
    line_labels(axes, [line(0.6931, "upper"), line(0.6862, "lower")])
    assert box(axes, "lower").y0 > axes.get_window_extent().y0
    assert box(axes, "lower").y1 < height(axes, 0.6862)
    assert not box(axes, "upper").overlaps(box(axes, "lower"))
    assert axes.get_ylim()[1] == 0.85


@pytest.mark.parametrize(
    ("curve", "right", "above"),
    [
        ([0.1, 0.2, 0.3, 0.4], True, True),  # none near the line
        ([0.1, 0.97, 0.97, 0.97], True, False),  # above the line at its right end
        ([0.1, 0.3, 0.4, 0.99], False, True),  # through both sides of the right end
    ],
)
def test_words_stand_where_no_curve_runs(curve: list[float], right: bool, above: bool) -> None:
    """The words leave the side and the end of their line to the curves."""
    axes = panel(ylim=(0, 1.1), xlim=(0, 3))
    axes.plot(range(4), curve)
    line_labels(axes, [line(0.93, "target")])
    found = box(axes, "target")
    middle = axes.get_window_extent().x0 + axes.get_window_extent().width / 2
    assert (found.x0 > middle) == right
    assert (found.y0 > height(axes, 0.93)) == above
    along = axes.transData.transform(
        np.stack([np.linspace(0, 3, 500), np.interp(np.linspace(0, 3, 500), range(4), curve)], 1)
    )
    assert not any(found.contains(x, y) for x, y in along)


def test_notes_above_the_panel_tell_lines_by_their_strokes() -> None:
    """Each line is named by how it is drawn, and no word stands in the panel."""
    axes = panel(ylim=(0, 3))
    floor = ReferenceLine(2.3, "best constant predictor", "dotted")
    noted_lines(axes, [line(0.1, "target 0.1"), floor])
    assert axes.get_title("right") == "dashed: target 0.1; dotted: best constant predictor"
    assert not axes.texts
    target, other = axes.get_lines()
    assert target.get_linestyle() != other._unscaled_dash_pattern  # type: ignore[attr-defined]
