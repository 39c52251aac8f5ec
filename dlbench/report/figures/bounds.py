"""What a test asserts, drawn: a tick at the bound, whose stem points to where the number is to lie."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.path import Path
from matplotlib.transforms import Affine2D, ScaledTranslation

from dlbench.report.formatting import listed

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    from dlbench.report.study import Bound, Study

STEPS = "steps_to_target"

SIZE = 8.0
"""Of a tick, in points: what a mark a seed takes, and a little more."""

BESIDE = 6.0
"""Points from the end of a curve to a tick."""

FAR = 10.0
"""A bound so many times beyond the values is left to the table: the panel would be empty."""

_BAR = ((-1.0, 0.0), (1.0, 0.0))
_STEM = ((0.0, 0.0), (0.0, 1.0))


def of_column(study: Study, record: int, column: str) -> list[Bound]:
    """Return a case's bounds on one of the numbers that a seed has: `final_…` or steps_to_target."""
    if column == STEPS:
        return [
            one
            for one in study.asserted(record)
            if one.summary == "steps_to" and (one.metric, one.at) == study.target
        ]
    metric = column.removeprefix("final_")
    return [one for one in study.asserted(record) if (one.summary, one.metric) == ("final", metric)]


def near(values: NDArray[np.float64], bounds: Iterable[Bound]) -> list[float]:
    """Return where those bounds lie that are not too far from the values to share their panel."""
    known = values[np.isfinite(values)]
    if not known.size:
        return []
    low, high = float(known.min()), float(known.max())
    if low > 0 and high > FAR * low:
        return [one.bound for one in bounds if low / FAR <= one.bound <= high * FAR]
    reach = max(high - low, 0.1 * abs(high))
    return [one.bound for one in bounds if low - reach <= one.bound <= high + reach]


def tick(  # noqa: PLR0913 - all but three by keyword
    axes: Axes,
    x: float,
    y: float,
    *,
    side: int,
    colour: str,
    upright: bool = False,
    beside: bool = False,
) -> bool:
    """Draw a bound where it lies within the panel; return whether it does.

    Args:
        axes: the panel, its limits settled.
        x: where.
        y: where.
        side: where the number is to lie: 1 above, -1 below, 0 at the bound.
        colour: the case's.
        upright: whether the number is along x.
        beside: whether a little to the right of there, where a curve ends.
    """
    if not all(
        min(limits) <= value <= max(limits)
        for value, limits in ((x, axes.get_xlim()), (y, axes.get_ylim()))
    ):
        return False
    shift = ScaledTranslation(BESIDE * beside / 72, 0, axes.get_figure().dpi_scale_trans)  # type: ignore[union-attr]
    axes.plot(
        [x], [y], marker=_shape(side, upright=upright), markersize=SIZE, color=colour,
        markerfacecolor="none", markeredgewidth=1.2, linestyle="none", zorder=4, clip_on=False,
        transform=axes.transData + shift,
    )  # fmt: skip
    return True


def _shape(side: int, *, upright: bool) -> Path:
    stem = [(x, side * y) for x, y in _STEM] if side else []
    path = Path([*_BAR, *stem], [Path.MOVETO, Path.LINETO] * (2 if side else 1))
    return path.transformed(Affine2D().rotate_deg(-90)) if upright else path


def explained(drawn: Sequence[Bound], *, shared: bool = False) -> str:
    """Return what the ticks of a figure are, for its caption; empty where it has none.

    Args:
        drawn: what could be.
        shared: whether one tick stands for cases of different colours.
    """
    if not drawn:
        return ""
    of = listed(dict.fromkeys(f"the {one.statistic}" for one in drawn))
    dark = ", dark where several cases share it" if shared else ""
    return f"; ticks: what the test asserts of {of}{dark}, the stem to the side where it is to lie"
