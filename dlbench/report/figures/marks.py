"""What figures of one number a seed share: a mark a seed, a line through medians, the failed."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.lines import Line2D

from dlbench.report.figures import bounds
from dlbench.report.figures.lines import STROKES
from dlbench.report.formatting import shortened
from dlbench.report.spreads import spread
from dlbench.report.style import (
    INK,
    QUIET,
    REGIME_COLOURS,
    REGIME_MARKS,
    Palette,
    text_width,
    width_of,
)
from dlbench.report.style import legend as draw_legend

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    from dlbench.report.study import Bound, Factor, ReferenceLine, Study

    Array: TypeAlias = NDArray[np.float64]

EDGE = 0.955
"""Where marks stand that have no finite place: a share of the panel's height."""

DECADE = 10.0
FEW = 8
"""More seeds a case hide each other behind the white edges of their marks."""

MANY = 40
"""More seeds a case are told by the density of their marks."""

SIDE = 0.1
"""A share of a panel's width that stays free at each side, for the marks beside the outer values."""

ROOM = 0.16
"""A share of the values' height that is added for marks at the edge and what is written there."""

SMALL = 7.5
"""Of the counts at the edge, in points."""

LEAST_SPAN = 0.04
"""An axis spans at least this share of its values: below, rounding would look like a finding."""


def points(study: Study, column: str, factor: Factor) -> pd.DataFrame:
    """Return a row a seed: what is drawn up, the factor's number, regime and levels.

    `value` is NaN where a run diverged or never came to it: these stand at the panel's edge.
    """
    frame = study.seeds.copy()
    frame["number"] = [factor.number(level) for level in frame[factor.column]]
    frame["value"] = frame[column].where(np.isfinite(frame[column]))
    if column != "steps_to_target":
        frame["value"] = frame["value"].where(frame["regime"] != "diverged")
    others = [frame[one.column].astype(str) for one in study.others(factor)]
    frame["series"] = ["|".join(levels) for levels in zip(*others, strict=True)] if others else ""
    kept = ["record", "seed", "regime", "number", "value", "series"]
    return frame[[*kept, *(one.column for one in study.factors)]]


def medians(study: Study, frame: pd.DataFrame, *, higher: bool) -> pd.DataFrame:
    """Return a row a case: the median of its seeds, the failed counted as the worst."""
    rows = [
        {
            **case.iloc[0][["record", "number", "series", *(one.column for one in study.factors)]],
            "median": spread(case["value"], higher=higher).median,
        }
        for _, case in frame.groupby("record", sort=False)
    ]
    result = pd.DataFrame(rows).sort_values("number", kind="stable")
    for one in study.factors:
        result[one.column] = result[one.column].astype(frame[one.column].dtype)
    return result.assign(median=result["median"].where(np.isfinite(result["median"])))


def scatter(  # noqa: PLR0913 - all but two by keyword
    axes: Axes,
    study: Study,
    frame: pd.DataFrame,
    *,
    higher: bool,
    hue: Factor | None,
    palette: Palette,
) -> None:
    """Draw a mark a seed, by regime, and a line through each series' medians.

    Without a further factor the regimes have the colours; with one, its levels have. Call it when
    `across` has settled the axis.
    """
    lines = medians(study, frame, higher=higher).dropna(subset="median")
    if len(lines):
        lines = lines.assign(number=_beside(axes, lines, hue, np.zeros(len(lines))))
        by_hue: dict[str, Any] = {"color": QUIET}
        if hue:
            by_hue = {"hue": hue.column, "palette": palette.colour_map(hue)}
        sns.lineplot(
            lines, x="number", y="median", units="series", estimator=None, ax=axes, legend=False,
            linewidth=1.2, zorder=2, **by_hue,
        )  # fmt: skip
    shown = frame.dropna(subset="value")
    if len(shown):
        seeds = shown.groupby("record")["seed"].rank().to_numpy()
        seeds = (seeds - (seeds.max() + 1) / 2) / max(seeds.max() - 1, 1)
        shown = shown.assign(number=_beside(axes, shown, hue, seeds))
        colours = palette.colour_map(hue) if hue else REGIME_COLOURS
        sns.scatterplot(
            shown, x="number", y="value", hue=hue.column if hue else "regime", palette=colours,
            style="regime", markers=REGIME_MARKS, legend=False, ax=axes, zorder=3,
            **dots(shown),
        )  # fmt: skip


