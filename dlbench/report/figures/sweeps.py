"""Sweeps of a number, a learning rate above all: how well a run ended, against the number."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.ticker import NullLocator

from dlbench.report import words
from dlbench.report.figures import marks
from dlbench.report.figures.drawing import Drawing
from dlbench.report.formatting import sentence
from dlbench.report.style import RED, WIDTH, Palette, canvas, line_labels, plain_numbers

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pandas as pd
    from matplotlib.axes import Axes

    from dlbench.report.study import Factor, Study

FEWEST = 3
"""Two values make no curve."""

MOST_TICKS = 10
"""With more values the axis chooses its own ticks."""


def sensitivity(study: Study, palette: Palette) -> Iterator[Drawing]:
    """Yield a sensitivity curve for each number that varies, batch sizes apart.

    The final training loss, and the metric that the study is judged by, against the number, a mark
    a seed. Shape after the learning-rate sensitivity of DeepOBS (Schneider et al. 2019, section 3).
    """
    metrics = [
        name
        for name in dict.fromkeys((study.loss_name, study.primary))
        if name and f"final_{name}" in study.seeds
    ]
    for factor in study.factors:
        if factor.numbers is None or factor.name == "batch_size" or len(factor.levels) < FEWEST:
            continue
        if metrics:
            yield _curve(study, palette, factor, metrics)


def _curve(study: Study, palette: Palette, factor: Factor, metrics: list[str]) -> Drawing:
    figure, grid = canvas(1, len(metrics), width=WIDTH * 0.42 * len(metrics), height=3.5)
    data = study.seeds[["record", "seed", "regime"]].copy()
    for axes, metric in zip(grid[0], metrics, strict=True):
        frame = _panel(axes, study, palette, factor, metric)
        data[factor.name] = frame["number"]
        data[f"final_{metric}"] = frame["value"]
    regimes = set(study.seeds["regime"])
    marks.legend(figure, study, palette, _hue(study, factor), regimes - {"diverged"})
    caption = "a mark is a seed, the line joins the medians"
    if "diverged" in regimes:
        caption += "; crosses at the edge are seeds that diverged"
    what = sentence(f"final {words.names(metrics)} against {factor.title}")
    alt = f"{what} {words.headline(study)}"
    return Drawing(f"by-{factor.name}", figure, sentence(caption), alt, data)


def _panel(axes: Axes, study: Study, palette: Palette, factor: Factor, metric: str) -> pd.DataFrame:
    higher = study.higher(metric)
    frame = marks.points(study, f"final_{metric}", factor)
    marks.scatter(axes, study, frame, higher=higher, hue=_hue(study, factor), palette=palette)
    lines = study.reference_lines(metric)
    shown = np.array([*frame["value"], *lines], dtype=float)
    marks.scale(axes, frame["number"].to_numpy(), shown, share=higher)
    line_labels(axes, lines)
    marks.at_edge(axes, frame, word="diverged", top=not higher, colour=RED)
    axes.set(xlabel=factor.title, ylabel=f"final {study.axis(metric)}")
    plain_numbers(axes.xaxis)
    plain_numbers(axes.yaxis)
    if len(factor.levels) <= MOST_TICKS:
        axes.set_xticks([factor.number(one) for one in factor.levels], list(factor.levels))
        axes.xaxis.set_minor_locator(NullLocator())
    return frame


def _hue(study: Study, factor: Factor) -> Factor | None:
    return next(iter(study.others(factor)), None)
