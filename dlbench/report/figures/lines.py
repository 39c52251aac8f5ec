"""Lines that a metric is held against, such as its target, and where their words stand."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from dlbench.report.style import QUIET, text_width, width_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    from dlbench.report.study import ReferenceLine

CLOSE = 0.09
"""A share of a panel's height: a line of words, with some room."""

SIZE = 8
"""Of the words, in points."""

STROKES = {"dashed": (0, (5, 3)), "dotted": (0, (1, 2))}


def noted_lines(
    axes: Axes, lines: Iterable[ReferenceLine], *, upright: bool = False, note: bool = True
) -> None:
    """Draw thin lines through the panel, and say above it what each is.

    Args:
        axes: the panel.
        lines: to draw.
        upright: whether their values are along x.
        note: whether to say so; the figure's legend may.
    """
    for line in lines:
        _stroke(axes, line, upright=upright)
    if note:
        axes.set_title(
            "; ".join(f"{line.stroke}: {line.words}" for line in lines),
            fontsize=SIZE,
            color=QUIET,
            fontweight="normal",
            loc="right",
        )


def line_labels(axes: Axes, lines: Iterable[ReferenceLine]) -> None:
    """Draw thin lines across the panel, each with its words where the fewest curves run.

    The words stand above or below their line, at its right or left end. Where they need room below
    the panel's lower limit, the limit falls. Call it when the curves, the scale and the limits are
    settled.
    """
    falling = sorted(lines, key=lambda line: -line.value)
    shares = [float(_shares(axes, [(0.0, line.value)])[0, 1]) for line in falling]
    curves, taken, lowest = _curves(axes), list[_Box](), 0.0
    for line, share in zip(falling, shares, strict=True):
        _stroke(axes, line)
        others = [one for one in shares if one != share]
        width = text_width(line.words, SIZE) / (0.9 * width_of(axes))
        boxes = [
            _Box(1 - width if right else 0.0, share if above else share - CLOSE, width)
            for right in (True, False)
            for above in (True, False)
        ]
        place = min(range(len(boxes)), key=lambda one: boxes[one].cost(curves, others, taken))
        taken.append(boxes[place])
        lowest = min(lowest, boxes[place].low)
        right, above = place < 2, place % 2 == 0  # noqa: PLR2004 - in the order above
        axes.annotate(
            line.words,
            (1 if right else 0, line.value),
            xycoords=("axes fraction", "data"),
            xytext=(-2 if right else 3, 2 if above else -2),
            textcoords="offset points",
            annotation_clip=True,
            ha="right" if right else "left",
            va="bottom" if above else "top",
            fontsize=SIZE,
            color=QUIET,
            bbox={"facecolor": "white", "alpha": 0.7, "edgecolor": "none", "pad": 0.6},
        )
    if lowest < 0:
        to_data = (axes.transScale + axes.transLimits).inverted()
        axes.set_ylim(bottom=float(to_data.transform((0.0, lowest))[1]))


@dataclass(frozen=True, slots=True)
class _Box:
    """Where a line's words would stand, in shares of the panel."""

    left: float
    low: float
    width: float

    def cost(
        self, curves: Sequence[NDArray[np.float64]], lines: Sequence[float], taken: Sequence[_Box]
    ) -> float:
        """Return how many curves run through the words; other lines and words must not."""
        high, right = self.low + CLOSE, self.left + self.width
        through = sum(
            bool(np.any((self.left <= x) & (x <= right) & (self.low <= y) & (y <= high)))
            for x, y in (curve.T for curve in curves)
        )
        forbidden = sum(self.low < line < high for line in lines)
        forbidden += sum(
            abs(self.low - other.low) < CLOSE
            and self.left < other.left + other.width
            and other.left < right
            for other in taken
        )
        beyond = 0.5 * (self.low < 0)  # the panel would have to grow
        return through + 100 * (forbidden + (high > 1)) + beyond


def _stroke(axes: Axes, line: ReferenceLine, *, upright: bool = False) -> None:
    draw = axes.axvline if upright else axes.axhline
    draw(line.value, color=QUIET, linewidth=0.9, linestyle=STROKES[line.stroke], zorder=1.5)


def _shares(axes: Axes, points: Any) -> NDArray[np.float64]:
    """Return points in shares of the panel, shape `(points, 2)`."""
    return np.asarray((axes.transScale + axes.transLimits).transform(points), dtype=float)


def _curves(axes: Axes) -> list[NDArray[np.float64]]:
    """Return what is drawn as lines, in shares of the panel and without gaps between points."""
    found = []
    for line in axes.get_lines():
        points = _shares(axes, line.get_xydata())
        points = points[np.isfinite(points).all(axis=1)]
        if len(points):
            along = np.linspace(0, len(points) - 1, 50 * len(points))
            knots = np.arange(len(points))
            found.append(np.stack([np.interp(along, knots, one) for one in points.T], axis=1))
    return found
