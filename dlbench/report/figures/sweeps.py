"""Sweeps of a number, a learning rate above all: how well a run ended, against the number."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dlbench.report import words
from dlbench.report.figures import marks
from dlbench.report.figures.drawing import Drawing
from dlbench.report.formatting import sentence, setting
from dlbench.report.style import RED, WIDTH, Palette, canvas, line_label, plain_numbers

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pandas as pd
    from matplotlib.axes import Axes

    from dlbench.report.study import Factor, Study

MOST_TICKS = 10
"""With more values the axis chooses its own ticks."""

FEWEST = 3
"""Two values make no curve."""


def sensitivity(study: Study, palette: Palette) -> Iterator[Drawing]:
    """Yield a sensitivity curve for each number that varies, batch sizes apart.

    The last training loss, and the metric that the study is judged by, against the number; a mark a
    seed. Shape after the learning-rate sensitivity of DeepOBS (Schneider et al. 2019, section 3).
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
    hue = next(iter(study.others(factor)), None)
    figure, grid = canvas(1, len(metrics), width=WIDTH * (0.42 * len(metrics)), height=3.5)
    data = study.seeds[["record", "seed", "regime"]].copy()
    for axes, metric in zip(grid[0], metrics, strict=True):
        frame = marks.points(study, f"final_{metric}", factor)
        data[["number", f"final_{metric}"]] = frame[["number", "value"]]
        _panel(axes, study, palette, metric, factor, hue, frame)
    regimes = list(study.seeds["regime"].unique())
    marks.legend(figure, study, palette, hue, [one for one in regimes if one != "diverged"])
    caption = "a mark is a seed, the line joins the medians"
    if "diverged" in regimes:
        caption += "; crosses at the edge are seeds that diverged"
    alt = f"{sentence(f'final {words.names(metrics)} against {factor.title}')} {words.headline(study)}"
    data = data.rename(columns={"number": factor.name})
    return Drawing(f"by-{factor.name}", figure, sentence(caption), alt, data)


def _panel(
    axes: Axes,
    study: Study,
    palette: Palette,
    metric: str,
    factor: Factor,
    hue: Factor | None,
    frame: pd.DataFrame,
) -> None:
    higher = study.higher(metric)
    marks.scatter(axes, study, frame, higher=higher, hue=hue, palette=palette)
    marks.scale(axes, frame["number"], frame["value"], share=higher)
    if study.target and study.target[0] == metric:
        line_label(axes, study.target[1], f"target {setting(study.target[1])}")
    constant = study.cases["constant_loss"].dropna()
    if metric == study.loss_name and constant.nunique() == 1:
        line_label(axes, float(constant.iloc[0]), "best constant predictor")
    marks.at_edge(axes, frame, word="diverged", top=not higher, colour=RED)
    axes.set(xlabel=factor.title, ylabel=f"final {study.axis(metric)}")
    plain_numbers(axes.xaxis)
    plain_numbers(axes.yaxis)
    if len(factor.levels) <= MOST_TICKS:
        axes.set_xticks([factor.number(one) for one in factor.levels], list(factor.levels))
        axes.xaxis.minorticks_off()
