"""What the target costs by batch size."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from dlbench.report.figures.batches import batch_sizes
from dlbench.report.style import Palette, styled

if TYPE_CHECKING:
    from collections.abc import Callable

    from dlbench.history.record import Record
    from dlbench.report.figures import Drawing
    from dlbench.report.study import Study

    Draw = Callable[[list[Record]], list[Drawing]]


@pytest.fixture
def draw(study_of: Callable[..., Study]) -> Draw:
    """A function that draws the batch sizes of one test's records."""

    def of(records: list[Record]) -> list[Drawing]:
        study = study_of(records)
        with styled():
            return list(batch_sizes(study, Palette.of([study])))

    return of


def test_updates_samples_and_throughput(trained: Callable[..., Record], draw: Draw) -> None:
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
    steps = [np.array(record["metrics"]["steps_to_target"]) for record in records]  # type: ignore[index]
    drawn = np.concatenate([group.get_offsets()[:, 1] for group in updates.collections])
    assert np.allclose(sorted(drawn), sorted(np.concatenate(steps)))
    drawn = np.concatenate([group.get_offsets()[:, 1] for group in samples.collections])
    scaled = np.concatenate([size * some for size, some in zip(sizes, steps, strict=True)])
    assert np.allclose(sorted(drawn), sorted(scaled))
    (line,) = speed.get_lines()
    expected = [record["timing"]["samples_per_second"] for record in records]  # type: ignore[index]
    assert np.allclose(line.get_ydata(), expected)


def test_never_is_marked_at_the_edge(trained: Callable[..., Record], draw: Draw) -> None:
    """A batch size whose seeds never reach the target stands at the upper edge, counted."""
    records = [
        trained("test_a", {"batch_size": size}, batch_size=size, rate=rate)
        for size, rate in ((4, 0.02), (500, 1e-4))
    ]
    (drawing,) = draw(records)
    for axes in drawing.figure.axes[:2]:
        (cross,) = [line for line in axes.get_lines() if line.get_marker() == "X"]
        assert cross.get_xdata()[0] == 500
        assert "5 of 5\nnever" in [text.get_text() for text in axes.texts]


def test_without_target_only_the_throughput(trained: Callable[..., Record], draw: Draw) -> None:
    """Panels exist only for what was measured."""
    records = [trained("test_a", {"batch_size": s}, batch_size=s, target=None) for s in (4, 32)]
    (drawing,) = draw(records)
    assert [axes.get_ylabel() for axes in drawing.figure.axes] == ["samples per second"]
    untimed = [record | {"timing": None} for record in records]
    assert draw(untimed) == []  # type: ignore[arg-type]


def test_the_full_batch_stands_at_its_number(trained: Callable[..., Record], draw: Draw) -> None:
    """ "full" is drawn at the number of samples that it was."""
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