def asserted(  # noqa: PLR0913 - all but four by keyword
    axes: Axes,
    study: Study,
    frame: pd.DataFrame,
    column: str,
    *,
    hue: Factor | None,
    palette: Palette,
    times: str | None = None,
) -> list[Bound]:
    """Draw what the test asserts of each case, in its colour; return what could be drawn.

    Args:
        axes: the panel, its axes settled.
        study: of the cases.
        frame: what `points` returned.
        column: what is drawn up, by its name in the study's seeds.
        hue: a further factor, whose levels have the colours.
        palette: of the run.
        times: a column by which what is drawn up was multiplied.
    """
    cases = frame.drop_duplicates("record")
    places = _beside(axes, cases, hue, np.zeros(len(cases)))
    return [
        one
        for x, (_, case) in zip(places, cases.iterrows(), strict=True)
        for one in bounds.of_column(study, case["record"], column)
        if bounds.tick(
            axes, x, one.bound * (case[times] if times else 1), side=one.side,
            colour=palette.colour(hue, str(case[hue.column])) if hue else INK,
        )
    ]  # fmt: skip


def dots(shown: pd.DataFrame) -> dict[str, Any]:
    """Return how a mark a seed looks: the more they are, the less of an edge hides the others."""
    seeds = shown.groupby("record").size().max()
    if seeds > MANY:
        return {"s": 12, "linewidth": 0, "alpha": 0.45}
    if seeds > FEW:
        return {"s": 28, "linewidth": 0, "alpha": 0.7}
    return {"s": 30, "linewidth": 0.5, "edgecolor": "white"}


def _beside(axes: Axes, frame: pd.DataFrame, hue: Factor | None, seeds: Array) -> Array:
    """Return where along x each row stands: seeds, and the series of a hue, beside each other.

    Args:
        axes: the panel, its axis settled.
        frame: rows with a number.
        hue: whose levels stand side by side.
        seeds: the place of each row among the seeds, from -0.5 to 0.5.
    """
    series = np.zeros(len(frame))
    if hue:
        series = np.array([hue.levels.index(level) for level in frame[hue.column]], dtype=float)
        series = (series - (len(hue.levels) - 1) / 2) / max(len(hue.levels) - 1, 1)
    low, high = axes.get_xlim()
    shift = 0.016 * seeds + 0.05 * series
    numbers = frame["number"].to_numpy(dtype=float)
    if axes.get_xscale() == "log":
        return np.asarray(numbers * (high / low) ** shift, dtype=float)
    return np.asarray(numbers + (high - low) * shift, dtype=float)


def across(axes: Axes, numbers: Array, *, log: bool) -> None:
    """Settle the axis of the number that varies, with room at both sides."""
    low, high = float(np.min(numbers)), float(np.max(numbers))
    axes.set_xscale("log" if log else "linear")
    if log:
        beside = max((high / low) ** SIDE, 1.2)
        axes.set_xlim(low / beside, high * beside)
    else:
        beside = SIDE * (high - low) or 1.0
        axes.set_xlim(low - beside, high + beside)


def up(axes: Axes, values: Array, *, share: bool) -> None:
    """Settle the axis of the values: logarithmic from a decade on, if all are above 0.

    Args:
        axes: the panel.
        values: along y, those of lines across included; NaN where there is none.
        share: whether the axis stays linear, as that of an accuracy does.
    """
    known = values[np.isfinite(values)]
    if not known.size:
        return
    low, high = float(known.min()), float(known.max())
    if not share and span(values) > DECADE:
        axes.set_yscale("log")
        beside = (high / low) ** 0.06
        axes.set_ylim(low / beside, high * beside)
        return
    middle = float(np.median(known))
    least = LEAST_SPAN * abs(middle) or 0.5
    if high - low < least:
        axes.set_ylim(middle - least, middle + least)
    else:
        beside = 0.06 * (high - low)
        axes.set_ylim(low - beside, high + beside)


