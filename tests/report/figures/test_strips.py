"""Strips show every seed of every value without an order."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from dlbench.report.figures.strips import strips
from dlbench.report.style import Palette, styled

if TYPE_CHECKING:
    from collections.abc import Callable

    from dlbench.history.record import Record
    from dlbench.report.figures import Drawing
    from dlbench.report.study import Study

    Draw = Callable[[list[Record]], list[Drawing]]


@pytest.fixture
def draw(study_of: Callable[..., Study]) -> Draw:
    """A function that draws the strips of one test's records."""

    def of(records: list[Record]) -> list[Drawing]:
        study = study_of(records)
        with styled():
            return list(strips(study, Palette.of([study])))

    return of


def test_a_row_a_value_with_every_seed(trained: Callable[..., Record], draw: Draw) -> None:
    """Each value has a row in its order, with its seeds' final values and updates to the target."""
    records = [
        trained("test_a", {"activation": name}, rate=rate)
        for name, rate in (("tanh", 0.01), ("relu", 0.02))
    ]
    (drawing,) = draw(records)
    final, steps = drawing.figure.axes
    assert [text.get_text() for text in final.get_yticklabels()] == ["tanh", "relu"]
    assert (final.get_xlabel(), steps.get_xlabel()) == (
        "final validation accuracy",
        "updates to target",
    )
    for axes, metric in ((final, "final_val_accuracy"), (steps, "steps_to_target")):
        marks = axes.collections[0].get_offsets()
        values = np.concatenate([record["metrics"][metric] for record in records])  # type: ignore[index, arg-type, misc]
        assert np.allclose(sorted(marks[:, 0]), sorted(values))
        assert set(np.round(marks[:, 1])) == {0.0, 1.0}


def test_failed_seeds_are_counted_beside_their_row(
    trained: Callable[..., Record], draw: Draw
) -> None:
    """A row says how many of its seeds diverged, and how many never reached the target."""
    records = [
        trained("test_a", {"activation": "tanh"}, rate=0.02),
        trained("test_a", {"activation": "relu"}, rate=0.02, diverged=2),
        trained("test_a", {"activation": "linear"}, rate=1e-4),
    ]
    final, steps = draw(records)[0].figure.axes
    assert [text.get_text() for text in final.texts] == ["2 diverged"]
    assert [text.get_text() for text in steps.texts] == ["2 never", "5 never"]


def test_rows_of_two_factors_name_both(trained: Callable[..., Record], draw: Draw) -> None:
    """With a further factor every combination has its row."""
    records = [
        trained("test_a", {"depth": depth, "activation": name})
        for depth in (1, 3)
        for name in ("tanh", "relu")
    ]
    axes = draw(records)[0].figure.axes[0]
    labels = [text.get_text() for text in axes.get_yticklabels()]
    assert labels == ["tanh, 1", "tanh, 3", "relu, 1", "relu, 3"]
    assert axes.get_ylabel() == "activation, depth"


def test_numbers_alone_have_no_strip(trained: Callable[..., Record], draw: Draw) -> None:
    """What has an order is a curve, not a strip."""
    assert draw([trained("test_a", {"x": x}) for x in (1, 2)]) == []
