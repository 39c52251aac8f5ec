"""Trends show what the curves are: axes, scales, lines, bands, and every run that diverged."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from dlbench.report.figures.trends import trends
from dlbench.runs import Runs

if TYPE_CHECKING:
    from collections.abc import Callable

    from dlbench.history.record import Record
    from dlbench.report.figures import Drawing

    Draw = Callable[[list[Record]], list[Drawing]]


@pytest.fixture
def draw(drawn: Callable[..., list[Drawing]]) -> Draw:
    """A function that draws this kind of figure."""
    return partial(drawn, trends)


def test_a_panel_a_metric_with_a_line_a_case(
    trained: Callable[..., Record], draw: Draw, look: Any
) -> None:
    """With one axis in common, each metric has a panel, and each case its median in it."""
    records = [trained("test_a", {"rate": rate}, rate=rate) for rate in (0.01, 0.02, 0.03)]
    (drawing,) = draw(records)
    panels = drawing.figure.axes
    names = ["training loss (nats)", "validation loss (nats)", "validation accuracy"]
    assert [axes.get_ylabel() for axes in panels] == names
    assert {axes.get_xlabel() for axes in panels} == {"updates"}
    for axes in panels:
        assert len(look.curves(axes)) == 3
    runs = Runs.from_builtins(records[0]["runs"])  # type: ignore[arg-type]
    steps, medians = look.curves(panels[0])[0]
    assert np.allclose(steps, runs.points)
    assert np.allclose(medians, np.median(runs.curves["loss"], axis=0), rtol=1e-6)


def test_epochs_stand_above_where_all_cases_share_them(
    trained: Callable[..., Record], draw: Draw
) -> None:
    """With one batch size a second axis counts epochs: 400 updates of 32 of 1000 samples, 12.5."""
    (drawing,) = draw([trained("test_a", {})])
    axes = drawing.figure.axes[0]
    (above,) = axes.child_axes
    drawing.figure.draw_without_rendering()
    assert above.get_xlabel() == "epochs"
    assert above.get_xlim()[1] == pytest.approx(400 / 32)


def test_batch_sizes_are_drawn_against_each_axis(
    trained: Callable[..., Record], draw: Draw, look: Any
) -> None:
    """Where epochs and updates differ, each metric is drawn against updates, epochs and seconds."""
    records = [
        trained("test_a", {"batch_size": size}, batch_size=size, steps=steps)
        for size, steps in ((1, 2000), (1000, 20))
    ]
    (drawing,) = draw(records)
    panels = drawing.figure.axes
    assert len(panels) == 9
    labels = [axes.get_xlabel() for axes in panels[:3]]
    assert labels == ["updates", "epochs", "seconds of training steps"]
    assert [axes.get_xscale() for axes in panels[:2]] == ["symlog", "linear"]
    ends = sorted(epochs[-1] for epochs, _ in look.curves(panels[1]))
    assert ends == [2.0, 20.0]


def test_a_loss_that_spans_a_decade_is_logarithmic(
    trained: Callable[..., Record], draw: Draw
) -> None:
    """A loss has a logarithmic axis from a decade on; an accuracy never."""
    (fast,) = draw([trained("test_a", {}, rate=0.01)])
    assert [axes.get_yscale() for axes in fast.figure.axes] == ["log", "log", "linear"]
    (slow,) = draw([trained("test_a", {}, rate=1e-4)])
    assert slow.figure.axes[0].get_yscale() == "linear"


def test_every_diverged_run_has_a_cross_and_stretches_no_axis(
    trained: Callable[..., Record], draw: Draw, look: Any
) -> None:
    """A loss of 1e9 leaves the axis at the scale of what trained; each lost seed is marked."""
    records = [
        trained("test_a", {"rate": 0.1}, rate=0.02),
        trained("test_a", {"rate": 10.0}, diverged=5),
    ]
    (drawing,) = draw(records)
    for axes in drawing.figure.axes:
        assert len(look.crosses(axes)) == 5
        low, high = axes.get_ylim()
        assert all(low <= height <= high for _, height in look.crosses(axes))
    assert drawing.figure.axes[0].get_ylim()[1] < 200
    assert "diverged" in drawing.caption
    assert "diverged" in [text.get_text() for text in drawing.figure.legends[0].get_texts()]


def test_a_run_that_diverged_is_marked_where_it_was_last_seen(
    trained: Callable[..., Record], draw: Draw, look: Any
) -> None:
    """A cross in the accuracy's panel stands at the last finite point."""
    record = trained("test_a", {}, diverged=1)
    (drawing,) = draw([record])
    runs = Runs.from_builtins(record["runs"])  # type: ignore[arg-type]
    last = runs.points[np.isfinite(runs.curves["val_accuracy"][0])][-1]
    ((step, _),) = look.crosses(drawing.figure.axes[2])
    assert step == last


