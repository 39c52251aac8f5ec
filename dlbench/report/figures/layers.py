"""Parameters: how many each model has, and in which of its layers they are."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.ticker import FuncFormatter, NullLocator

from dlbench.report import words
from dlbench.report.figures.drawing import Drawing
from dlbench.report.formatting import compact, counted, number, sentence, shortened
from dlbench.report.style import BLUE, GREY, INK, ORANGE, WIDTH, Palette, canvas

if TYPE_CHECKING:
    from collections.abc import Iterator

    from matplotlib.axes import Axes

    from dlbench.report.study import Study

FEWEST = 2
"""One model compares nothing."""

MOST_MODELS = 40
MOST_TAKEN_APART = 6
MOST_BARS = 14
"""Of a deeper model the largest layers have a bar each, the others one together."""

KINDS = {"weights": BLUE, "biases": ORANGE, "buffers": GREY}


def totals(study: Study, _: Palette) -> Iterator[Drawing]:
    """Yield the parameters of each model, on a logarithmic axis where they differ much."""
    if len(study.totals) < FEWEST:
        return
    data = study.totals.assign(
        label=[shortened(study.label(record), 36) for record in study.totals["record"]]
    ).sort_values("unique", ascending=False)
    shown = data.head(MOST_MODELS)
    figure, grid = canvas(width=WIDTH * 0.8, height=0.9 + 0.24 * len(shown))
    axes = grid[0, 0]
    rows = range(len(shown))
    axes.set_yticks(rows, shown["label"])
    axes.set_ylim(len(shown) - 0.4, -0.6)
    counts = shown["unique"].astype(float)
    log = counts.min() > 0 and counts.max() > 30 * counts.min()
    start = counts.min() / 3 if log else 0.0
    axes.hlines(rows, start, counts, color=BLUE, linewidth=1.2, alpha=0.6)
    sns.scatterplot(x=counts.to_numpy(), y=list(rows), color=BLUE, s=34, ax=axes, zorder=3)
    if log:
        axes.set_xscale("log")
    axes.set_xlim(start, counts.max() * (4 if log else 1.2))
    for row, count in zip(rows, shown["unique"], strict=True):
        axes.annotate(
            number(int(count)), (float(count), row), xytext=(7, 0), textcoords="offset points",
            va="center", fontsize=8, color=INK,
        )  # fmt: skip
    axes.set(xlabel="parameters", ylabel="")
    axes.xaxis.set_major_formatter(FuncFormatter(_compact))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.grid(visible=False, axis="y")
    caption = "parameters, each counted once however many layers share it"
    if len(data) > len(shown):
        caption += f"; the {len(shown)} largest of {counted(len(data), 'model')}"
    yield Drawing("parameters", figure, sentence(caption), words.headline(study), data)


def layers(study: Study, _: Palette) -> Iterator[Drawing]:
    """Yield the parameters by layer of the models worth taking apart, the largest first."""
    if study.layers.empty:
        return
    holding = study.layers[study.layers["parameters"] > 0]
    several = holding.groupby("record").filter(lambda model: len(model) > 1)
    order = several.groupby("record")["parameters"].sum().sort_values(ascending=False)
    records = [int(record) for record in order.index[:MOST_TAKEN_APART]]
    if not records:
        return
    bars = [_bars(several[several["record"] == record]) for record in records]
    columns = min(2, len(records))
    rows = -(-len(records) // columns)
    tallest = [
        max(len(one) for one in bars[row * columns : (row + 1) * columns]) for row in range(rows)
    ]
    height = sum(0.95 + 0.2 * count for count in tallest)
    figure, grid = canvas(rows, columns, width=WIDTH * (1 if columns > 1 else 0.7), height=height)
    grid[0, 0].get_gridspec().set_height_ratios([0.95 + 0.2 * count for count in tallest])
    for place, record in enumerate(records):
        _stack(grid[divmod(place, columns)], bars[place], study.label(record))
    for place in range(len(records), rows * columns):
        grid[divmod(place, columns)].set_visible(False)
    handles = [
        grid[0, 0].barh([0], [0], color=colour, label=kind)
        for kind, colour in KINDS.items()
        if any(one[kind].sum() for one in bars)
    ]
    figure.legend(handles=handles, loc="outside upper left", ncols=3)
    caption = "parameters by layer, layers without any left out"
    if len(order) > len(records):
        caption += f"; the {len(records)} largest of {counted(len(order), 'model')}"
    yield Drawing("layers", figure, sentence(caption), _alt(study, several, records), several)


def _bars(model: pd.DataFrame) -> pd.DataFrame:
    """Return a row a bar: the layers in the model's order, the small ones of many as one."""
    kept = model[["layer", *KINDS]]
    if len(kept) <= MOST_BARS:
        return kept
    large = model["parameters"].nlargest(MOST_BARS - 1).index
    rest = kept.drop(index=large)
    together = {"layer": f"{len(rest)} other layers", **rest[list(KINDS)].sum().to_dict()}
    return pd.concat([kept.loc[sorted(large)], pd.DataFrame([together])], ignore_index=True)


def _stack(axes: Axes, bars: pd.DataFrame, title: str) -> None:
    rows = np.arange(len(bars))
    left = np.zeros(len(bars))
    for kind, colour in KINDS.items():
        values = bars[kind].to_numpy(dtype=float)
        axes.barh(rows, values, left=left, color=colour, height=0.72)
        left += values
    axes.set_yticks(rows, [shortened(name, 26) for name in bars["layer"]])
    axes.set_ylim(len(bars) - 0.4, -0.6)
    axes.set_xlim(0, left.max() * 1.16)
    for row, total in zip(rows, left, strict=True):
        axes.annotate(
            compact(float(total)), (total, row), xytext=(3, 0), textcoords="offset points",
            va="center", fontsize=7.5, color=INK,
        )  # fmt: skip
    axes.set_title(shortened(title, 44))
    axes.set_xlabel("parameters")
    axes.xaxis.set_major_formatter(FuncFormatter(_compact))
    axes.grid(visible=False, axis="y")


def _compact(value: float, _: int) -> str:
    return compact(value)


def _alt(study: Study, several: pd.DataFrame, records: list[int]) -> str:
    sentences = []
    for record in records:
        model = several[several["record"] == record]
        largest = model.iloc[int(model["parameters"].argmax())]
        share = largest["parameters"] / model["parameters"].sum()
        sentences.append(
            f"{study.label(record)}: {largest['layer']} holds most, "
            f"{number(int(largest['parameters']))} ({share:.0%})"
        )
    return sentence(f"parameters by layer. {'; '.join(sentences)}")
