"""How every figure looks: colours, marks, sizes. The only module that knows seaborn's theme.

Colours are safe for the colour-blind, and never alone: each level has its line or mark too. A level
of a factor has the same colour in every figure of a page.
"""

from __future__ import annotations

import itertools
import math
import warnings
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import matplotlib.style
import numpy as np
import seaborn as sns
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.ticker import Formatter, FuncFormatter, LogLocator, NullFormatter

from dlbench.report.formatting import MINUS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from matplotlib.axes import Axes

    from dlbench.report.study import Factor, Study

WIDTH = 10.0
"""Inches: the widest figure; 960 CSS pixels."""

LETTER = 0.6
"""The width of a letter, as a share of its height: what a text takes before it is drawn."""

INK = "#2b2d33"
QUIET = "#767b86"
FAINT = "#d9dce1"

BLUE, ORANGE, GREEN, RED, PINK, BROWN, GREY, SKY = (
    sns.color_palette("colorblind").as_hex()[place] for place in (0, 1, 2, 3, 4, 5, 7, 9)
)
CATEGORIES = (BLUE, ORANGE, GREEN, PINK, RED, SKY, BROWN, GREY)
FURTHER = (
    "#152aaa", "#6a0015", "#bf55ff", "#804000", "#550055", "#00524a", "#004095", "#26262b",
)  # fmt: skip
"""From the ninth level to the sixteenth: chosen far from the first eight and from each other, to
the colour-blind too."""

RAMPS = (("plasma", 0.8), ("viridis", 0.83), ("rocket", 0.75))
"""For numbers: the ramp of a run's first factor, of its second, and so on, and where each ends.

All rise evenly in lightness, so that they keep their order in grey and to the colour-blind.
"""

REGIME_COLOURS = {
    "converged": GREEN,
    "slow": BLUE,
    "stalled": ORANGE,
    "diverged": RED,
    "unknown": GREY,
}
REGIME_MARKS = {"converged": "o", "slow": "s", "stalled": "v", "diverged": "X", "unknown": "d"}

SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")

THOUSAND = 1000
TOO_LONG = 1e6
"""A number above it has an exponent on an axis."""

SMALLEST = 5e-5
"""Below it the zeros of a number on an axis are hard to count."""

NARROW = 400.0
"""A logarithmic axis that spans less has ticks at 2 and 5 too."""

MOST_COLUMNS = 7
"""Of a legend."""

DASHES: tuple[Any, ...] = ("", (4, 1.5), (1.2, 1.2), (6, 1.5, 1.2, 1.5), (2.5, 1), (8, 2))
MARKS = ("o", "s", "D", "^", "v", "P", "p", "h", "<", ">")

THEME = {
    **sns.axes_style("ticks"),
    "font.family": ["DejaVu Sans"],
    "font.size": 9,
    "axes.titlesize": 9.5,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.labelsize": 9,
    "xtick.labelsize": 8.5,
    "ytick.labelsize": 8.5,
    "legend.fontsize": 8.5,
    "legend.title_fontsize": 8.5,
    "legend.frameon": False,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": QUIET,
    "axes.labelcolor": INK,
    "axes.titlecolor": INK,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "axes.grid": True,
    "grid.color": FAINT,
    "grid.linewidth": 0.6,
    "axes.axisbelow": True,
    "axes.linewidth": 0.8,
    "xtick.major.width": 0.8,
    "ytick.major.width": 0.8,
    "xtick.major.size": 3.5,
    "ytick.major.size": 3.5,
    "xtick.minor.size": 0,
    "ytick.minor.size": 0,
    "lines.linewidth": 1.7,
    "text.parse_math": False,  # a dollar sign in a test's parameter is a dollar sign
    "svg.fonttype": "path",
    "svg.hashsalt": "dlbench",
    "figure.facecolor": "none",
    "axes.facecolor": "none",
    "savefig.facecolor": "none",
}
"""On top of Matplotlib's own defaults, so that a user's `matplotlibrc` changes nothing."""


@contextmanager
def styled() -> Iterator[None]:
    """Draw in the report's style inside, and leave Matplotlib's settings as they were.

    What a test's parameters are called is not the user's fault: neither a letter that the font lacks
    nor a name that leaves no room for the panel stops a run whose warnings are errors.
    """
    with matplotlib.style.context(["default", THEME]), warnings.catch_warnings():
        warnings.filterwarnings("ignore", r"Glyph \d+ .* missing from", UserWarning)
        warnings.filterwarnings("ignore", "constrained_layout not applied", UserWarning)
        yield


def canvas(rows: int = 1, columns: int = 1, *, width: float, height: float) -> tuple[Figure, Any]:
    """Return a figure that no global state knows, and its axes, shape `(rows, columns)`.

    Args:
        rows: of panels.
        columns: of panels.
        width: inches.
        height: inches.
    """
    engine = ConstrainedLayoutEngine(w_pad=0.06, h_pad=0.06, wspace=0.03, hspace=0.04)
    figure = Figure(figsize=(width, height), layout=engine)
    return figure, figure.subplots(rows, columns, squeeze=False)