def edge_room(axes: Axes, *, top: bool) -> None:
    """Move the panel's limit so that marks at the edge, and their counts, are in no mark's way."""
    low, high = axes.get_ylim()
    if axes.get_yscale() == "log":
        grow = (high / low) ** ROOM
        axes.set_ylim((low, high * grow) if top else (low / grow, high))
    else:
        ticks = [tick for tick in axes.get_yticks() if low <= tick <= high]
        grow = (high - low) * ROOM
        axes.set_ylim((low, high + grow) if top else (low - grow, high))
        axes.set_yticks(ticks)  # none where no value can be


def at_edge(axes: Axes, frame: pd.DataFrame, *, top: bool, colour: str) -> None:
    """Mark the seeds without a finite value at the edge, each place with how many of how many.

    Where the places are too close for their counts, the marks stand alone.
    """
    lost = frame[frame["value"].isna()]
    share = EDGE if top else 1 - EDGE
    transform = axes.get_xaxis_transform()
    counts = {
        float(place): f"{len(group)}/{int((frame['number'] == place).sum())}"
        for place, group in lost.groupby("number")
    }
    fits = not crowded(axes, list(counts), list(counts.values()), SMALL)
    for place, text in counts.items():
        axes.plot(
            [place], [share], marker="X", markersize=8, color=colour, markeredgecolor="white",
            markeredgewidth=0.7, linestyle="none", transform=transform, clip_on=False, zorder=5,
        )  # fmt: skip
        if fits:
            axes.annotate(
                text,
                (place, share),
                xycoords=transform,
                xytext=(0, -7 if top else 7),
                textcoords="offset points",
                ha="center",
                va="top" if top else "bottom",
                fontsize=SMALL,
                color=INK,
            )


def crowded(axes: Axes, numbers: Iterable[float], texts: Sequence[str], size: float) -> bool:
    """Return whether texts at these places along x come closer than they can be read."""
    places = axes.transData.transform([(one, 1.0) for one in numbers] or [(1.0, 1.0)])[:, 0]
    to_points = 0.9 * width_of(axes) / axes.get_window_extent().width
    half = [text_width(text, size) / 2 for text in texts]
    gaps = np.diff(places) * to_points
    needs = [left + right + size / 3 for left, right in pairwise(half)]
    return bool((gaps < needs).any())


def legend(  # noqa: PLR0913 - all but two by keyword
    figure: Figure,
    palette: Palette,
    *,
    hue: Factor | None,
    regimes: Collection[str],
    lost: tuple[str, str] | None = None,
    lines: Iterable[ReferenceLine] = (),
) -> None:
    """Draw the figure's legend.

    Args:
        figure: without a legend.
        palette: of the run.
        hue: a further factor whose levels have the colours.
        regimes: that occur.
        lost: what the crosses at the edge are, and their colour.
        lines: reference lines that no panel names.
    """
    levels = hue.levels if hue else ()
    handles = [
        Line2D([], [], color=palette.colour(hue, level), linewidth=2,
               label=f"{hue.title} {shortened(level)}")
        for level in levels if hue
    ]  # fmt: skip
    handles += [
        Line2D(
            [], [], linestyle="none", marker=REGIME_MARKS[regime], markersize=6.5, label=regime,
            color=QUIET if hue else REGIME_COLOURS[regime],
        )
        for regime in REGIME_MARKS
        if regime in regimes
    ]  # fmt: skip
    if lost:
        word, colour = lost
        handles.append(
            Line2D([], [], linestyle="none", marker="X", markersize=7, label=word, color=colour)
        )
    handles += [
        Line2D([], [], color=QUIET, linewidth=0.9, linestyle=STROKES[one.stroke], label=one.words)
        for one in lines
    ]
    draw_legend(figure, handles)


def span(values: Array | pd.Series[Any]) -> float:
    """Return how many times the smallest value the largest is; 1 where they are not above 0."""
    known = values[np.isfinite(values)]
    return float(known.max() / known.min()) if len(known) and known.min() > 0 else 1.0
