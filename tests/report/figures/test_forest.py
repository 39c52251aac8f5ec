"""The forest plot: a row a case, a panel a gate, the verdicts' own numbers."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest

from dlbench.report.figures.forest import FARTHEST, MOST_PANELS, forest
from dlbench.report.style import styled

if TYPE_CHECKING:
    from dlbench.report.figures import Drawing

LOSS, ACCURACY = "training_loss", "val_accuracy"


def row(case: str, gate: str = LOSS, degree: str = "equivalent", **changes: Any) -> dict[str, Any]:
    """Return a row of what `effects` returns."""
    told = {"regressed": "worse", "improved": "better", "undecided": "cannot tell"}
    return {
        "case": case, "verdict": told.get(degree, "same"), "degree": degree, "gate": gate,
        "unit": "points" if gate == ACCURACY else "%", "effect": 0.1, "low": -0.2, "high": 0.4,
        "margin": 0.5 if gate == ACCURACY else 1.0, "pairs": 16, "seeds": 16,
    } | changes  # fmt: skip


def drawn(rows: list[dict[str, Any]], cases: list[str] | None = None) -> Drawing:
    """Return the plot of these rows, by default of every case."""
    frame = pd.DataFrame(rows)
    gates = list(dict.fromkeys(frame["gate"]))
    with styled():
        return forest(frame, cases or list(dict.fromkeys(frame["case"])), gates, "0001 old")


def marks(axes: Any) -> dict[str, list[tuple[float, float]]]:
    """Return where the marks of each shape stand."""
    found: dict[str, list[tuple[float, float]]] = {}
    for line in axes.get_lines():
        if line.get_marker() not in {"None", None}:
            points = [(float(x), float(y)) for x, y in line.get_xydata()]
            found.setdefault(line.get_marker(), []).extend(points)
    return found


MOVED = [
    row("a.py::test_w", degree="regressed", effect=5.0, low=4.0, high=6.0),
    row("a.py::test_w", ACCURACY, "undecided", effect=0.2, low=-3.0, high=3.4),
    row("a.py::test_b", degree="improved", effect=-3.0, low=-4.0, high=-2.0),
    row("a.py::test_s", degree="identical", effect=0.0, low=0.0, high=0.0),
]


def test_marks_and_lines_are_the_numbers() -> None:
    """Each effect and interval stands in its case's row, a shape for each word."""
    drawing = drawn(MOVED)
    loss, accuracy = drawing.figure.axes
    assert marks(loss) == {">": [(5.0, 0.0)], "<": [(-3.0, 1.0)], "o": [(0.0, 2.0)]}
    assert marks(accuracy) == {"D": [(0.2, 0.0)]}
    lines = [path.vertices for group in loss.collections for path in group.get_paths()]
    assert sorted(np.concatenate(lines).tolist()) == sorted([
        [4.0, 0.0], [6.0, 0.0], [-4.0, 1.0], [-2.0, 1.0], [0.0, 2.0], [0.0, 2.0],
    ])  # fmt: skip
    assert [text.get_text() for text in loss.get_yticklabels()] == ["w", "b", "s"]
    pd.testing.assert_frame_equal(drawing.data, pd.DataFrame(MOVED))


def test_the_margin_is_a_band() -> None:
    """A band around zero in every row, twice the margin wide; a margin of one's own has its own."""
    drawing = drawn([row("a.py::t"), row("a.py::u", margin=2.0), row("a.py::v", ACCURACY)])
    bars = [
        [
            tuple(bar.get_path().get_extents(bar.get_patch_transform()).intervalx)
            for bar in ax.patches
        ]
        for ax in drawing.figure.axes
    ]
    assert bars == [[(-1, 1), (-2, 2), (-1, 1)], [(-0.5, 0.5)] * 3]


def test_what_can_hardly_be_seen_and_what_is_far_are_in_one_panel() -> None:
    """The axis is linear in the margin and logarithmic beyond; without the need linear throughout."""
    far = drawn([row("a.py::t"), row("a.py::u", effect=90.0, low=70.0, high=120.0)])
    near = drawn([row("a.py::t")])
    assert [one.figure.axes[0].get_xscale() for one in (far, near)] == ["symlog", "linear"]
    ticks = [text.get_text() for text in far.figure.axes[0].get_xticklabels()]
    assert ticks == ["−1", "0", "1", "10", "100"]  # noqa: RUF001 - a minus sign
    short = drawn([row("a.py::t", effect=4.0, low=2.0, high=6.0)]).figure.axes[0]
    assert [text.get_text() for text in short.get_xticklabels()] == ["−1", "0", "1", "5"]  # noqa: RUF001


@pytest.mark.parametrize("high", [math.inf, 1e12])
def test_an_interval_without_an_end_goes_on(high: float) -> None:
    """It leaves the panel with an arrow; the axis has an end."""
    (axes,) = drawn([row("a.py::t", degree="undecided", low=-math.inf, high=high)]).figure.axes
    low, end = axes.get_xlim()
    assert -2 * FARTHEST < low < 0 < end < 2 * FARTHEST
    assert marks(axes)["<"] == [(low, 0.0)]
    assert marks(axes)[">"] == [(end, 0.0)]


def test_what_was_decided_has_a_panel() -> None:
    """Of more gates than panels those that moved come first; the caption names the rest."""
    gates = [LOSS, "val_loss", "val_a", "val_b", "val_c", "steps_to_target"]
    rows = [row("a.py::t", gate) for gate in gates[:-1]]
    drawing = drawn([*rows, row("a.py::t", gates[-1], "regressed", effect=9.0)])
    titles = [axes.get_title(loc="left").replace("\n", " ") for axes in drawing.figure.axes]
    assert len(titles) == MOST_PANELS
    assert titles[0] == "training loss over the run"
    assert titles[-1] == "steps to the target"
    assert "without a panel: final validation b, final validation c" in drawing.caption


def test_only_those_asked_for_are_drawn() -> None:
    """The data has all; who measured nothing has no row."""
    drawing = drawn(MOVED, ["a.py::test_b", "a.py::nobody"])
    (axes,) = drawing.figure.axes
    assert [text.get_text() for text in axes.get_yticklabels()] == ["b"]
    assert len(drawing.data) == len(MOVED)


def test_cases_of_one_name_are_told_apart_by_their_files() -> None:
    """Otherwise the test's own name is enough."""
    (axes,) = drawn([row("x/test_a.py::test_t[1]"), row("x/test_b.py::test_t[1]")]).figure.axes
    assert [text.get_text() for text in axes.get_yticklabels()] == ["a: t[1]", "b: t[1]"]


def test_the_alternative_text_states_the_finding() -> None:
    """Who moved, which way and how far; or that nobody did."""
    assert drawn(MOVED).alt == (
        "Effects against 0001 old: 1 case worse beyond the margin, most of all a.py::test_w in "
        "training loss over the run (5 % worse); 1 case better beyond the margin, most of all "
        "a.py::test_b in training loss over the run (3 % better)."
    )
    quiet = drawn([row("a.py::t"), row("a.py::u", effect=-0.3)]).alt
    assert "of 2 cases none moved beyond its margin for sure" in quiet
    assert "0.3 % in training loss over the run of a.py::u" in quiet


def test_nothing_overlaps(look: Any) -> None:
    """With long names, four panels and as many rows as a page shows."""
    gates = [LOSS, "val_loss", ACCURACY, "steps_to_target"]
    rows = [
        row(f"a.py::test_a_long_name_of_a_test[{n}-with-more]", gate, effect=n / 20)
        for n in range(24)
        for gate in gates
    ]
    assert look.overlaps(drawn(rows).figure) == []