@dataclass(frozen=True, slots=True)
class Palette:
    """A colour, a dash and a mark for every level of every factor of a run."""

    levels: dict[str, dict[str, int]]
    """By factor, the place of each level."""
    colours: dict[str, tuple[str, ...]]

    @classmethod
    def of(cls, studies: Iterable[Study]) -> Palette:
        """Return the palette of a run: numbers from dark to light, other levels told apart."""
        found: dict[str, dict[str, float | None]] = {}
        for study in studies:
            for factor in study.factors:
                numbers = factor.numbers or (None,) * len(factor.levels)
                found.setdefault(factor.name, {}).update(zip(factor.levels, numbers, strict=True))
        levels, colours, ramps = {}, {}, itertools.cycle(RAMPS)
        # The factor with the most levels takes the ramp that tells most apart.
        for name, by_level in sorted(found.items(), key=lambda one: -len(one[1])):
            ordered = all(value is not None for value in by_level.values())
            names = sorted(by_level, key=lambda one: by_level[one] or 0.0) if ordered else by_level
            levels[name] = {level: place for place, level in enumerate(names)}
            count = len(by_level)
            colours[name] = _rising(count, *next(ramps)) if ordered else _different(count)
        return cls(levels, colours)

    def tells_apart(self, factor: Factor) -> bool:
        """Return whether every level of a factor has a colour of its own."""
        colours = self.colours[factor.name]
        return len(set(colours)) == len(colours)

    def colour(self, factor: Factor, level: str) -> str:
        """Return the colour of a level."""
        return self.colours[factor.name][self.levels[factor.name][level]]

    def colour_map(self, factor: Factor) -> dict[str, str]:
        """Return the colour of each level, as seaborn takes it."""
        return {level: self.colour(factor, level) for level in factor.levels}

    def dash_map(self, factor: Factor) -> dict[str, Any]:
        """Return the dash of each level, as seaborn takes it."""
        places = self.levels[factor.name]
        return {level: DASHES[places[level] % len(DASHES)] for level in factor.levels}

    def mark(self, factor: Factor, level: str) -> str:
        """Return the mark of a level."""
        return MARKS[self.levels[factor.name][level] % len(MARKS)]


def plain_numbers(axis: Any) -> None:
    """Write an axis's numbers as the page writes them; powers of ten beyond a reader's reach."""
    if axis.get_scale() == "log":
        low, high = axis.get_view_interval()
        narrow = high < NARROW * low
        far = low < SMALLEST or high > TOO_LONG
        axis.set_major_locator(LogLocator(subs=(1, 2, 5) if narrow else (1,), numticks=8))
        axis.set_major_formatter(FuncFormatter(_power_text) if far else PlainFormatter())
        axis.set_minor_formatter(NullFormatter())
    else:
        axis.set_major_formatter(PlainFormatter())


def text_width(text: str, size: float) -> float:
    """Return about how wide a text is, in the unit of its font's size."""
    return len(text) * LETTER * size


def width_of(axes: Axes) -> float:
    """Return about how wide a panel is, in points; before the layout is known, a little too much."""
    return float(axes.get_window_extent().width) / float(axes.get_figure().dpi) * 72  # type: ignore[union-attr]


def legend(
    figure: Figure, handles: Sequence[Any], *, title: str | None = None, handlelength: float = 1.6
) -> None:
    """Draw a legend above the panels, filled row by row, in as many columns as there is room for."""
    if not handles:
        return
    widest = max(text_width(str(handle.get_label()), 8.5) for handle in handles)
    room = int(72 * figure.get_figwidth() // (widest + 8.5 * (handlelength + 2.2)))
    columns = max(1, min(len(handles), MOST_COLUMNS, room))
    # Matplotlib fills column by column.
    ordered = [
        handles[place]
        for column in range(columns)
        for place in range(column, len(handles), columns)
    ]
    figure.legend(
        handles=ordered,
        title=title,
        loc="outside upper left",
        ncols=columns,
        alignment="left",
        columnspacing=1.4,
        handlelength=handlelength,
    )


class PlainFormatter(Formatter):
    """Plain numbers with as many digits as tell an axis's ticks apart."""

    def __call__(self, value: float, _: int | None = None) -> str:
        """Return one tick's text."""
        return self._text(value, 4)

    def format_ticks(self, values: Sequence[float]) -> list[str]:
        """Return the ticks' texts."""
        texts: list[str] = []
        for digits in range(4, 12):
            texts = [self._text(value, digits) for value in values]
            if len(set(texts)) == len(set(values)):
                break
        return texts

    @staticmethod
    def _text(value: float, digits: int) -> str:
        grouped = THOUSAND <= abs(value) < TOO_LONG and value == int(value)  # `g` writes 1e+04
        text = f"{value:,.0f}" if grouped else f"{value:.{digits}g}"
        return text.replace("-", MINUS, 1) if value < 0 else text


def _power_text(value: float, _: int = 0) -> str:
    """Return `10⁻⁶` in plain characters: Matplotlib's own formulas take long to parse."""
    power = math.floor(math.log10(value) + 1e-9)
    digit = round(value / 10.0**power)
    raised = f"10{str(power).translate(SUPERSCRIPTS)}"
    return raised if digit == 1 else f"{digit}·{raised}"


def _rising(count: int, ramp: str, lightest: float) -> tuple[str, ...]:
    shades = np.linspace(0.0, lightest, count) if count > 1 else [0.3]
    cmap = sns.color_palette(ramp, as_cmap=True)
    return tuple(sns.color_palette([cmap(float(shade)) for shade in shades]).as_hex())


def _different(count: int) -> tuple[str, ...]:
    return tuple(itertools.islice(itertools.cycle(CATEGORIES + FURTHER), count))
