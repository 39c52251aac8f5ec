"""One look for every figure."""

from __future__ import annotations

import re
from itertools import combinations, pairwise
from typing import TYPE_CHECKING

import matplotlib as mpl
import matplotlib.pyplot as plt
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from dlbench.report.analysis import analyses
from dlbench.report.style import (
    REGIME_COLOURS,
    REGIME_MARKS,
    Palette,
    canvas,
    line_labels,
    plain_numbers,
    styled,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from dlbench.history.record import Record
    from dlbench.history.run import Run
    from dlbench.report.study import Study


def lightness(colour: str) -> float:
    """Return a colour's relative luminance (WCAG 2.2)."""
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in to_rgb(colour)]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_a_level_has_one_colour_in_the_whole_run(suite: Run) -> None:
    """The same value is the same colour in every study, and two values never share one."""
    studies = [study for analysis in analyses(suite) for study in analysis.studies]
    palette = Palette.of(studies)
    seen: dict[tuple[str, str], str] = {}
    for study in studies:
        for factor in study.factors:
            colours = palette.colour_map(factor)
            assert len(set(colours.values())) == len(factor.levels)
            for level, colour in colours.items():
                assert seen.setdefault((factor.name, level), colour) == colour


def test_numbers_rise_in_lightness(
    trained: Callable[..., Record], study_of: Callable[..., Study]
) -> None:
    """Colours of a number keep its order in grey, and stay readable on white."""
    study = study_of([trained("test_a", {"x": x}) for x in range(8)])
    shades = [*map(lightness, Palette.of([study]).colour_map(study.factors[0]).values())]
    assert shades == sorted(shades)
    assert shades[-1] < 0.6


@pytest.mark.parametrize("count", [2, 8, 30])
def test_colour_is_never_alone(
    trained: Callable[..., Record], study_of: Callable[..., Study], count: int
) -> None:
    """Neighbouring levels differ in dash as well."""
    study = study_of([trained("test_a", {"x": f"name {x}"}) for x in range(count)])
    (factor,) = study.factors
    dashes = list(Palette.of([study]).dash_map(factor).values())
    assert len(dashes) == count
    assert all(one != other for one, other in pairwise(dashes))


def test_regimes_differ_in_colour_and_mark() -> None:
    """Every regime has a colour and a mark of its own."""
    for looks in (REGIME_COLOURS, REGIME_MARKS):
        assert all(looks[one] != looks[other] for one, other in combinations(looks, 2))


def test_settings_stay_as_they_were() -> None:
    """Drawing changes no setting of Matplotlib's, and opens no figure that pyplot knows."""
    before = dict(mpl.rcParams)
    with styled():
        canvas(1, 2, width=4, height=3)
    assert dict(mpl.rcParams) == before
    assert plt.get_fignums() == []


@pytest.mark.parametrize(
    ("limits", "expected"),
    [
        ((1e-3, 10.0), {"0.001", "0.01", "0.1", "1", "10"}),
        ((1.0, 20000.0), {"1", "10", "100", "1,000", "10,000"}),
        ((0.4, 6.0), {"0.5", "1", "2", "5"}),
    ],
)
def test_logarithmic_axes_have_readable_numbers(
    limits: tuple[float, float], expected: set[str]
) -> None:
    """An axis writes plain numbers within reach, powers of ten beyond, and more within a decade."""
    assert expected <= tick_texts(limits)


def test_far_axes_have_powers_of_ten() -> None:
    """Beyond a reader's reach every tick is a power of ten."""
    texts = tick_texts((1e-9, 1.0))
    assert len(texts) > 3
    assert all(re.fullmatch("10[⁻⁰¹²³⁴⁵⁶⁷⁸⁹]+", text) for text in texts)


def tick_texts(limits: tuple[float, float]) -> set[str]:
    """Return the texts within the limits of a logarithmic axis."""
    low, high = limits
    with styled():
        figure, grid = canvas(width=4, height=3)
        axes = grid[0, 0]
        axes.set_yscale("log")
        axes.set_ylim(low, high)
        plain_numbers(axes.yaxis)
        figure.draw_without_rendering()
    labels = axes.get_yticklabels()
    return {text.get_text() for text in labels if low <= text.get_position()[1] <= high}


@pytest.mark.parametrize(("scale", "near"), [("linear", 0.98), ("log", 0.9)])
def test_labels_of_close_lines_stand_apart(scale: str, near: float) -> None:
    """Where two reference lines nearly meet, the words of the lower one stand below it."""
    figure = Figure()
    for panel, lower in enumerate((near, 0.5), start=1):
        axes = figure.add_subplot(1, 2, panel)
        axes.set(yscale=scale, ylim=(1e-3, 1.1))
        line_labels(axes, {1.0: "upper", lower: "lower"})
        boxes = {
            text.get_text(): text.get_window_extent(FigureCanvasAgg(figure).get_renderer())
            for text in axes.texts
        }
        assert not boxes["upper"].overlaps(boxes["lower"])
        line = axes.transData.transform((0, lower))[1]
        assert (boxes["lower"].y1 < line) == (lower == near)
