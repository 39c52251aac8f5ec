"""Strips show every seed of every value without an order."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from dlbench.report.figures.strips import strips

if TYPE_CHECKING:
    from collections.abc import Callable

    from dlbench.history.record import Record
    from dlbench.report.figures import Drawing

    Draw = Callable[[list[Record]], list[Drawing]]


@pytest.fixture
def draw(drawn: Callable[..., list[Drawing]]) -> Draw:
    """A function that draws this kind of figure."""
    return partial(drawn, strips)


def test_a_row_a_value_with_every_seed(
    trained: Callable[..., Record], by_seed: Callable[..., Any], draw: Draw
) -> None:
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
        places = np.asarray(axes.collections[0].get_offsets())
        values = np.concatenate([by_seed(record, metric) for record in records])
        assert np.allclose(np.sort(places[:, 0]), np.sort(values))
        assert set(places[:, 1].round()) == {0.0, 1.0}


def test_failed_seeds_are_counted_beside_their_row(
    trained: Callable[..., Record], draw: Draw, look: Any
) -> None:
    """A row says how many of its seeds diverged, and how many never reached the target."""
    records = [
        trained("test_a", {"activation": "tanh"}, rate=0.02),
        trained("test_a", {"activation": "relu"}, rate=0.02, diverged=2),
        trained("test_a", {"activation": "linear"}, rate=1e-4),
    ]
    final, steps = draw(records)[0].figure.axes
    assert look.texts(final) == ["2 diverged"]
    assert look.texts(steps) == ["2 never", "5 never"]


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
