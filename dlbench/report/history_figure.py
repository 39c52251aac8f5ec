"""A history as a figure: a value a run with its spread over seeds, levels, and what began where."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import seaborn as sns

from dlbench.report.formatting import humanized, shortened
from dlbench.report.histories import RED as RED_OUTCOMES
from dlbench.report.histories import case_name, effect_text, run_name, verdict
from dlbench.report.style import BLUE, GREEN, INK, ORANGE, QUIET, RED, WIDTH, canvas, plain_numbers

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from dlbench.history.series import Order
    from dlbench.history.trend import Change, Trend

HEIGHT = 3.6
MOST_LABELS = 14
"""Runs with a label each below the axis."""
TIERS, TIER = 3, 26
"""Neighbours' words stand on so many heights, so many points apart."""
HEADROOM = 0.2
"""Of the values' range, above them, for each of these heights."""
MOST_POINTS = 60
"""With more runs, each one's mark and bar are small."""

STATES = {"as it should be": (BLUE, "o"), "failed": (RED, "X"), "partial": (ORANGE, "s")}


def trend_figure(trend: Trend, by: Order = "time") -> Figure:
    """Return a trend as a figure; draw it inside `dlbench.report.style.styled()`.

    Args:
        trend: of one metric of one record.
        by: in which order its runs stand.
    """
    figure, axes = canvas(width=WIDTH, height=HEIGHT)
    panel = axes[0, 0]
    table = trend.table
    at = np.arange(len(table))
    values = {
        name: np.where(np.isfinite(column := table[name].to_numpy(dtype=float)), column, np.nan)
        for name in ("median", "low", "high")
    }
    _levels(panel, trend, values["median"])
    many = len(table) > MOST_POINTS
    panel.vlines(at, values["low"], values["high"], color=BLUE, alpha=0.35, lw=1 if many else 2.5)
    states = np.array([_state(run) for run in table.to_dict("records")])
    for name, (colour, mark) in STATES.items():
        shown = states == name
        if shown.any():
            x, y = at[shown], values["median"][shown]
            sns.scatterplot(
                x=x, y=y, color=colour, marker=mark, s=18 if many else 42, ax=panel, label=name,
                legend=False, zorder=3,
            )  # fmt: skip
    _framed(panel, values, min(len(trend.changes), TIERS))
    _lost(panel, at[np.isnan(values["median"])])
    for place, change in enumerate(trend.changes):
        _marked(panel, change, trend, place % TIERS)
    _labelled(panel, trend, by)
    if len(set(states)) > 1:
        panel.legend(loc="best")
    return figure


def _state(run: Any) -> str:
    if run["outcome"] in RED_OUTCOMES:
        return "failed"
    return "as it should be" if run["complete"] else "partial"


def _levels(panel: Axes, trend: Trend, medians: Any) -> None:
    """Draw each level's median as a line over its runs."""
    levels = trend.table["level"].to_numpy()
    for level in sorted(set(levels) - {-1}):
        rows = np.flatnonzero(levels == level)
        known = medians[rows][~np.isnan(medians[rows])]
        if known.size:
            middle = float(np.median(known))
            panel.hlines(middle, rows[0] - 0.4, rows[-1] + 0.4, color=QUIET, lw=1.2, zorder=1.5)


def _framed(panel: Axes, values: dict[str, Any], tiers: int) -> None:
    """Leave room above the values for words on so many heights."""
    known = np.concatenate([column[~np.isnan(column)] for column in values.values()])
    if known.size:
        low, high = float(known.min()), float(known.max())
        extent = (high - low) or abs(high) or 1.0
        panel.set_ylim(low - 0.1 * extent, high + (0.1 + HEADROOM * tiers) * extent)


def _lost(panel: Axes, places: Any) -> None:
    """Mark the runs whose value is not finite at the upper edge: they have no place on the axis."""
    if len(places):
        panel.plot(places, np.full(len(places), 0.97), "^", color=RED, clip_on=False,
                   transform=panel.get_xaxis_transform())  # fmt: skip


def _marked(panel: Axes, change: Change, trend: Trend, tier: int) -> None:
    """Draw a line where a level or a stretch begins, with its words at the top."""
    word = verdict(change, trend)
    colour = {", worse": RED, ", better": GREEN}.get(word, INK) if change.level else QUIET
    panel.axvline(change.row - 0.5, color=colour, lw=1, ls="-" if change.level else (0, (4, 3)))
    told = [shortened(text, 34) for text in change.why]
    if change.level:
        effect = effect_text(change.effect, relative=trend.relative)
        told = [f"{effect}{word}", shortened(change.where, 34), *told]
    late = change.row > len(trend.table) * 0.7
    panel.annotate(
        "\n".join(told), (change.row - 0.5, 1), xycoords=("data", "axes fraction"),
        xytext=(-4 if late else 4, -3 - TIER * tier), textcoords="offset points", va="top",
        ha="right" if late else "left", fontsize=8, color=colour,
        bbox={"facecolor": "white", "alpha": 0.75, "edgecolor": "none", "pad": 0.8},
    )  # fmt: skip


def _labelled(panel: Axes, trend: Trend, by: Order) -> None:
    table = trend.table
    every = max(1, -(-len(table) // MOST_LABELS))
    places = np.arange(0, len(table), every)
    labels = []
    for place in places:
        row = table.iloc[place]
        commit = str(row["commit"])[:7] if isinstance(row["commit"], str) else ""
        second = commit if by in {"time", "commit"} else str(row[by])
        labels.append(f"{shortened(run_name(row), 12)}\n{shortened(second, 12)}")
    panel.set_xticks(places, labels)
    panel.set_xlim(-0.6, len(table) - 0.4)
    panel.set_xlabel("saved run" + ("" if by == "time" else f", by {by}"))
    panel.set_ylabel(humanized(trend.metric))
    plain_numbers(panel.yaxis)
    panel.set_title(shortened(case_name(trend), 110))