def test_target_and_floor_are_drawn(trained: Callable[..., Record], draw: Draw, look: Any) -> None:
    """The target is a line in its metric's panel; the best constant predictor, in the loss'."""
    (drawing,) = draw([trained("test_a", {})])
    texts = [look.texts(axes) for axes in drawing.figure.axes]
    assert texts == [["best constant predictor"], [], ["target 0.9"]]
    heights = [np.asarray(line.get_ydata())[0] for line in drawing.figure.axes[2].get_lines()]
    assert 0.9 in heights


def test_two_factors_have_panels(trained: Callable[..., Record], draw: Draw, look: Any) -> None:
    """Rates are told by colour, batch sizes by panels, in a figure a metric."""
    records = [
        trained("test_a", {"batch_size": size, "learning_rate": rate}, batch_size=size)
        for size in (4, 32)
        for rate in (0.1, 0.2, 0.3)
    ]
    drawn = draw(records)
    assert [drawing.name for drawing in drawn] == ["trends-loss", "trends-val_accuracy"]
    for drawing in drawn:
        titles = [axes.get_title("left") for axes in drawing.figure.axes]
        assert titles == ["batch size 4", "batch size 32"]
        assert all(len(look.curves(axes)) == 3 for axes in drawing.figure.axes)


def test_many_levels_name_some(trained: Callable[..., Record], draw: Draw, look: Any) -> None:
    """Of forty levels all are drawn, and the legend names a dozen, first and last among them."""
    (drawing,) = draw([trained("test_a", {"x": x}) for x in range(40)])
    assert len(look.curves(drawing.figure.axes[0])) == 40
    names = [text.get_text() for text in drawing.figure.legends[0].get_texts()]
    assert len(names) == 12
    assert {"0", "39"} < set(names)


def test_a_crowd_of_cases_is_hair_lines(
    trained: Callable[..., Record], draw: Draw, look: Any
) -> None:
    """Of a hundred cases each has its line, thin and clear, and no band, on the axes or in words."""
    records = [trained("test_a", {"x": x}, rate=x / 5000) for x in range(100)]
    (drawing,) = draw(records)
    for axes in drawing.figure.axes[:3]:
        hairs = [line for line in axes.lines if line.get_linewidth() < 0.5]
        assert len(hairs) == 100
        assert all(0 < (line.get_alpha() or 1) < 1 for line in hairs)
        assert not axes.collections
    assert "hair line" in drawing.caption
    assert "band" not in drawing.caption


def test_one_seed_has_no_band_in_words(trained: Callable[..., Record], draw: Draw) -> None:
    """With one seed a case nothing is said of medians and bands."""
    (drawing,) = draw([trained("test_a", {}, seeds=1)])
    assert drawing.caption == "One seed a case."


def test_data_are_what_is_drawn(trained: Callable[..., Record], draw: Draw) -> None:
    """The data beside the figure are the medians and bands, a row a metric, case and point."""
    (drawing,) = draw([trained("test_a", {"x": x}) for x in (1, 2)])
    data = drawing.data
    assert set(data["metric"]) == {"loss", "val_loss", "val_accuracy"}
    assert len(data) == 3 * 2 * 21
    assert (data["low"] <= data["median"]).all()
    assert (data["median"] <= data["high"]).all()


def test_nothing_trained_draws_nothing(counted: Callable[..., Record], draw: Draw) -> None:
    """A study of counts has no trends."""
    assert draw([counted("a", (2, 1))]) == []


def test_words_on_lines_are_in_no_others_way(
    trained: Callable[..., Record], draw: Draw, look: Any
) -> None:
    """Target, floor, epochs and legend of a figure with many panels never overlap."""
    records = [
        trained("test_a", {"batch_size": size, "rate": rate}, batch_size=size, rate=rate)
        for size in (4, 32)
        for rate in (1e-4, 0.004, 0.02)
    ]
    for drawing in draw(records):
        assert not look.overlaps(drawing.figure)


def test_a_factor_beyond_the_palette_has_no_colours(
    trained: Callable[..., Record], draw: Draw, look: Any
) -> None:
    """Seventeen names share one ink and have no legend; all are drawn."""
    (drawing,) = draw([trained("test_a", {"x": f"name {x}"}) for x in range(17)])
    axes = drawing.figure.axes[0]
    assert len(look.curves(axes)) == 17
    strokes = [line for line in axes.get_lines() if line.get_linestyle() == "-"]
    assert len(strokes) == 17
    assert len({line.get_color() for line in strokes}) == 1
    assert drawing.figure.legends == []
