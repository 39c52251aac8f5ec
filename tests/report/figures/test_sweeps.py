"""Sensitivity curves show every seed, and where the failed ones are."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from dlbench.report.figures.sweeps import sensitivity

if TYPE_CHECKING:
    from collections.abc import Callable

    from dlbench.history.record import Record
    from dlbench.report.figures import Drawing

    Draw = Callable[[list[Record]], list[Drawing]]


@pytest.fixture
def draw(drawn: Callable[..., list[Drawing]]) -> Draw:
    """A function that draws this kind of figure."""
    return partial(drawn, sensitivity)


def test_every_seed_is_shown(
    trained: Callable[..., Record], by_seed: Callable[..., Any], draw: Draw, look: Any
) -> None:
    """Each seed that did not diverge has a mark at its final value; the others are counted."""
    records = [
        trained("test_a", {"learning_rate": rate}, rate=rate / 10, diverged=lost)
        for rate, lost in ((0.01, 0), (0.1, 0), (1.0, 2), (10.0, 5))
    ]
    (drawing,) = draw(records)
    loss, accuracy = drawing.figure.axes
    assert (loss.get_xscale(), loss.get_yscale(), accuracy.get_yscale()) == ("log", "log", "linear")
    for axes, metric in ((loss, "final_loss"), (accuracy, "final_val_accuracy")):
        values = np.concatenate([by_seed(record, metric) for record in records])
        assert np.allclose(np.sort(look.marks(axes)[:, 1]), np.sort(values[np.isfinite(values)]))
        assert sorted(place for place, _ in look.crosses(axes)) == [1.0, 10.0]
        assert {"2/5", "5/5"} <= set(look.texts(axes))


def test_crosses_stand_at_the_worse_end(
    trained: Callable[..., Record], draw: Draw, look: Any
) -> None:
    """A diverged seed is above the losses and below the accuracies."""
    (drawing,) = draw(
        [
            trained("test_a", {"learning_rate": rate}, diverged=5 * (rate > 1))
            for rate in (0.1, 1, 10)
        ]
    )
    above, below = (look.crosses(axes)[0][1] for axes in drawing.figure.axes)
    assert above > 0.9
    assert below < 0.1


def test_all_diverged_is_still_a_figure(
    trained: Callable[..., Record], draw: Draw, look: Any
) -> None:
    """Where no seed has a final value the figure has crosses alone."""
    (drawing,) = draw([trained("test_a", {"learning_rate": x}, diverged=5) for x in (1, 10, 100)])
    drawing.figure.draw_without_rendering()
    assert len(look.crosses(drawing.figure.axes[0])) == 3


@pytest.mark.parametrize("values", [(1, 2), ("a", "b", "c")])
def test_no_curve_without_three_numbers(
    trained: Callable[..., Record], draw: Draw, values: tuple[object, ...]
) -> None:
    """Two numbers, or words, make no sensitivity curve."""
    assert draw([trained("test_a", {"x": value}) for value in values]) == []


def test_zero_among_the_values_keeps_the_axis_linear(
    trained: Callable[..., Record], draw: Draw
) -> None:
    """A value of 0 has no place on a logarithmic axis."""
    (drawing,) = draw([trained("test_a", {"momentum": x}) for x in (0.0, 0.5, 0.9)])
    assert drawing.figure.axes[0].get_xscale() == "linear"


def test_values_that_are_the_same_are_no_finding(
    trained: Callable[..., Record], draw: Draw
) -> None:
    """Where final values differ by rounding alone, the axis is not stretched to show it."""
    records = [trained("test_a", {"layers": x}, rate=1e-9 * x, target=None) for x in (1, 2, 8)]
    (drawing,) = draw(records)
    low, high = drawing.figure.axes[0].get_ylim()
    assert high - low > 0.05
    assert low < 2.3 < high


def test_levels_too_close_for_their_names_stand_at_equal_distances(
    trained: Callable[..., Record], draw: Draw, look: Any
) -> None:
    """0.95 and 1.05 get places of their own, the axis says so, and the data keep the numbers."""
    shares = (0.1, 0.6, 0.95, 1.05, 1.5)
    records = [trained("test_a", {"share": share}, diverged=5 * (share > 1)) for share in shares]
    (drawing,) = draw(records)
    for axes in drawing.figure.axes:
        assert list(axes.get_xticks()) == [0, 1, 2, 3, 4]
        assert [text.get_text() for text in axes.get_xticklabels()] == [str(one) for one in shares]
        assert axes.get_xlabel() == "share (at equal distances)"
        assert [place for place, _ in look.crosses(axes)] == [3, 4]
    assert set(drawing.data["share"]) == set(shares)
    assert not look.overlaps(drawing.figure)


def test_target_and_floor_are_named_above_the_panels(
    trained: Callable[..., Record], draw: Draw
) -> None:
    """No words stand among the marks; the strokes tell which line is which."""
    (drawing,) = draw([trained("test_a", {"learning_rate": x}) for x in (0.1, 1, 10)])
    notes = [axes.get_title("right") for axes in drawing.figure.axes]
    assert notes == ["dotted: best constant predictor", "dashed: target 0.9"]


def test_counts_that_would_touch_are_left_out(
    trained: Callable[..., Record], draw: Draw, look: Any
) -> None:
    """Forty neighbours have crosses alone."""
    (drawing,) = draw([trained("test_a", {"x": x}, diverged=2) for x in range(1, 41)])
    for axes in drawing.figure.axes:
        assert len(look.crosses(axes)) == 40
        assert look.texts(axes) == []


def nine(trained: Callable[..., Record], count: int = 9) -> list[Record]:
    """Return a sweep of the rate for each of some optimizers."""
    return [
        trained("test_a", {"optimizer": f"optimizer {which}", "learning_rate": rate})
        for which in range(count)
        for rate in (0.01, 0.1, 1.0)
    ]


def test_many_optimizers_have_a_panel_each(
    trained: Callable[..., Record], draw: Draw, look: Any
) -> None:
    """Nine things without an order would hide each other: a panel each, on the same axes."""
    (drawing,) = draw(nine(trained))
    panels = [axes for axes in drawing.figure.axes if axes.get_visible()]
    assert [axes.get_title("left") for axes in panels] == [
        f"optimizer optimizer {which}" for which in range(9)
    ]
    assert len({(*axes.get_xlim(), *axes.get_ylim()) for axes in panels}) == 1
    assert all(len(look.marks(axes)) == 3 * 5 for axes in panels)
    assert len(drawing.data) == 9 * 3 * 5
    assert not look.overlaps(drawing.figure)


def test_more_than_panels_hold_have_no_curve(trained: Callable[..., Record], draw: Draw) -> None:
    """Thirteen optimizers leave their rates to the strip and the table."""
    assert draw(nine(trained, 13)) == []


def test_few_optimizers_share_a_panel(trained: Callable[..., Record], draw: Draw) -> None:
    """Six are told by colour, in a panel a metric."""
    (drawing,) = draw(nine(trained, 6))
    assert len(drawing.figure.axes) == 2
