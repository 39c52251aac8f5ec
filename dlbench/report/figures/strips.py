"""Strips: where something without an order varies, every seed of every value in a row."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import seaborn as sns

from dlbench.report import words
from dlbench.report.figures import marks
from dlbench.report.figures.drawing import Drawing
from dlbench.report.formatting import humanized, sentence, setting, shortened
from dlbench.report.spreads import spread
from dlbench.report.style import (
    INK,
    QUIET,
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

    from dlbench.report.study import Factor, Study

MOST_ROWS = 60
"""With more, the figure would be taller than a page: the table tells."""

SPREAD = 0.26
"""How far the marks of a row reach up and down."""


def strips(study: Study, palette: Palette) -> Iterator[Drawing]:
    """Yield every seed's final value, and its updates to the target, by what varies."""
    factor = next((one for one in study.factors if one.numbers is None), None)
    metric = study.primary
    if factor is None or metric is None or f"final_{metric}" not in study.seeds:
        return
    rows = _rows(study, factor)
    if len(rows) > MOST_ROWS:
        return
    panels = [f"final_{metric}"]
    if study.target and np.isfinite(study.seeds["steps_to_target"]).any():
        panels.append("steps_to_target")
    width = WIDTH if len(panels) > 1 else WIDTH * 0.6
    figure, grid = canvas(1, len(panels), width=width, height=1.3 + 0.27 * len(rows))
    frame = _marks(study, rows)
    titles = ", ".join(one.title for one in (factor, *study.others(factor)))
    for place, (axes, column) in enumerate(zip(grid[0], panels, strict=True)):
        _panel(axes, study, frame, column, rows, titles if place == 0 else "")
    marks.legend(figure, study, palette, None, list(study.seeds["regime"].unique()))
    caption = "a mark is a seed, a bar its row's median"
    if (~np.isfinite(frame[panels])).any(axis=None):
        caption += "; crosses at the edge have no value: they diverged, or never reached the target"
    others = "".join(f" and {one.title}" for one in study.others(factor))
    what = sentence(f"final {humanized(metric)} by {factor.title}{others}, every seed")
    data = frame.drop(columns="row")
    return_data = data.loc[:, ~data.columns.str.startswith("at ")]
    yield Drawing(
        "strip", figure, sentence(caption), f"{what} {words.headline(study)}", return_data
    )


def _rows(study: Study, factor: Factor) -> dict[str, list[int]]:
    """Return the rows from top to bottom, each with its cases: the factor first, then the others."""
    columns = [factor.column, *(one.column for one in study.others(factor))]
    rows: dict[str, list[int]] = {}
    for _, case in study.cases.sort_values(columns, kind="stable").iterrows():
        label = ", ".join(shortened(str(case[column]), 24) for column in columns)
        rows.setdefault(label, []).append(int(case["record"]))
    return rows


def _marks(study: Study, rows: dict[str, list[int]]) -> pd.DataFrame:
    place = {record: row for row, records in enumerate(rows.values()) for record in records}
    frame = study.seeds.copy()
    frame["row"] = frame["record"].map(place)
    rank = frame.groupby("row")["seed"].rank(method="first")
    count = frame.groupby("row")["seed"].transform("count")
    frame["at row"] = frame["row"] + SPREAD * (2 * (rank - 0.5) / count - 1)
    return frame


def _panel(
    axes: Axes,
    study: Study,
    frame: pd.DataFrame,
    column: str,
    rows: dict[str, list[int]],
    titles: str,
) -> None:
    metric = column.removeprefix("final_")
    higher = column != "steps_to_target" and study.higher(metric)
    values = frame[column].where(np.isfinite(frame[column]))
    if column != "steps_to_target":
        values = values.where(frame["regime"] != "diverged")
    shown = frame.assign(value=values).dropna(subset="value")
    if len(shown):
        sns.scatterplot(
            shown, x="value", y="at row", hue="regime", style="regime", palette=REGIME_COLOURS,
            markers=REGIME_MARKS, s=26, linewidth=0.5, edgecolor="white", legend=False, ax=axes,
            zorder=3,
        )  # fmt: skip
    if not higher and marks.span(shown["value"]) > marks.DECADE:
        axes.set_xscale("log")
    for row, group in frame.assign(value=values).groupby("row"):
        middle = spread(group["value"], higher=higher).median
        if np.isfinite(middle):
            axes.plot(
                [middle, middle], [row - 0.36, row + 0.36], color=INK, linewidth=1.6, zorder=2
            )
    lost = frame[values.isna()]
    transform = axes.get_yaxis_transform()
    for row, group in lost.groupby("row"):
        never = column == "steps_to_target"
        axes.plot(
            [1.02 if not higher else -0.02], [row], marker="X", markersize=7, color=RED,
            markeredgecolor="white", markeredgewidth=0.6, linestyle="none", transform=transform,
            clip_on=False, zorder=5,
        )  # fmt: skip
        axes.annotate(
            f"{len(group)} {'never' if never else 'diverged'}",
            (1.02 if not higher else 0.0, row),
            xycoords=transform,
            xytext=(6, 0),
            textcoords="offset points",
            va="center",
            fontsize=7.5,
            color=INK,
        )
    if study.target and study.target[0] == metric:
        axes.axvline(study.target[1], color=QUIET, linewidth=0.9, linestyle=(0, (5, 3)), zorder=1.5)
        axes.set_title(
            f"dashed: target {setting(study.target[1])}",
            fontsize=8,
            color=QUIET,
            fontweight="normal",
            loc="right",
        )
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.set_yticks(range(len(rows)), list(rows) if titles else [""] * len(rows))
    label = (
        f"{study.update}s to target"
        if column == "steps_to_target"
        else (f"final {study.axis(metric)}")
    )
    axes.set(xlabel=label, ylabel=titles)
    plain_numbers(axes.xaxis)
