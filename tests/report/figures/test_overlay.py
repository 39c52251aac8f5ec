"""Two runs' curves over each other: what is drawn."""

from __future__ import annotations

import base64
import struct
from typing import Any

import numpy as np
import pytest

from dlbench.report.figures.overlay import Both, curves_figure, overlay
from dlbench.report.style import styled
from dlbench.runs import Runs

A = "bench/test_a.py::test_b[1]"


def both(made: Any, **curves: list[float]) -> Both:
    """Return two runs of which the second has other curves."""
    old, new = made[0](A, 4, 0.0)["runs"], made[0](A, 4, 0.1)["runs"]
    for name, values in curves.items():
        text = base64.b64encode(struct.pack(f"<{len(values)}f", *values)).decode()
        new["curves"][name] = text
    return Both((Runs.from_builtins(old), Runs.from_builtins(new)), ("A  old", "B  new"))


def test_a_panel_a_metric_and_a_line_a_run(made: Any) -> None:
    """Medians over the seeds, A's and B's; the legend names both and the band."""
    with styled():
        figure = curves_figure(both(made), "worse: t")
    panels = figure.axes
    assert [panel.get_title(loc="left") for panel in panels] == [
        "training loss",
        "validation accuracy",
    ]
    for line, shift in zip(panels[0].lines, (0.0, 0.1), strict=True):
        assert np.asarray(line.get_ydata(), dtype=float) == pytest.approx([2.0, 0.515 + shift])
    (legend,) = figure.legends
    assert {text.get_text() for text in legend.get_texts()} == {
        "A  old", "B  new", "band spans the middle half of the seeds (IQR)",
    }  # fmt: skip
    assert legend.get_title().get_text() == "worse: t"


def test_runs_that_diverged_leave_room_for_the_others(made: Any) -> None:
    """A loss beyond ten times its start is not drawn."""
    wild = [2.0, 1e9] * 4
    with styled():
        figure = curves_figure(both(made, loss=wild), "t")
    assert figure.axes[0].get_ylim()[1] < 30


def test_a_metric_of_one_side_only(made: Any) -> None:
    """It has a panel with one line."""
    pair = both(made, val_new=[0.1, 0.2] * 4)
    assert pair.metrics == ["loss", "val_accuracy", "val_new"]
    with styled():
        figure = curves_figure(pair, "t")
    assert len(figure.axes[2].lines) == 1


def test_its_words_and_its_data(made: Any) -> None:
    """The last medians of both sides in words, every point of both bands in the data."""
    with styled():
        drawing = overlay(both(made), A, "worse +9 %")
    assert drawing.alt == (
        f"Curves of {A}: worse +9 %. Medians at the end: training loss 0.515 there, 0.615 here; "
        "validation accuracy 0.900 there, 0.900 here."
    )
    last = drawing.data[(drawing.data["metric"] == "loss") & (drawing.data["step"] == 10)]
    assert dict(zip(last["run"], last["median"], strict=True)) == pytest.approx(
        {"A  old": 0.515, "B  new": 0.615}
    )
    assert len(drawing.data) == 8
