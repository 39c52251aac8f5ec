"""A heat map over two numbers that vary, such as batch size and learning rate."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.colors import LogNorm

from dlbench.report import words
from dlbench.report.figures.drawing import Drawing
from dlbench.report.formatting import humanized, number, sentence, setting, whole
from dlbench.report.style import FAINT, INK, Palette, canvas, plain_numbers

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dlbench.report.study import Factor, Study

LEAST_FILLED = 0.6
"""A grid with fewer of its cells is no grid."""

PAIR = 2


def heat_map(study: Study, _: Palette) -> Iterator[Drawing]:
    """Yield a heat map where two numbers vary and most of their grid was tried.

    Colour and number are the median updates to the target, or where nothing reached it, the median
    final value of the training loss.
    """
    if len(study.factors) != PAIR or study.counts_models or study.seeds.empty:
        return
    down, across = study.factors
    if down.numbers is None or across.numbers is None:
        return
    full = len(down.levels) * len(across.levels)
    if min(len(down.levels), len(across.levels)) < PAIR or len(study.cases) < LEAST_FILLED * full:
        return
    cells = _cells(study, down, across)
    if cells["value"].notna().any():
        yield _draw(study, down, across, cells)


def _cells(study: Study, down: Factor, across: Factor) -> pd.DataFrame:
    """Return a row a case: its levels, the value to colour, the text to write."""
    to_target = _to_target(study)
    rows = []
    for _, case in study.cases.iterrows():
        record = int(case["record"])
        seeds = study.of(record)
        if to_target:
            steps = seeds["steps_to_target"]
            value = words.reached(study, record).median
            there = int(np.isfinite(steps).sum())
            first = whole(value) if np.isfinite(value) else "only"
            text = f"{first}\n{there} of {len(steps)}" if there else "never"
        else:
            value = words.final_spread(study, record, str(study.loss_name)).median
            text = number(value) if np.isfinite(value) else "diverged"
        rows.append(
            {
                "record": record,
                down.name: case[down.column],
                across.name: case[across.column],
                "value": value if np.isfinite(value) else np.nan,
                "text": text,
            }
        )
    return pd.DataFrame(rows)


def _draw(study: Study, down: Factor, across: Factor, cells: pd.DataFrame) -> Drawing:
    values, texts = (
        cells.pivot_table(
            index=down.name, columns=across.name, values=what, aggfunc="first", observed=False
        ).reindex(index=list(down.levels), columns=list(across.levels))
        for what in ("value", "text")
    )
    width = 2.6 + 0.95 * len(across.levels)
    figure, grid = canvas(width=width, height=1.3 + 0.55 * len(down.levels))
    axes = grid[0, 0]
    known = cells["value"].dropna()
    log = known.min() > 0 and known.max() > 2 * known.min()
    what = (
        f"{study.update}s to target"
        if _to_target(study)
        else (f"final {study.axis(str(study.loss_name))}")
    )
    sns.heatmap(
        values.astype(float),
        annot=texts.fillna(""),
        fmt="",
        annot_kws={"fontsize": 8, "linespacing": 1.15},
        cmap=sns.light_palette("#0173B2", as_cmap=True, reverse=True),
        norm=LogNorm(known.min(), known.max()) if log else None,
        linewidths=1.5,
        linecolor="white",
        cbar_kws={"label": what},
        ax=axes,
    )
    # seaborn writes no text into an empty cell, but "never" is a finding.
    unknown = values.isna().to_numpy()
    for (row, column), text in np.ndenumerate(texts.fillna("not run").to_numpy()):
        if unknown[row, column]:
            axes.text(
                column + 0.5, row + 0.5, text, ha="center", va="center", fontsize=8, color=INK
            )
    axes.set_facecolor(FAINT)
    axes.set(xlabel=across.title, ylabel=down.title)
    axes.set_yticklabels(axes.get_yticklabels(), rotation=0)
    axes.grid(visible=False)
    axes.tick_params(length=0)
    _plain_colour_bar(axes)
    return Drawing("heat-map", figure, _caption(study), _alt(study, what), cells)


def _plain_colour_bar(axes: object) -> None:
    bar = axes.collections[0].colorbar  # type: ignore[attr-defined]
    bar.outline.set_visible(False)
    plain_numbers(bar.ax.yaxis)
    bar.ax.minorticks_off()


def _to_target(study: Study) -> bool:
    return study.target is not None and bool(np.isfinite(study.seeds["steps_to_target"]).any())


def _caption(study: Study) -> str:
    if _to_target(study) and study.target:
        metric, value = study.target
        goal = f"{humanized(metric)} {setting(value)}"
        return sentence(f"median {study.update}s to {goal}, and how many seeds reached it")
    return sentence(f"median final {humanized(str(study.loss_name))}")


def _alt(study: Study, what: str) -> str:
    down, across = study.factors
    grid = sentence(f"heat map of {what} over {down.title} and {across.title}")
    return f"{grid} {words.headline(study)}"
