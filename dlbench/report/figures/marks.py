"""What figures of one number a seed share: a mark a seed, a line through medians, the failed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.lines import Line2D

from dlbench.report.formatting import shortened
from dlbench.report.spreads import spread
from dlbench.report.style import INK, QUIET, REGIME_COLOURS, REGIME_MARKS, Palette

if TYPE_CHECKING:
    from collections.abc import Collection

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    from dlbench.report.study import Factor, Study

    Array: TypeAlias = NDArray[np.float64]

EDGE = 0.955
"""Where marks stand that have no finite place: a share of the panel's height."""

DECADE = 10.0
MANY = 40
"""More seeds a case are told by the density of their marks."""

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

    Without a further factor the regimes have the colours; with one, its levels have.
    """
    middle = medians(study, frame, higher=higher)
    lines = middle.dropna(subset="median")
    if len(lines):
        by_hue: dict[str, Any] = {"color": QUIET}
        if hue:
            by_hue = {"hue": hue.column, "palette": palette.colour_map(hue)}
        sns.lineplot(
            lines, x="number", y="median", units="series", estimator=None, ax=axes, legend=False,
            linewidth=1.2, zorder=2, **by_hue,
        )  # fmt: skip
    shown = frame.dropna(subset="value")
    if len(shown):
        shown = shown.assign(number=shown["number"] * _beside(shown, hue))
        colours = palette.colour_map(hue) if hue else REGIME_COLOURS
        sns.scatterplot(
            shown, x="number", y="value", hue=hue.column if hue else "regime", palette=colours,
            style="regime", markers=REGIME_MARKS, legend=False, ax=axes, zorder=3,
            **dots(shown),
        )  # fmt: skip


def dots(shown: pd.DataFrame) -> dict[str, Any]:
    """Return how a mark a seed looks: where they are many, small and without an edge."""
    if shown.groupby("record").size().max() > MANY:
        return {"s": 12, "linewidth": 0, "alpha": 0.45}
    return {"s": 30, "linewidth": 0.5, "edgecolor": "white"}


def _beside(shown: pd.DataFrame, hue: Factor | None) -> Array:
    """Return a factor near 1 a mark: seeds, and the series of a hue, stand beside each other."""
    seeds = shown.groupby("record")["seed"].rank().to_numpy()
    seeds = (seeds - (seeds.max() + 1) / 2) / max(seeds.max() - 1, 1)
    series = np.zeros(len(shown))
    if hue:
        series = np.array([hue.levels.index(level) for level in shown[hue.column]], dtype=float)
        series = (series - (len(hue.levels) - 1) / 2) / max(len(hue.levels) - 1, 1)
    wide = span(shown["number"]) ** 0.04 if (shown["number"] > 0).all() else 1.0
    return np.asarray(wide ** (0.5 * seeds + 1.5 * series), dtype=float)


def scale(axes: Axes, numbers: Array, values: Array, *, share: bool) -> None:
    """Set the axes' scales by what they hold: logarithmic from a decade on, if all is above 0.

    Shares such as an accuracy stay on a linear axis.

    Args:
        axes: the panel.
        numbers: along x, shape `(marks,)`.
        values: along y, those of lines across included; NaN where there is none.
        share: whether y stays linear.
    """
    if span(numbers) >= DECADE:
        axes.set_xscale("log")
    if not share and span(values) > DECADE:
        axes.set_yscale("log")
    axes.margins(x=0.08)
    known = values[np.isfinite(values)]
    middle = float(np.median(known)) if known.size else 0.0
    half = LEAST_SPAN * abs(middle)
    if known.size and known.max() - known.min() < half:
        axes.set_ylim(middle - half, middle + half)


def at_edge(axes: Axes, frame: pd.DataFrame, *, word: str, top: bool, colour: str) -> None:
    """Mark the seeds without a finite value at the edge, each place with how many of how many."""
    lost = frame[frame["value"].isna()]
    if lost.empty:
        return
    low, high = axes.get_ylim()
    log = axes.get_yscale() == "log"
    share = EDGE if top else 1 - EDGE
    room = 0.24
    if log:
        grow = (high / low) ** room
        axes.set_ylim((low, high * grow) if top else (low / grow, high))
    else:
        ticks = [tick for tick in axes.get_yticks() if low <= tick <= high]
        grow = (high - low) * room
        axes.set_ylim((low, high + grow) if top else (low - grow, high))
        axes.set_yticks(ticks)  # none where no value can be
    transform = axes.get_xaxis_transform()
    for _, group in lost.groupby("number"):
        place = float(group["number"].iloc[0])
        seeds = int((frame["number"] == place).sum())
        axes.plot(
            [place], [share], marker="X", markersize=8, color=colour, markeredgecolor="white",
            markeredgewidth=0.7, linestyle="none", transform=transform, clip_on=False, zorder=5,
        )  # fmt: skip
        axes.annotate(
            f"{len(group)}/{seeds}\n{word}",
            (place, share),
            xycoords=transform,
            xytext=(0, -8 if top else 8),
            textcoords="offset points",
            ha="center",
            va="top" if top else "bottom",
            fontsize=7.5,
            color=INK,
            linespacing=1.1,
        )


def legend(
    figure: Figure, study: Study, palette: Palette, hue: Factor | None, regimes: Collection[str]
) -> None:
    """Draw the figure's legend: the levels of a further factor, and the regimes that occur."""
    handles = []
    if hue:
        handles += [
            Line2D(
                [],
                [],
                color=palette.colour(hue, level),
                linewidth=2,
                label=f"{hue.title} {shortened(level)}",
            )
            for level in hue.levels
        ]
    handles += [
        Line2D(
            [], [], linestyle="none", marker=REGIME_MARKS[regime], markersize=6.5, label=regime,
            color=QUIET if hue else REGIME_COLOURS[regime],
        )
        for regime in REGIME_MARKS
        if regime in regimes
    ]  # fmt: skip
    if len(study.seeds) and handles:
        figure.legend(
            handles=handles,
            loc="outside upper left",
            ncols=min(len(handles), 7),
            columnspacing=1.4,
            handlelength=1.6,
        )


def span(values: Array | pd.Series[Any]) -> float:
    """Return how many times the smallest value the largest is; 1 where they are not above 0."""
    known = values[np.isfinite(values)]
    return float(known.max() / known.min()) if len(known) and known.min() > 0 else 1.0
