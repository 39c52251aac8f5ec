"""What a test asserts stands in the figures: each tick at its bound, none where there is none."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from matplotlib.path import Path

from dlbench.report.figures import bounds
from dlbench.report.figures.batches import batch_sizes
from dlbench.report.figures.strips import strips
from dlbench.report.figures.sweeps import sensitivity
from dlbench.report.figures.trends import trends
from dlbench.report.study import Bound
from dlbench.report.style import INK

if TYPE_CHECKING:
    from collections.abc import Callable

    from dlbench.history.record import Record
    from dlbench.report.figures import Drawing

    Draw = Callable[..., list[Drawing]]


def asserted(
    bound: float, summary: str = "final", metric: str = "loss", sign: str = "<=", **changes: Any
) -> dict[str, Any]:
    """Return a bound as a record keeps it."""
    return {
        "summary": summary, "metric": metric, "at": None, "statistic": "median",
        "comparison": sign, "bound": bound, "measured": 0.0, "held": True,
    } | changes  # fmt: skip


def steps_to(bound: float, target: float = 0.9) -> dict[str, Any]:
    """Return a bound on the updates to a validation accuracy."""
    return asserted(bound, "steps_to", "val_accuracy", at=target)


def ticks(axes: Any) -> list[tuple[Any, ...]]:
    """Return where a panel's ticks stand, where their stems point to, and their colours."""
    found: list[tuple[Any, ...]] = []
    for line in axes.get_lines():
        marker = line.get_marker()
        if isinstance(marker, Path):
            x, y = (float(values[0]) for values in line.get_data())
            points: Any = marker.vertices
            stem = points[-1] if len(points) > 2 else (0, 0)
            found.append((x, y, *(round(float(one)) for one in stem), line.get_color()))
    return found


def rates(trained: Callable[..., Record], *found: list[Any]) -> list[Record]:
    """Return records of some rates, each with what the test asserts of it."""
    return [
        trained("test_a", {"learning_rate": 10.0**place}, rate=0.01, asserted=some)
        for place, some in enumerate(found)
    ]


def test_a_bound_on_final_values_stands_at_the_end_of_its_curve(
    trained: Callable[..., Record], drawn: Draw
) -> None:
    """In the case's colour, in the panel of its metric alone, the stem to where the median may be."""
    records = rates(trained, [asserted(0.5)], [asserted(0.8, metric="val_accuracy", sign=">=")])
    (drawing,) = drawn(trends, records)
    loss, validation_loss, accuracy = drawing.figure.axes
    colours = [line.get_color() for line in loss.get_lines()[:2]]
    assert ticks(loss) == [(400.0, 0.5, 0, -1, colours[0])]
    assert ticks(accuracy) == [(400.0, 0.8, 0, 1, colours[1])]
    assert ticks(validation_loss) == []
    assert "ticks: what the test asserts of the median, the stem" in drawing.caption


def test_a_bound_on_updates_stands_at_its_value(
    trained: Callable[..., Record], drawn: Draw
) -> None:
    """Along updates, epochs and seconds alike, where the target is to be reached before."""
    records = [
        trained("test_a", {"batch_size": size}, batch_size=size, asserted=[steps_to(bound)])
        for size, bound in ((32, 100.0), (100, 200.0))
    ]
    (drawing,) = drawn(trends, records)
    updates, epochs, seconds = drawing.figure.axes[-3:]
    assert [one[:4] for one in ticks(updates)] == [(100.0, 0.9, -1, 0), (200.0, 0.9, -1, 0)]
    assert [one[0] for one in ticks(epochs)] == pytest.approx([100 / 32, 200 / 10])
    step = [record["timing"]["seconds"] for record in records]  # type: ignore[index]
    assert [one[0] for one in ticks(seconds)] == pytest.approx([100 * step[0], 200 * step[1]])


def test_a_bound_that_cases_share_has_no_case_s_colour(
    trained: Callable[..., Record], drawn: Draw
) -> None:
    """One dark tick for all, which the caption explains."""
    (drawing,) = drawn(trends, rates(trained, [asserted(0.5)], [asserted(0.5)], [asserted(1.0)]))
    shared, own = ticks(drawing.figure.axes[0])
    assert shared == (400.0, 0.5, 0, -1, INK)
    assert own[-1] != INK
    assert ", dark where several cases share it," in drawing.caption


