"""Sweeps of a number, a learning rate above all: how well a run ended, against the number."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.ticker import NullLocator

from dlbench.report import words
from dlbench.report.figures import bounds, marks
from dlbench.report.figures.drawing import Drawing
from dlbench.report.figures.lines import noted_lines
from dlbench.report.formatting import sentence, shortened
from dlbench.report.style import RED, WIDTH, Palette, canvas, plain_numbers

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    from dlbench.report.study import Bound, Factor, ReferenceLine, Study

FEWEST = 3
"""Two values make no curve."""

MOST_TICKS = 10
"""With more values the axis chooses its own ticks."""

TICK_SIZE = 8.5
"""Of the levels' names, in points."""

MOST_HUES = 6
"""More things without an order, such as optimizers, hide each other in one panel."""

MOST_SHADES = 10
"""The same of numbers, whose shades rise."""

MOST_FACETS = 12
PER_ROW = 3


def sensitivity(study: Study, palette: Palette) -> Iterator[Drawing]:
    """Yield a sensitivity curve for each number that varies, batch sizes apart.

    The final training loss, and the metric that the study is judged by, against the number, a mark
    a seed. Shape after the learning-rate sensitivity of DeepOBS (Schneider et al. 2019, section 3).

    The levels of a further factor have colours. More of them than can be followed have a panel
    each, for the loss; where not even panels hold them, there is no figure.
    """
    metrics = [
        name
        for name in dict.fromkeys((study.loss_name, study.primary))
        if name and f"final_{name}" in study.seeds
    ]
    for factor in study.factors:
        if factor.numbers is None or factor.name == "batch_size" or len(factor.levels) < FEWEST:
            continue
        hue = next(iter(study.others(factor)), None)
        if not metrics:
            continue
        if hue is None or _followed(hue, palette):
            yield _together(study, palette, factor, hue, metrics)
        elif len(hue.levels) <= MOST_FACETS:
            yield _apart(study, palette, factor, hue, metrics[0])


def _followed(hue: Factor, palette: Palette) -> bool:
    """Return whether the levels of a factor can be told apart in one panel."""
    most = MOST_HUES if hue.numbers is None else MOST_SHADES
    return len(hue.levels) <= most and palette.tells_apart(hue)


def _together(
    study: Study, palette: Palette, factor: Factor, hue: Factor | None, metrics: list[str]
) -> Drawing:
    """Return a figure with a panel a metric."""
    figure, grid = canvas(1, len(metrics), width=WIDTH * 0.42 * len(metrics), height=3.5)
    data = study.seeds[["record", "seed", "regime"]].copy()
    data[factor.name] = [factor.number(level) for level in study.seeds[factor.column]]
    asserted: list[Bound] = []
    for axes, metric in zip(grid[0], metrics, strict=True):
        curve = _Curve.of(study, factor, metric, axes)
        data[f"final_{metric}"] = curve.frame["value"]
        asserted += curve.draw(axes, curve.frame, hue, palette)
        noted_lines(axes, study.reference_lines(metric))
    _legend(figure, study, palette, hue)
    said = _words(study, factor, metrics, asserted)
    return Drawing(f"by-{factor.name}", figure, *said, data)


