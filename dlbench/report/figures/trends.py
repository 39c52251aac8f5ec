"""Trends: every metric against updates, epochs and seconds, a median with its band a case."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from matplotlib.lines import Line2D

from dlbench.report import words
from dlbench.report.figures import bounds
from dlbench.report.figures.drawing import Drawing
from dlbench.report.figures.panels import Panel, Trend, draw
from dlbench.report.formatting import sentence, shortened
from dlbench.report.spreads import band_words
from dlbench.report.style import INK, WIDTH, Palette, canvas, legend

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from dlbench.report.study import Bound, Factor, Study

MOST_FACETS = 12
"""With more combinations all cases share a panel."""

MOST_LEGEND = 12
"""Of more levels the legend names some."""

PER_ROW = 3
HEIGHT = 2.9
"""Inches, of a panel."""


def trends(study: Study, palette: Palette) -> Iterator[Drawing]:
    """Yield the trends of a study; none where nothing was trained.

    One factor is told by colour. More than one: the others have a panel each, a figure a metric.
    """
    if study.curves.empty:
        return
    found = {metric: Trend.of(study, metric) for metric in study.shown}
    hue = _hue(study, palette)
    groups = _groups(study, hue)
    if not 1 < len(groups) <= MOST_FACETS:
        yield _drawing("trends", _together(study, list(found.values())), hue, palette)
        return
    for metric in dict.fromkeys((study.loss_name, study.primary)):
        if metric in found:
            panels = [_panel(found[metric], cases, title) for title, cases in groups]
            yield _drawing(f"trends-{metric}", _wrapped(panels), hue, palette)


def _hue(study: Study, palette: Palette) -> Factor | None:
    """Return the factor that is told by colour; None where no palette tells its levels apart.

    Batch sizes have panels instead where something else varies too: within one, updates and epochs
    are the same axis.
    """
    told = [factor for factor in study.factors if palette.tells_apart(factor)]
    others = [factor for factor in told if factor.name != "batch_size"]
    return max(others or told, key=lambda factor: len(factor.levels), default=None)


def _groups(study: Study, hue: Factor | None) -> list[tuple[str, pd.DataFrame]]:
    """Return the cases that share a panel, with what they share in words."""
    rest = [factor for factor in study.factors if factor is not hue]
    if not rest:
        return [("", study.cases)]
    groups = study.cases.groupby([factor.column for factor in rest], observed=True, sort=True)
    return [
        (", ".join(f"{one.title} {cases.iloc[0][one.column]}" for one in rest), cases)
        for _, cases in groups
    ]


# ---- layouts


def _together(study: Study, found: Sequence[Trend]) -> list[list[Panel]]:
    """Return rows of panels, a metric each, with columns by axis where these differ."""
    updates = study.cases["updates_per_epoch"]
    if updates.isna().any() or len(updates.unique()) == 1:
        return _wrapped([_panel(trend, study.cases) for trend in found])
    kinds = ["step", "epoch"]
    kinds += ["seconds"] if study.cases["step_seconds"].notna().all() else []
    return [[Panel(trend, study.cases, kind) for kind in kinds] for trend in found]


def _panel(trend: Trend, cases: pd.DataFrame, title: str = "") -> Panel:
    updates = cases["updates_per_epoch"].unique()
    shared = float(updates[0]) if len(updates) == 1 and np.isfinite(updates[0]) else None
    return Panel(trend, cases, "step", title, shared)


def _wrapped(panels: Sequence[Panel]) -> list[list[Panel]]:
    return [list(panels[start : start + PER_ROW]) for start in range(0, len(panels), PER_ROW)]


def _drawing(name: str, rows: list[list[Panel]], hue: Factor | None, palette: Palette) -> Drawing:
    columns = len(rows[0])
    width = WIDTH if columns > 1 else WIDTH * 0.6
    figure, grid = canvas(len(rows), columns, width=width, height=HEIGHT * len(rows) + 0.3)
    ticks: list[_Tick] = []
    for row, panels in enumerate(rows):
        for column, panel in enumerate(panels):
            draw(grid[row, column], panel, hue, palette)
            ticks += _asserted(grid[row, column], panel, hue, palette)
        for column in range(len(panels), columns):
            grid[row, column].set_visible(False)
    found = list({id(panel.trend): panel.trend for panels in rows for panel in panels}.values())
    study = found[0].study
    _legend(figure, study, hue, palette)
    data = pd.concat([trend.bands for trend in found], ignore_index=True)
    metrics = [trend.metric for trend in found]
    asserted = [bound for tick in ticks for bound in tick.bounds]
    shared = any(len(tick.colours) > 1 for tick in ticks)
    caption = sentence(_caption(study, rows[0][0]) + bounds.explained(asserted, shared=shared))
    return Drawing(name, figure, caption, _alt(study, hue, metrics), data)


@dataclass(frozen=True, slots=True)
class _Tick:
    """What the test asserts of the cases that share a place in a panel."""

    colours: set[str] = field(default_factory=set)
    bounds: list[Bound] = field(default_factory=list)


def _asserted(axes: Axes, panel: Panel, hue: Factor | None, palette: Palette) -> list[_Tick]:
    """Draw what the test asserts of the curves in a panel; return what could be drawn.

    A bound on final values stands beside the end of its curve, one on the updates to a value at that
    value. One that several cases share has no case's colour.
    """
    ticks: dict[tuple[float, float, bool, int], _Tick] = {}
    curves = panel.of(panel.trend.bands)
    for _, case in panel.cases.iterrows():
        last = curves[curves["record"] == case["record"]].iloc[-1:]
        if last.empty or not last["step"].iloc[0]:
            continue
        end = float(last[panel.x].iloc[0])
        update = end / float(last["step"].iloc[0])
        colour = palette.colour(hue, str(case[hue.column])) if hue else INK
        for one in case["asserted"]:
            if one.metric == panel.trend.metric and (place := _place(one, end, update)):
                tick = ticks.setdefault((*place, one.side), _Tick())
                tick.colours.add(colour)
                tick.bounds.append(one)
    return [
        tick
        for (x, y, upright, side), tick in ticks.items()
        if bounds.tick(
            axes, x, y, side=side, upright=upright, beside=tick.bounds[0].summary == "final",
            colour=INK if len(tick.colours) > 1 else min(tick.colours),
        )
    ]  # fmt: skip


def _place(bound: Bound, end: float, update: float) -> tuple[float, float, bool] | None:
    """Return where a bound stands, and whether its number is along x; None where it has no place.

    Args:
        bound: on the panel's metric.
        end: of the case's curve, along x.
        update: how far one is, along x.
    """
    if bound.summary == "final":
        return end, bound.bound, False
    if bound.summary == "at" and bound.at is not None:
        return bound.at * update, bound.bound, False
    if bound.summary == "steps_to" and bound.at is not None:
        return bound.bound * update, bound.at, True
    return None


def _legend(figure: Figure, study: Study, hue: Factor | None, palette: Palette) -> None:
    handles = []
    if hue:
        levels = hue.levels
        if len(levels) > MOST_LEGEND:
            places = np.linspace(0, len(levels) - 1, MOST_LEGEND).round().astype(int)
            levels = tuple(levels[place] for place in places)
        dashes = palette.dash_map(hue)
        handles = [
            Line2D(
                [],
                [],
                color=palette.colour(hue, level),
                linestyle=(0, dashes[level]) if dashes[level] else "-",
                linewidth=2,
                label=shortened(level),
            )
            for level in levels
        ]
    if (study.seeds["regime"] == "diverged").any():
        handles.append(
            Line2D([], [], color=INK, marker="X", markersize=7, linestyle="none", label="diverged")
        )
    legend(figure, handles, title=hue.title if hue else None, handlelength=2.6)


# ---- words


def _caption(study: Study, panel: Panel) -> str:
    seeds = study.cases["seeds"]
    spread = ["a hair line a case"] if panel.crowded else [band_words(seeds)]
    parts = ["one seed a case"] if seeds.max() == 1 else ["median over the seeds", *spread]
    if (study.seeds["regime"] == "diverged").any():
        parts.append(
            "a cross marks where a run that diverged was last seen, at the edge if it left"
        )
    return "; ".join(parts)


def _alt(study: Study, hue: Factor | None, metrics: list[str]) -> str:
    by = f" by {hue.title}" if hue else ""
    what = sentence(f"{words.names(metrics)} against {study.update}s{by}")
    return f"{what} {words.headline(study)}"