def test_final_values_of_a_sweep_have_their_bounds(
    trained: Callable[..., Record], drawn: Draw
) -> None:
    """At the number that varies; a bound near the values is in the panel, one far away is not."""
    records = rates(trained, [asserted(0.06)], [asserted(0.03, sign=">=")], [asserted(1e6)])
    (drawing,) = drawn(sensitivity, records)
    loss, accuracy = drawing.figure.axes
    assert [one[:4] for one in ticks(loss)] == [(1.0, 0.06, 0, -1), (10.0, 0.03, 0, 1)]
    assert ticks(accuracy) == []
    low, high = loss.get_ylim()
    assert low < 0.03
    assert 0.06 < high < 10


def test_rows_of_a_strip_have_their_bounds(trained: Callable[..., Record], drawn: Draw) -> None:
    """Upright in the row, on final values and on the updates to the target."""
    found = [asserted(0.95, metric="val_accuracy", sign=">="), steps_to(235.0), steps_to(9.0, 0.5)]
    records = [
        trained("test_a", {"activation": "tanh"}),
        trained("test_a", {"activation": "relu"}, asserted=found),
    ]
    (drawing,) = drawn(strips, records)
    final, steps = drawing.figure.axes
    assert ticks(final) == [(0.95, 1.0, 1, 0, INK)]
    assert ticks(steps) == [(235.0, 1.0, -1, 0, INK)]
    assert steps.get_xlim()[1] >= 235
    assert drawing.caption.count("ticks: what the test asserts of the median") == 1


def test_batch_sizes_have_the_bounds_on_updates(
    trained: Callable[..., Record], drawn: Draw
) -> None:
    """In updates as asserted, in samples times the batch size."""
    records = [
        trained("test_a", {"batch_size": size}, batch_size=size, asserted=[steps_to(260.0)])
        for size in (4, 32)
    ]
    (drawing,) = drawn(batch_sizes, records)
    updates, samples, speed = drawing.figure.axes
    assert [one[:4] for one in ticks(updates)] == [(4.0, 260.0, 0, -1), (32.0, 260.0, 0, -1)]
    assert [one[:2] for one in ticks(samples)] == [(4.0, 1040.0), (32.0, 8320.0)]
    assert ticks(speed) == []
    assert "ticks" in drawing.caption


@pytest.mark.parametrize("draw", [trends, sensitivity, batch_sizes, strips])
def test_without_bounds_nothing_is_said_of_any(
    trained: Callable[..., Record], drawn: Draw, draw: Any
) -> None:
    """Records of older runs, and bounds on what no figure shows, give the figures of before."""
    names = {strips: ("activation", ("a", "b", "c")), batch_sizes: ("batch_size", (4, 32, 100))}
    name, levels = names.get(draw, ("learning_rate", (0.1, 1.0, 10.0)))
    none = [asserted(1.0, "share", "failed", statistic=""), asserted(0.1, "oscillation")]
    for found in ([], none):
        records = [trained("test_a", {name: one}, asserted=found) for one in levels]
        (drawing,) = drawn(draw, records)
        assert "tick" not in drawing.caption
        assert [ticks(axes) for axes in drawing.figure.axes] == [[]] * len(drawing.figure.axes)


def test_what_is_near_is_judged_by_the_values() -> None:
    """On a linear axis by their span, from a decade on by decades; without values nothing is near."""
    some = [
        Bound("final", "loss", None, "median", "<=", value, None, held=False)
        for value in (-0.5, 1.9, 3.5, 25.0)
    ]
    assert bounds.near(np.array([1.0, 2.0, np.nan]), some) == [1.9]
    assert bounds.near(np.array([0.05, 2.0]), some) == [1.9, 3.5]
    assert bounds.near(np.array([np.inf]), some) == []


def test_an_equation_has_no_stem(trained: Callable[..., Record], drawn: Draw) -> None:
    """Where a number is to be the bound, no side is pointed to."""
    (drawing,) = drawn(trends, rates(trained, [asserted(0.5, sign="==")], []))
    assert ticks(drawing.figure.axes[0])[0][:4] == (400.0, 0.5, 0, 0)