def _apart(study: Study, palette: Palette, factor: Factor, hue: Factor, metric: str) -> Drawing:
    """Return a figure of one metric with a panel a level of `hue`, all on the same axes."""
    rows = -(-len(hue.levels) // PER_ROW)
    figure, grid = canvas(rows, PER_ROW, width=WIDTH, height=2.2 * rows + 0.4)
    curve = _Curve.of(study, factor, metric, grid[0, 0])
    lines = study.reference_lines(metric)
    asserted: list[Bound] = []
    for axes, level in itertools.zip_longest(grid.ravel(), hue.levels):
        if level is None:
            axes.set_visible(False)
            continue
        frame = curve.frame[curve.frame[hue.column] == level]
        asserted += curve.draw(axes, frame, None, palette)
        noted_lines(axes, lines, note=False)
        axes.set_title(shortened(f"{hue.title} {level}", 40))
    _legend(figure, study, palette, None, lines)
    data = study.seeds[["record", "seed", "regime"]].assign(
        **{
            hue.name: study.seeds[hue.column],
            factor.name: [factor.number(level) for level in study.seeds[factor.column]],
            f"final_{metric}": curve.frame["value"],
        }
    )
    said = _words(study, factor, [metric], asserted)
    return Drawing(f"by-{factor.name}", figure, *said, data)


@dataclass(frozen=True, slots=True)
class _Curve:
    """One metric against a number, and what all panels that show it have in common."""

    study: Study
    factor: Factor
    metric: str
    frame: pd.DataFrame
    """A row a seed."""
    places: NDArray[np.float64]
    """Where each level stands along x: at its number or, where these are too close, its rank."""
    ranked: bool

    @classmethod
    def of(cls, study: Study, factor: Factor, metric: str, axes: Axes) -> _Curve:
        """Return a curve for panels of the size of one."""
        frame = marks.points(study, f"final_{metric}", factor)
        numbers = np.array(factor.numbers)
        curve = cls(study, factor, metric, frame, numbers, ranked=False)
        if len(numbers) > MOST_TICKS:
            return curve
        curve.settle_across(axes)
        if not marks.crowded(axes, numbers, _widest(factor, frame), TICK_SIZE):
            return curve
        ranks = np.arange(len(numbers), dtype=float)
        frame["number"] = ranks[frame[factor.column].cat.codes]
        return cls(study, factor, metric, frame, ranks, ranked=True)

    def draw(
        self, axes: Axes, frame: pd.DataFrame, hue: Factor | None, palette: Palette
    ) -> list[Bound]:
        """Draw seeds and medians, on axes that hold those of all panels; return the bounds drawn."""
        higher, column = self.study.higher(self.metric), f"final_{self.metric}"
        held = [line.value for line in self.study.reference_lines(self.metric)]
        values = self.frame["value"].to_numpy(dtype=float)
        self.settle_across(axes)
        marks.up(
            axes, np.array([*values, *held, *bounds.near(values, self.asserted)]), share=higher
        )
        plain_numbers(axes.yaxis)
        if self.frame["value"].isna().any():
            marks.edge_room(axes, top=not higher)
        marks.scatter(axes, self.study, frame, higher=higher, hue=hue, palette=palette)
        marks.at_edge(axes, frame, top=not higher, colour=RED)
        beside = " (at equal distances)" if self.ranked else ""
        axes.set(xlabel=self.factor.title + beside, ylabel=f"final {self.study.axis(self.metric)}")
        return marks.asserted(axes, self.study, frame, column, hue=hue, palette=palette)

    @property
    def asserted(self) -> list[Bound]:
        """What the test asserts of the metric's final values."""
        records = self.frame["record"].unique()
        column = f"final_{self.metric}"
        return [one for record in records for one in bounds.of_column(self.study, record, column)]

    def settle_across(self, axes: Axes) -> None:
        """Settle the axis of the number, with a tick a level where they are few."""
        log = not self.ranked and marks.span(self.places) >= marks.DECADE
        marks.across(axes, self.places, log=log)
        plain_numbers(axes.xaxis)
        if len(self.places) <= MOST_TICKS:
            axes.set_xticks(self.places, list(self.factor.levels))
            axes.xaxis.set_minor_locator(NullLocator())


def _widest(factor: Factor, frame: pd.DataFrame) -> list[str]:
    """Return the widest text at each level: its name, or the count of its lost seeds."""
    counts = frame.groupby(factor.column, observed=False)["value"].agg(["size", "count"])
    return [
        max(level, f"{size}/{size}" if size > known else "", key=len)
        for level, (size, known) in zip(factor.levels, counts.to_numpy(), strict=True)
    ]


def _legend(
    figure: Figure,
    study: Study,
    palette: Palette,
    hue: Factor | None,
    lines: Iterable[ReferenceLine] = (),
) -> None:
    regimes = set(study.seeds["regime"])
    marks.legend(
        figure, palette, hue=hue, regimes=regimes - {"diverged"}, lines=lines,
        lost=("diverged", RED) if "diverged" in regimes else None,
    )  # fmt: skip


def _words(
    study: Study, factor: Factor, metrics: list[str], asserted: list[Bound]
) -> tuple[str, str]:
    """Return the caption, and what the figure says."""
    caption = "a mark is a seed, the line joins the medians"
    if (study.seeds["regime"] == "diverged").any():
        caption += "; crosses at the edge are seeds that diverged, of how many"
    what = sentence(f"final {words.names(metrics)} against {factor.title}")
    caption += bounds.explained(asserted)
    return sentence(caption), f"{what} {words.headline(study)}"
