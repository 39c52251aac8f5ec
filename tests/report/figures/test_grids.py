"""Heat maps over two numbers."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from dlbench.report.figures.grids import heat_map
from dlbench.report.formatting import whole

if TYPE_CHECKING:
    from collections.abc import Callable

    from dlbench.history.record import Record
    from dlbench.report.figures import Drawing

    Draw = Callable[[list[Record]], list[Drawing]]


@pytest.fixture
def draw(drawn: Callable[..., list[Drawing]]) -> Draw:
    """A function that draws this kind of figure."""
    return partial(drawn, heat_map)


def test_cells_are_medians_with_how_many_seeds(
    trained: Callable[..., Record], by_seed: Callable[..., Any], draw: Draw
) -> None:
    """Each cell says its median updates to the target, and a cell without one why."""
    records = [
        trained("test_a", {"size": size, "rate": rate}, rate=rate, diverged=4 if size > 4 else 0)
        for size in (4, 32)
        for rate in (1e-4, 0.02)
    ]
    (drawing,) = draw(records)
    texts = {text.get_text() for text in drawing.figure.axes[0].texts}
    median = float(np.median(by_seed(records[1], "steps_to_target")))
    assert texts == {f"{whole(median)}\n5 of 5", "never", "only\n1 of 5"}
    assert drawing.figure.axes[0].get_xlabel() == "rate"
    assert drawing.figure.axes[0].get_ylabel() == "size"


def test_without_target_the_final_loss(trained: Callable[..., Record], draw: Draw) -> None:
    """Where nothing has a target, cells hold the median final loss; a lost cell says so."""
    records = [
        trained(
            "test_a", {"size": size, "rate": rate}, rate=rate, target=None,
            diverged=5 if size + rate > 32 else 0,
        )
        for size in (4, 32)
        for rate in (1e-3, 0.02)
    ]  # fmt: skip
    (drawing,) = draw(records)
    texts = [text.get_text() for text in drawing.figure.axes[0].texts]
    assert texts.count("diverged") == 2
    assert "training loss" in drawing.caption


def test_a_diagonal_is_no_grid(trained: Callable[..., Record], draw: Draw) -> None:
    """Pairs of parameters that fill few cells, or words, are no heat map."""
    grid = [(x, y) for x in (1, 2, 3) for y in (1, 2, 3)]
    few = [trained("test_a", {"x": x, "y": y}) for x, y in grid if x == y or (x, y) == (1, 2)]
    assert draw(few) == []
    assert draw([trained("test_a", {"x": x, "y": y}) for x in (1, 2) for y in ("a", "b")]) == []
    assert len(draw([trained("test_a", {"x": x, "y": y}) for x, y in grid])) == 1
