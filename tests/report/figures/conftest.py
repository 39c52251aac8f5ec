"""How a test looks at a figure."""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from matplotlib.axis import Axis
from matplotlib.text import Text

from dlbench.report.style import Palette, styled

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    from dlbench.history.record import Record
    from dlbench.report.figures import Drawing
    from dlbench.report.study import Study


class Look:
    """What stands in a panel."""

    @staticmethod
    def marks(axes: Any) -> NDArray[np.float64]:
        """Return where the marks of seeds stand, shape `(seeds, 2)`."""
        return np.concatenate([np.asarray(group.get_offsets()) for group in axes.collections])

    @staticmethod
    def curves(axes: Any) -> list[NDArray[np.float64]]:
        """Return the lines with more than two points, each of shape `(2, points)`."""
        lines = [np.asarray(line.get_data(), dtype=float) for line in axes.get_lines()]
        return [line for line in lines if line.shape[1] > 2]

    @staticmethod
    def crosses(axes: Any) -> list[tuple[float, float]]:
        """Return where failed runs are marked."""
        crosses = [line for line in axes.get_lines() if line.get_marker() == "X"]
        return [(float(one.get_xdata()[0]), float(one.get_ydata()[0])) for one in crosses]

    @staticmethod
    def texts(axes: Any) -> list[str]:
        """Return the words in a panel."""
        return [text.get_text() for text in axes.texts]

    @staticmethod
    def overlaps(figure: Figure) -> list[tuple[str, str]]:
        """Return the pairs of words that overlap, and the words that leave the figure."""
        engine = figure.get_layout_engine()
        assert engine is not None
        engine.execute(figure)
        figure.set_layout_engine("none")
        figure.draw_without_rendering()
        boxes = [(text.get_text(), Text.get_window_extent(text)) for text in _written(figure)]
        page = figure.bbox
        found = [
            (one, other)
            for (one, a), (other, b) in combinations(boxes, 2)
            if min(a.x1, b.x1) - max(a.x0, b.x0) > 0.5 and min(a.y1, b.y1) - max(a.y0, b.y0) > 0.5
        ]
        outside = [
            (one, "the figure's edge")
            for one, a in boxes
            if min(a.x0, a.y0) < -1 or a.x1 > page.x1 + 1 or a.y1 > page.y1 + 1
        ]
        return found + outside


def _written(artist: Any) -> Iterator[Text]:
    """Yield the words that are shown in a figure, of an axis the ticks within its limits alone."""
    if not artist.get_visible():
        return
    if isinstance(artist, Text):
        if artist.get_text().strip():
            yield artist
    elif isinstance(artist, Axis):
        for tick in artist._update_ticks():  # type: ignore[attr-defined]
            yield from (one for one in (tick.label1, tick.label2) if one.get_visible())
        yield from _written(artist.label)
    else:
        for child in artist.get_children():
            yield from _written(child)


@pytest.fixture
def look() -> type[Look]:
    """What looks into a panel."""
    return Look


@pytest.fixture
def drawn(study_of: Callable[..., Study]) -> Callable[..., list[Drawing]]:
    """A function that draws the figures of one kind of one test's records."""

    def of(draw: Callable[..., Any], records: list[Record]) -> list[Drawing]:
        study = study_of(records)
        with styled():
            return list(draw(study, Palette.of([study])))

    return of
