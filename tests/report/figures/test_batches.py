"""What the target costs by batch size."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from dlbench.report.figures.batches import batch_sizes

if TYPE_CHECKING:
    from collections.abc import Callable

    from dlbench.history.record import Record
    from dlbench.report.figures import Drawing

    Draw = Callable[[list[Record]], list[Drawing]]


@pytest.fixture
def draw(drawn: Callable[..., list[Drawing]]) -> Draw:
    """A function that draws this kind of figure."""
    return partial(drawn, batch_sizes)


def test_updates_samples_and_throughput(
    trained: Callable[..., Record], by_seed: Callable[..., Any], draw: Draw, look: Any
) -> None:
    """Every seed's updates to the target, the samples in them, and what a second trains."""
    sizes = (4, 32, 100)
    records = [trained("test_a", {"batch_size": size}, batch_size=size) for size in sizes]
    (drawing,) = draw(records)
    updates, samples, speed = drawing.figure.axes
    assert [axes.get_xscale() + axes.get_yscale() for axes in drawing.figure.axes] == ["loglog"] * 3
    assert [axes.get_ylabel() for axes in drawing.figure.axes] == [
        "updates to target",
        "samples to target",
        "samples per second",
    ]
    steps = [by_seed(record, "steps_to_target") for record in records]
    assert np.allclose(np.sort(look.marks(updates)[:, 1]), np.sort(np.concatenate(steps)))
    scaled = np.concatenate([size * some for size, some in zip(sizes, steps, strict=True)])
    assert np.allclose(np.sort(look.marks(samples)[:, 1]), np.sort(scaled))
    ((_, speeds),) = look.curves(speed)
    expected = [record["timing"]["samples_per_second"] for record in records]  # type: ignore[index]
    assert list(speeds) == expected


def test_never_is_marked_at_the_edge(trained: Callable[..., Record], draw: Draw, look: Any) -> None:
    """A batch size whose seeds never reach the target stands at the upper edge, counted."""
    records = [
        trained("test_a", {"batch_size": size}, batch_size=size, rate=rate)
        for size, rate in ((4, 0.02), (500, 1e-4))
    ]
    (drawing,) = draw(records)
    for axes in drawing.figure.axes[:2]:
        ((size, _),) = look.crosses(axes)
        assert size == 500
        assert "5/5" in look.texts(axes)


def test_without_target_only_the_throughput(trained: Callable[..., Record], draw: Draw) -> None:
    """Panels exist only for what was measured."""
    records = [trained("test_a", {"batch_size": s}, batch_size=s, target=None) for s in (4, 32)]
    (drawing,) = draw(records)
    assert [axes.get_ylabel() for axes in drawing.figure.axes] == ["samples per second"]
    for record in records:
        record["timing"] = None
    assert draw(records) == []


def test_the_full_batch_stands_at_its_number(trained: Callable[..., Record], draw: Draw) -> None:
    """A batch size of "full" is drawn at the number of samples that it was."""
    records = [
        trained("test_a", {"batch_size": size}, batch_size=1000 if size == "full" else size)
        for size in (10, "full")
    ]
    (drawing,) = draw(records)
    axes = drawing.figure.axes[0]
    assert [text.get_text() for text in axes.get_xticklabels()] == ["10", "1,000"]


def test_nothing_is_drawn_where_no_batch_size_varies(
    trained: Callable[..., Record], draw: Draw
) -> None:
    """Another factor draws nothing here."""
    assert draw([trained("test_a", {"rate": rate}) for rate in (1, 2)]) == []


def test_what_stands_at_the_edge_has_room_at_the_sides(
    trained: Callable[..., Record], draw: Draw, look: Any
) -> None:
    """The count of the smallest batch size stands right of the axis, of the largest in the panel."""
    records = [
        trained("test_a", {"batch_size": size}, batch_size=size, seeds=16, rate=rate)
        for size, rate in ((1, 1e-4), (4, 0.02), (32, 0.02), (1437, 1e-4))
    ]
    (drawing,) = draw(records)
    assert not look.overlaps(drawing.figure)
    for axes in drawing.figure.axes[:2]:
        panel = axes.get_window_extent()
        first, last = (text.get_window_extent() for text in axes.texts)
        assert panel.x0 < first.x0
        assert last.x1 < panel.x1
    legend = [text.get_text() for text in drawing.figure.legends[0].get_texts()]
    assert legend[-1] == "never reached the target"
