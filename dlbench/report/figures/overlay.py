"""One case's curves of two runs over each other: medians and bands, a panel a metric."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from dlbench.report.figures.drawing import Drawing
from dlbench.report.formatting import humanized, number, shortened
from dlbench.report.spreads import band_words, bands
from dlbench.report.style import (
    BLUE,
    ORANGE,
    QUIET,
    WIDTH,
    canvas,
    legend,
    plain_numbers,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from dlbench.runs import Runs

HEIGHT = 3.0
"""Inches, of a row of panels."""

MOST_PANELS = 3
"""In a row."""

COLOURS = (BLUE, ORANGE)
DASHES: tuple[Any, ...] = ("-", (0, (4, 1.5)))
"""B is dashed, so that A is seen where both are the same."""

DECADE = 10.0
"""Losses that span more have a logarithmic axis."""

FAR = 10.0
"""A curve is drawn up to so many times where the runs began; beyond they diverged."""


@dataclass(frozen=True, slots=True)
class Both:
    """One case's runs on both sides."""

    runs: tuple[Runs, Runs]
    labels: tuple[str, str]

    @property
    def metrics(self) -> list[str]:
        """The training loss, then the validation curves that either side has."""
        names = {
            name: None for runs in self.runs for name in runs.curves if name.startswith("val_")
        }
        return [self.runs[0].loss_name, *(name for name in names if name != self.runs[0].loss_name)]

    def bands(self, metric: str) -> pd.DataFrame:
        """Return median, low and high by point; column `record` is 0 for A and 1 for B."""
        frames = []
        for place, runs in enumerate(self.runs):
            frame = runs.to_frame()
            frames.append(frame[frame["metric"] == metric].assign(record=place))
        higher = bool(self.runs[0].direction(metric))
        return bands(pd.concat(frames, ignore_index=True), higher=higher)

    def ends(self, metric: str) -> tuple[float, float]:
        """Return the last medians there and here; NaN where a side has no such curve."""
        frame = self.bands(metric)
        last = [frame.loc[frame["record"] == place, "median"] for place in (0, 1)]
        there, here = (float(one.iloc[-1]) if len(one) else math.nan for one in last)
        return there, here


def overlay(both: Both, case: str, verdict: str) -> Drawing:
    """Return one case's curves over each other with their words; draw it inside `styled()`.

    Args:
        both: the runs.
        case: the test's id.
        verdict: what came of it.
    """
    frames = [both.bands(metric).assign(metric=metric) for metric in both.metrics]
    data = pd.concat(frames, ignore_index=True)
    data["run"] = data["record"].map(dict(enumerate(both.labels)))
    ends = [
        f"{humanized(metric)} {number(float(before))} there, {number(float(now))} here"
        for metric in both.metrics
        for before, now in [both.ends(metric)]
    ]
    return Drawing(
        "curves",
        curves_figure(both, f"{verdict}: {case}"),
        f"Curves of {case}: {verdict}.",
        f"Curves of {case}: {verdict}. Medians at the end: {'; '.join(ends)}.",
        data[["run", "metric", "step", "low", "median", "high", "seeds"]],
    )


def curves_figure(both: Both, title: str) -> Figure:
    """Return one case's curves over each other; draw it inside `dlbench.report.style.styled()`.

    Args:
        both: the runs.
        title: what came of them.
    """
    metrics = both.metrics
    columns = min(len(metrics), MOST_PANELS)
    rows = -(-len(metrics) // columns)
    width = WIDTH if columns > 1 else 0.6 * WIDTH
    figure, grid = canvas(rows, columns, width=width, height=HEIGHT * rows + 0.5)
    panels = list(grid.ravel())
    for panel, metric in zip(panels, metrics, strict=False):
        _panel(panel, both, metric)
    for panel in panels[len(metrics) :]:
        panel.set_visible(False)
    handles: list[Any] = [
        Line2D([], [], color=colour, linestyle=dash, linewidth=2, label=label)
        for colour, dash, label in zip(COLOURS, DASHES, both.labels, strict=True)
    ]
    if words := band_words([len(runs.seeds) for runs in both.runs]):
        handles.append(Patch(color=QUIET, alpha=0.3, linewidth=0, label=words.removeprefix("the ")))
    legend(figure, handles, title=shortened(title, 110 if columns > 1 else 60), handlelength=2.6)
    return figure


def _panel(panel: Axes, both: Both, metric: str) -> None:
    frame = both.bands(metric)
    top = _top(frame, rising=bool(both.runs[0].direction(metric)))
    for place, (colour, dash) in enumerate(zip(COLOURS, DASHES, strict=True)):
        side = frame[frame["record"] == place]
        if side.empty:
            continue
        median = side["median"].where(np.isfinite(side["median"]) & (side["median"] <= top))
        sns.lineplot(x=side["step"], y=median, color=colour, linestyle=dash, ax=panel,
                     estimator=None, errorbar=None, legend=False)  # fmt: skip
        panel.fill_between(
            side["step"], side["low"].clip(-top, top), side["high"].clip(-top, top),
            color=colour, alpha=0.18, linewidth=0,
        )  # fmt: skip
    shown = frame[["median", "low", "high"]].to_numpy().ravel()
    shown = shown[np.isfinite(shown) & (shown <= top)]
    if "loss" in metric and shown.size and shown.min() > 0 and shown.max() > DECADE * shown.min():
        panel.set_yscale("log")
    panel.set_title(humanized(metric))
    panel.set_xlabel("updates")
    panel.set_ylabel("")
    plain_numbers(panel.xaxis)
    plain_numbers(panel.yaxis)


def _top(frame: pd.DataFrame, *, rising: bool) -> float:
    """Return up to where curves are drawn: runs that diverged would leave no room for the others."""
    known = frame[["median", "low", "high"]].to_numpy()
    known = known[np.isfinite(known)]
    if rising or not known.size:
        return float(np.abs(known).max(initial=1.0))
    starts = frame.loc[frame["step"] == frame["step"].min(), "high"].to_numpy()
    start = float(np.abs(starts[np.isfinite(starts)]).max(initial=0.0))
    return min(float(np.abs(known).max()), FAR * start) if start else float(np.abs(known).max())
