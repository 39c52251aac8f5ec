"""Strips: where something without an order varies, every seed of every value in a row."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import seaborn as sns

from dlbench.report import words
from dlbench.report.figures import bounds, marks
from dlbench.report.figures.bounds import STEPS
from dlbench.report.figures.drawing import Drawing
from dlbench.report.figures.lines import noted_lines
from dlbench.report.formatting import humanized, sentence, shortened
from dlbench.report.spreads import spread
from dlbench.report.style import (
    INK,
    RED,
    REGIME_COLOURS,
    REGIME_MARKS,
    WIDTH,
    Palette,
    canvas,
    plain_numbers,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pandas as pd
    from matplotlib.axes import Axes

    from dlbench.report.study import Bound, Factor, Study

MOST_ROWS = 60
"""With more, the figure would be taller than a page: the table tells."""

REACH = 0.26
"""How far the marks of a row reach up and down."""


def strips(study: Study, palette: Palette) -> Iterator[Drawing]:
    """Yield every seed's final value, and its updates to the target, by what has no order."""
    factor = next((one for one in study.factors if one.numbers is None), None)
    metric = study.primary
    if factor is None or metric is None or f"final_{metric}" not in study.seeds:
        return
    shown = (factor, *study.others(factor))
    rows = _rows(study, shown)
    if len(rows) > MOST_ROWS:
        return
    columns = [f"final_{metric}"]
    if study.target and np.isfinite(study.seeds[STEPS]).any():
        columns.append(STEPS)
    width = WIDTH if len(columns) > 1 else WIDTH * 0.6
    figure, grid = canvas(1, len(columns), width=width, height=1.3 + 0.27 * len(rows))
    frame = _marks(study, rows)
    asserted: list[Bound] = []
    for axes, column in zip(grid[0], columns, strict=True):
        _panel(axes, study, frame, column)
        axes.set_ylim(len(rows) - 0.4, -0.6)
        asserted += _asserted(axes, study, frame, column)
        axes.set_yticks(range(len(rows)), [""] * len(rows))
    titles = [one.title for one in shown]
    grid[0, 0].set_yticks(range(len(rows)), list(rows))
    grid[0, 0].set_ylabel(", ".join(titles))
    marks.legend(figure, palette, hue=None, regimes=set(study.seeds["regime"]))
    what = sentence(f"final {humanized(metric)} by {' and '.join(titles)}, every seed")
    data = study.seeds[["record", "seed", "regime", *columns]].join(
        study.seeds[[one.column for one in shown]].set_axis(titles, axis=1)
    )
    caption = sentence(_caption(frame[columns]) + bounds.explained(asserted))
    yield Drawing("strip", figure, caption, f"{what} {words.headline(study)}", data)


def _rows(study: Study, shown: tuple[Factor, ...]) -> dict[str, list[int]]:
    """Return the rows from top to bottom, each with the records in it."""
    columns = [one.column for one in shown]
    rows: dict[str, list[int]] = {}
    for _, case in study.cases.sort_values(columns, kind="stable").iterrows():
        label = ", ".join(shortened(str(case[column]), 24) for column in columns)
        rows.setdefault(label, []).append(int(case["record"]))
    return rows


def _marks(study: Study, rows: dict[str, list[int]]) -> pd.DataFrame:
    """Return the seeds with their row, and where in it their mark stands."""
    place = {record: row for row, records in enumerate(rows.values()) for record in records}
    frame = study.seeds.assign(row=study.seeds["record"].map(place))
    rank = frame.groupby("row")["seed"].rank(method="first")
    count = frame.groupby("row")["seed"].transform("count")
    frame["at"] = frame["row"] + REACH * (2 * (rank - 0.5) / count - 1)
    return frame


def _panel(axes: Axes, study: Study, frame: pd.DataFrame, column: str) -> None:
    metric = column.removeprefix("final_")
    higher = column != STEPS and study.higher(metric)
    known = np.isfinite(frame[column])
    if column != STEPS:
        known &= frame["regime"] != "diverged"
    frame = frame.assign(value=frame[column].where(known))
    if known.any():
        sns.scatterplot(
            frame[known],
            x="value",
            y="at",
            hue="regime",
            style="regime",
            palette=REGIME_COLOURS,
            markers=REGIME_MARKS,
            **marks.dots(frame[known]),
            legend=False,
            ax=axes,
            zorder=3,
        )
    if not higher and marks.span(frame["value"]) > marks.DECADE:
        axes.set_xscale("log")
    for _, seeds in frame.groupby("row"):
        row = float(seeds["row"].iloc[0])
        middle = spread(seeds["value"], higher=higher).median
        if np.isfinite(middle):
            axes.vlines(middle, row - 0.36, row + 0.36, color=INK, linewidth=1.6, zorder=2)
    for _, lost in frame[~known].groupby("row"):
        text = f"{len(lost)} {'never' if column == STEPS else 'diverged'}"
        _lost(axes, float(lost["row"].iloc[0]), text, higher)
    noted_lines(
        axes,
        [line for line in study.reference_lines(metric) if line.stroke == "dashed"],
        upright=True,
    )
    what = f"{study.update}s to target" if column == STEPS else f"final {study.axis(metric)}"
    axes.set(xlabel=what, ylabel="")
    plain_numbers(axes.xaxis)


def _asserted(axes: Axes, study: Study, frame: pd.DataFrame, column: str) -> list[Bound]:
    """Draw what the test asserts of each row; return what could be drawn."""
    by_record = {
        int(case["record"]): (case["row"], bounds.of_column(study, case["record"], column))
        for _, case in frame.drop_duplicates("record").iterrows()
    }
    values = frame[column].to_numpy(dtype=float)
    places = bounds.near(values, [one for _, found in by_record.values() for one in found])
    if places:
        low, high = axes.get_xlim()
        axes.set_xlim(min(low, *places), max(high, *places))
    return [
        one
        for row, found in by_record.values()
        for one in found
        if bounds.tick(axes, one.bound, row, side=one.side, colour=INK, upright=True)
    ]


def _lost(axes: Axes, row: float, text: str, higher: bool) -> None:  # noqa: FBT001
    """Mark seeds without a value beside the panel, at its worse end."""
    place = 0.0 if higher else 1.02
    transform = axes.get_yaxis_transform()
    axes.plot(
        [place],
        [row],
        marker="X",
        markersize=7,
        color=RED,
        markeredgecolor="white",
        markeredgewidth=0.6,
        linestyle="none",
        transform=transform,
        clip_on=False,
        zorder=5,
    )
    axes.annotate(
        text,
        (place, row),
        xycoords=transform,
        xytext=(6, 0),
        textcoords="offset points",
        va="center",
        fontsize=7.5,
        color=INK,
    )


def _caption(values: pd.DataFrame) -> str:
    caption = "a mark is a seed, a bar its row's median"
    if not np.isfinite(values).all(axis=None):
        caption += "; crosses at the edge have no value: they diverged, or never came to the target"
    return caption
