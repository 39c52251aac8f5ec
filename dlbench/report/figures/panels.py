"""A panel of trends: median curves with their bands, runs that diverged, target and floor."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.ticker import MaxNLocator

from dlbench.report.figures.lines import line_labels
from dlbench.report.formatting import shortened
from dlbench.report.spreads import bands
from dlbench.report.style import INK, QUIET, Palette, plain_numbers

if TYPE_CHECKING:
    from collections.abc import Callable

    import pandas as pd
    from matplotlib.axes import Axes

    from dlbench.report.study import Factor, Study

DECADE = 10.0
FAR = 20.0
"""Runs whose lengths differ by more share a logarithmic axis: the short ones would be a dot."""

HEADROOM = 10.0
"""A run that diverged is drawn up to so many times its starting loss, and clipped there."""

ROOM_ABOVE, ROOM_BELOW = 0.12, 0.05
"""Shares of an axis that stay free, above for the words on a line near the top."""

CROWDED = 60
"""Of more cases in a panel the curves are hair lines that shine through, and have no bands."""

AXES = {"epoch": "epochs", "seconds": "seconds of training steps"}


@dataclass(frozen=True, slots=True)
class Trend:
    """One metric of a study, ready to be drawn."""

    study: Study
    metric: str
    curves: pd.DataFrame
    """A row a case, seed and point."""
    bands: pd.DataFrame
    """A row a case and point."""
    low: float
    high: float
    log: bool

    @classmethod
    def of(cls, study: Study, metric: str) -> Trend:
        """Return a metric's curves and bands, and the part of its axis that is worth drawing."""
        curves = study.curves[study.curves["metric"] == metric]
        frame = bands(curves, higher=study.higher(metric))
        return cls(study, metric, curves, frame, *_limits(study, metric, frame))


