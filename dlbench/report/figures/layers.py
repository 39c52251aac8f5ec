"""Parameters: how many each model has, and in which of its layers they are."""

from __future__ import annotations

from itertools import takewhile
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator

from dlbench.report import words
from dlbench.report.figures.drawing import Drawing
from dlbench.report.formatting import compact, counted, number, sentence, shortened
from dlbench.report.style import (
    BLUE,
    GREY,
    INK,
    ORANGE,
    WIDTH,
    Palette,
    canvas,
    legend,
    text_width,
    width_of,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    from dlbench.report.study import Study

FEWEST = 2
"""One model compares nothing."""

MOST_MODELS = 40
MOST_TAKEN_APART = 6
MOST_BARS = 14
"""Of a deeper model the largest layers have a bar each, the others one together."""

LONGEST = 26
"""Letters of a layer's name."""

FULLY = 1e9
"""With a larger count among them, all are written in a few letters."""

QUANTITIES = {
    "unique": "parameters",
    "macs": "multiply-accumulates a sample",
    "optimizer": "numbers that the optimizer keeps",
}

KINDS = {"weights": BLUE, "biases": ORANGE, "buffers": GREY}


def totals(study: Study, _: Palette) -> Iterator[Drawing]:
    """Yield what differs between the models: their parameters, their work, their optimizer's numbers.

    What is the same in all of them has no panel; where all is, there is no figure.
    """
    if len(study.totals) < FEWEST:
        return
    panels = [name for name in QUANTITIES if _differs(study, name)]
    if not panels:
        return
    data = study.totals.assign(
        label=[shortened(study.label(record), 36) for record in study.totals["record"]]
    ).sort_values(panels, ascending=False, kind="stable")
    shown = data.head(MOST_MODELS)
    width = WIDTH if len(panels) > 1 else WIDTH * 0.8
    figure, grid = canvas(1, len(panels), width=width, height=0.9 + 0.24 * len(shown))
    for axes, name in zip(grid[0], panels, strict=True):
        _lollipops(axes, shown[name].to_numpy(dtype=float), name)
        axes.set_yticks(range(len(shown)), [""] * len(shown))
    grid[0, 0].set_yticks(range(len(shown)), shown["label"])
    caption = _totals_caption(study, panels)
    if len(data) > len(shown):
        caption += f"; the {len(shown)} largest of {counted(len(data), 'model')}"
    yield Drawing("counts", figure, sentence(caption), _totals_alt(study, panels), data)


def _differs(study: Study, name: str) -> bool:
    """Return whether a quantity is known of every model, and not the same in all."""
    values = study.totals[name]
    if name == "macs" and study.layers["macs"].isna().any():
        return False  # a lower bound is no finding
    return bool(values.notna().all() and (values != values.iloc[0]).any())


def _lollipops(axes: Axes, counts: NDArray[np.float64], name: str) -> None:
    """Draw a mark a model, on a logarithmic axis where they differ much."""
    rows = np.arange(len(counts))
    axes.set_ylim(len(counts) - 0.4, -0.6)
    log = counts.min() > 0 and counts.max() > 30 * counts.min()
    start = counts.min() / 3 if log else 0.0
    axes.hlines(rows, start, counts, color=BLUE, linewidth=1.2, alpha=0.6)
    sns.scatterplot(x=counts, y=rows, color=BLUE, s=34, ax=axes, zorder=3)
    if log:
        axes.set_xscale("log")
    texts = [number(int(one)) if counts.max() < FULLY else compact(one) for one in counts]
    # The widest text stands right of the largest mark.
    free = (max(text_width(text, 8) for text in texts) + 12) / (0.8 * width_of(axes))
    to = (counts.max() / start) ** (1 / (1 - free)) * start if log else counts.max() / (1 - free)
    axes.set_xlim(start, to)
    for row, count, text in zip(rows, counts, texts, strict=True):
        axes.annotate(
            text, (count, row), xytext=(7, 0), textcoords="offset points",
            va="center", fontsize=8, color=INK,
        )  # fmt: skip
    axes.set(xlabel=QUANTITIES[name], ylabel="")
    axes.xaxis.set_major_locator(
        LogLocator(numticks=5) if log else MaxNLocator(5, integer=True, steps=[1, 2, 5, 10])
    )
    axes.xaxis.set_major_formatter(FuncFormatter(_compact))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.grid(visible=False, axis="y")


def _totals_caption(study: Study, panels: list[str]) -> str:
    same = study.totals["unique"].iloc[0]
    parts = (
        ["parameters, each counted once however many layers share it"]
        if "unique" in panels
        else [f"all have {number(int(same))} parameters"]
    )
    if "macs" in panels:
        parts.append("multiply-accumulates of one sample's way through the model")
    if "optimizer" in panels:
        parts.append("the optimizer keeps its moments, its step and its learning rate")
    return "; ".join(parts)


def _totals_alt(study: Study, panels: list[str]) -> str:
    ranges = [
        sentence(
            f"{QUANTITIES[name]}: {compact(float(study.totals[name].min()))} to "
            f"{compact(float(study.totals[name].max()))}"
        )
        for name in panels
        if name != "unique"
    ]
    return " ".join([words.headline(study), *ranges])


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
        title = study.label(record) if len(records) > 1 else ""
        _stack(grid[divmod(place, columns)], bars[place], title)
    for place in range(len(records), rows * columns):
        grid[divmod(place, columns)].set_visible(False)
    handles = [
        grid[0, 0].barh([0], [0], color=colour, label=kind)
        for kind, colour in KINDS.items()
        if any(one[kind].sum() for one in bars)
    ]
    legend(figure, handles)
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


def _names(layers: list[str]) -> list[str]:
    """Return short names for layers, without the words that all of a long-winded model begin with."""
    named = layers[:-1] if layers[-1].endswith(" other layers") else layers
    first, last = min(named), max(named)  # what these share at the beginning, all do
    shared = sum(
        1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(first, last, strict=False))
    )
    start = first[: max(first.rfind("_", 0, shared), first.rfind("/", 0, shared)) + 1]
    if max(map(len, named)) <= LONGEST:
        start = ""
    return [shortened(name.removeprefix(start), LONGEST) for name in layers]


def _stack(axes: Axes, bars: pd.DataFrame, title: str) -> None:
    rows = np.arange(len(bars))
    left = np.zeros(len(bars))
    for kind, colour in KINDS.items():
        values = bars[kind].to_numpy(dtype=float)
        axes.barh(rows, values, left=left, color=colour, height=0.72)
        left += values
    axes.set_yticks(rows, _names(list(bars["layer"])))
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
