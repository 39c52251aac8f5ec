"""Both runs' curves over each other: what is drawn, and under which names."""

from __future__ import annotations

import base64
import struct
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from dlbench.cli.compare_figures import Both, curves_figure, draw
from dlbench.cli.compare_view import View
from dlbench.report.style import styled
from dlbench.runs import Runs

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from dlbench.cli.compare_sides import Compared

    Against = Callable[..., Compared]

A = "bench/test_a.py::test_b[1]"


def both(made: Any, **curves: list[float]) -> Both:
    """Return two runs of which the second has other curves."""
    old, new = made[0](A, 4, 0.0)["runs"], made[0](A, 4, 0.1)["runs"]
    for name, values in curves.items():
        text = base64.b64encode(struct.pack(f"<{len(values)}f", *values)).decode()
        new["curves"][name] = text
    return Both((Runs.from_builtins(old), Runs.from_builtins(new)), ("A  old", "B  new"))


def drawn(found: list[Compared], folder: Path, *, only: bool = False) -> list[Path]:
    """Draw what is shown, the cases in the order of their names."""
    return list(draw(found, View.of(found, [], "case", only_failing=only), folder))


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


def test_files(against: Against, made: Any, tmp_path: Path) -> None:
    """A PNG and an SVG a case that both sides trained; names never clash and lead nowhere."""
    cases = ["../../x.py::t", "::", A, "other/test_a.py::test_b(1)"]
    old = [made[0](case, 4, 0.0) for case in [*cases, "gone.py::t"]]
    found = against(old, [made[0](case, 4, 0.1) for case in cases])
    paths = drawn([found], tmp_path / "deep")
    assert [path.name for path in paths] == [
        "x-py-t.png", "case.png", "test_a-py-test_b-1.png", "test_a-py-test_b-1--2.png",
    ]  # fmt: skip
    assert len(list((tmp_path / "deep").iterdir())) == 8
    assert drawn([found], tmp_path / "none", only=True) == []
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in paths)


def test_several_comparisons_are_numbered(against: Against, made: Any, tmp_path: Path) -> None:
    """B's and C's figures of one case lie beside each other."""
    found = against([made[0](A, 4, 0.0)], [made[0](A, 4, 0.1)])
    names = [path.name for path in drawn([found, found], tmp_path / "f")]
    assert names == ["test_a-py-test_b-1-1.png", "test_a-py-test_b-1-2.png"]
