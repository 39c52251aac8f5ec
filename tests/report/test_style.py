"""One look for every figure."""

from __future__ import annotations

import re
from itertools import combinations, pairwise
from typing import TYPE_CHECKING

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.colors import to_rgb
from matplotlib.lines import Line2D

from dlbench.report.analysis import analyses
from dlbench.report.style import (
    REGIME_COLOURS,
    REGIME_MARKS,
    Palette,
    canvas,
    legend,
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


def lab(colour: str, seen: list[list[float]]) -> np.ndarray:
    """Return a colour in CIELAB (D65), as eyes see it whose cones mix linear RGB by a matrix."""
    rgb = np.array(to_rgb(colour))
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    to_xyz = np.array(
        [[0.4125, 0.3576, 0.1804], [0.2127, 0.7152, 0.0722], [0.0193, 0.1192, 0.9503]]
    )
    share = to_xyz @ np.clip(np.array(seen) @ linear, 0, 1) / to_xyz.sum(axis=1)
    f = np.where(share > 216 / 24389, np.cbrt(share), (24389 / 27 * share + 16) / 116)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


SEEN: dict[str, tuple[list[list[float]], float]] = {
    # Machado et al. (2009), "A physiologically-based model for simulation of color vision
    # deficiency", table 1, severity 1.
    "all": ([[1, 0, 0], [0, 1, 0], [0, 0, 1]], 25),
    "no red": (
        [[0.152, 1.053, -0.205], [0.115, 0.786, 0.099], [-0.004, -0.048, 1.052]],
        10,
    ),
    "no green": (
        [[0.367, 0.861, -0.228], [0.280, 0.673, 0.047], [-0.012, 0.043, 0.969]],
        10,
    ),
}


@pytest.mark.parametrize("eyes", SEEN)
@pytest.mark.parametrize("count", [8, 9, 16])
def test_words_have_colours_far_apart(
    trained: Callable[..., Record], study_of: Callable[..., Study], count: int, eyes: str
) -> None:
    """Any two of up to sixteen levels are far apart, to the colour-blind too."""
    study = study_of([trained("test_a", {"x": f"name {x}"}) for x in range(count)])
    seen, least = SEEN[eyes]
    palette = Palette.of([study])
    colours = [lab(one, seen) for one in palette.colour_map(study.factors[0]).values()]
    assert min(float(np.linalg.norm(a - b)) for a, b in combinations(colours, 2)) > least
    assert palette.tells_apart(study.factors[0])


def test_more_words_than_colours_are_not_told_by_colour(
    trained: Callable[..., Record], study_of: Callable[..., Study]
) -> None:
    """Seventeen words have too few colours; forty numbers have a shade each."""
    words = study_of([trained("test_a", {"x": f"name {x}"}) for x in range(17)])
    numbers = study_of([trained("test_a", {"y": y}) for y in range(40)])
    palette = Palette.of([words, numbers])
    assert not palette.tells_apart(words.factors[0])
    assert palette.tells_apart(numbers.factors[0])


@pytest.mark.parametrize("count", [1, 7, 8, 10, 17])
def test_legends_are_filled_row_by_row(count: int) -> None:
    """Read as text is read, a legend names its entries in their order."""
    names = [str(place) for place in range(count)]
    with styled():
        figure, _ = canvas(width=10, height=3)
        legend(figure, [Line2D([], [], label=name) for name in names])
        figure.draw_without_rendering()
    texts = figure.legends[0].get_texts()
    boxes = {text.get_text(): text.get_window_extent() for text in texts}
    read = sorted(names, key=lambda one: (-round(boxes[one].y0), boxes[one].x0))
    assert read == names
    assert len({round(box.y0) for box in boxes.values()}) == -(-count // 7)


def test_long_names_leave_the_legend_fewer_columns() -> None:
    """A legend is never wider than its figure."""
    with styled():
        figure, _ = canvas(width=6, height=3)
        names = [f"an optimizer with a name, {place}" for place in range(9)]
        legend(figure, [Line2D([], [], label=name) for name in names])
        figure.draw_without_rendering()
    box = figure.legends[0].get_window_extent()
    assert box.x0 >= 0
    assert box.x1 <= figure.bbox.x1


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
