"""How a test looks at a figure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from dlbench.report.style import Palette, styled

if TYPE_CHECKING:
    from collections.abc import Callable

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