@dataclass(frozen=True, slots=True)
class Panel:
    """One set of axes: which cases of a trend, against what."""

    trend: Trend
    cases: pd.DataFrame
    x: str
    """A column of the bands: step, epoch or seconds."""
    title: str = ""
    updates_per_epoch: float | None = None
    """Where all cases share them: a second axis then counts epochs."""

    @property
    def crowded(self) -> bool:
        """Whether there are too many cases to tell one from another."""
        return len(self.cases) > CROWDED

    def of(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Return the rows of a frame that belong to the panel's cases."""
        return frame[frame["record"].isin(set(self.cases["record"]))]


def draw(axes: Axes, panel: Panel, hue: Factor | None, palette: Palette) -> None:
    """Draw a panel; a case's colour and dash are its level's of `hue`."""
    trend, frame = panel.trend, panel.of(panel.trend.bands)
    colours = palette.colour_map(hue) if hue else {}
    dashes = palette.dash_map(hue) if hue else {}
    below, above = trend.low - abs(trend.low), HEADROOM * abs(trend.high)
    # Not by seaborn's lineplot: it leaves NaN out of its medians, and takes hues times dashes times
    # cases to draw them.
    for _, case in frame.groupby("record", sort=False):
        level = str(case[hue.column].iloc[0]) if hue else ""
        colour, dash = colours.get(level, INK), dashes.get(level)
        median = case["median"].where(np.isfinite(case["median"]))
        if panel.crowded:
            axes.plot(case[panel.x], median, color=colour, linewidth=0.4, alpha=0.5)
            continue
        axes.plot(case[panel.x], median, color=colour, linestyle=(0, dash) if dash else "-")
        axes.fill_between(
            case[panel.x],
            case["low"].clip(below, above),  # infinite where so many seeds have no value
            case["high"].clip(below, above),
            color=colour,
            alpha=0.18,
            linewidth=0,
        )
    _crosses(axes, panel, hue, colours)
    _finish(axes, panel, frame)


def _limits(study: Study, metric: str, frame: pd.DataFrame) -> tuple[float, float, bool]:
    """Return what of a metric is worth drawing: what trained, and the beginning of what did not."""
    known = frame[["median", "low", "high"]].to_numpy().ravel()
    known = known[np.isfinite(known)]
    if known.size == 0:
        return 0.0, 1.0, False
    lowest = float(known.min())
    if study.higher(metric):
        goal = study.target[1] if study.target and study.target[0] == metric else -np.inf
        return _with_room(lowest, float(max(known.max(), goal)), log=False)
    starts = frame.loc[frame["step"] == frame["step"].min(), "high"]
    start = float(starts.max()) if np.isfinite(starts).all() else float(known.max())
    failed = set(study.seeds.loc[study.seeds["regime"] == "diverged", "record"])
    trained = frame.loc[~frame["record"].isin(failed), "high"]
    highest = float(max(start, trained[np.isfinite(trained)].max() if len(trained) else start))
    highest = max(highest, min(float(known.max()), HEADROOM * abs(start)))
    return _with_room(lowest, highest, log=lowest > 0 and highest > DECADE * lowest)


def _with_room(lowest: float, highest: float, *, log: bool) -> tuple[float, float, bool]:
    if log:
        ratio = highest / lowest
        return lowest / ratio**ROOM_BELOW, highest * ratio**ROOM_ABOVE, True
    span = highest - lowest or 1.0
    return lowest - ROOM_BELOW * span, highest + ROOM_ABOVE * span, False


def _crosses(axes: Axes, panel: Panel, hue: Factor | None, colours: dict[str, str]) -> None:
    """Mark each run that diverged where it was last seen, at the edge if it left the panel."""
    high = panel.trend.high
    seeds = panel.trend.study.seeds
    diverged = seeds.loc[seeds["regime"] == "diverged", ["record", "seed"]]
    found = panel.of(panel.trend.curves).merge(diverged, on=["record", "seed"])
    found = found[np.isfinite(found["value"])]
    for _, seen in found.groupby(["record", "seed"]):
        outside = seen[seen["value"] > high]
        last = outside.iloc[0] if len(outside) else seen.iloc[-1]
        axes.plot(
            last[panel.x],
            min(float(last["value"]), high),
            marker="X",
            markersize=7,
            markerfacecolor=colours[str(last[hue.column])] if hue else INK,
            markeredgecolor="white",
            markeredgewidth=0.7,
            linestyle="none",
            clip_on=False,
            zorder=5,
        )


def _finish(axes: Axes, panel: Panel, frame: pd.DataFrame) -> None:
    trend, study = panel.trend, panel.trend.study
    if trend.log:
        axes.set_yscale("log")
    axes.set_ylim(trend.low, trend.high)
    plain_numbers(axes.yaxis)
    axes.set(xlabel=AXES.get(panel.x, f"{study.update}s"), ylabel=study.axis(trend.metric))
    axes.set_title(shortened(panel.title, 40))
    ends = frame.groupby("record")[panel.x].max()
    far = ends.max() > FAR * ends.min() > 0
    smallest = float(frame.loc[frame[panel.x] > 0, panel.x].min())
    if far:
        axes.set_xscale("symlog", linthresh=smallest, linscale=0.4)
    axes.set_xlim(0, float(ends.max()) * (1.1 if far else 1.0) or 1.0)
    if far:
        axes.set_xticks([0.0, *_powers(smallest, float(ends.max()))])
    plain_numbers(axes.xaxis)
    line_labels(axes, study.reference_lines(trend.metric))
    if panel.updates_per_epoch and not far:
        crosses = (study.seeds["regime"] == "diverged").any()
        _count_epochs(axes, panel.updates_per_epoch, pad=4 if crosses else 1)


def _powers(low: float, high: float) -> list[float]:
    """Return powers of ten up to `high`, at most five, none so near to `low` that 0 is in its way."""
    first, last = math.floor(math.log10(low)) + 2, math.floor(math.log10(high))
    every = max(1, math.ceil((last - first + 1) / 5))
    return [10.0**power for power in range(last, first - 1, -every)][::-1]


def _count_epochs(axes: Axes, updates: float, pad: float) -> None:
    top = axes.secondary_xaxis("top", functions=(_times(1 / updates), _times(updates)))
    top.xaxis.set_major_locator(MaxNLocator(5))
    plain_numbers(top.xaxis)
    top.set_xlabel("epochs", fontsize=8, color=QUIET, labelpad=2)
    top.tick_params(labelsize=7.5, colors=QUIET, length=2.5, pad=pad)
    top.spines["top"].set_visible(False)


def _times(factor: float) -> Callable[[Any], Any]:
    return lambda x: x * factor
