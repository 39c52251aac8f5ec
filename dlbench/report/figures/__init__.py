"""Figures of a study: what is drawn follows from what varies in its cases.

`drawings` makes them one by one, so that only one is in memory. A figure receives frames and gives
back a picture with its words and its data; it reads no records and writes no file.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from dlbench.report.figures.batches import batch_sizes
from dlbench.report.figures.drawing import Drawing
from dlbench.report.figures.grids import heat_map
from dlbench.report.figures.layers import layers, totals
from dlbench.report.figures.strips import strips
from dlbench.report.figures.sweeps import sensitivity
from dlbench.report.figures.trends import trends

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dlbench.report.study import Study
    from dlbench.report.style import Palette

__all__ = ["Drawing", "drawings"]


def drawings(study: Study, palette: Palette) -> Iterator[Drawing]:
    """Yield every figure that a study gives, trends first."""
    for draw in (trends, sensitivity, batch_sizes, heat_map, strips, totals, layers):
        yield from draw(study, palette)
