"""Parameters by model and by layer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from dlbench.report.figures.layers import layers, totals
from dlbench.report.style import Palette, styled

if TYPE_CHECKING:
    from collections.abc import Callable

    from dlbench.history.record import Record
    from dlbench.report.study import Study


def test_totals_are_exact(counted: Callable[..., Record], study_of: Callable[..., Study]) -> None:
    """Every model has its total beside its mark, the largest on top."""
    study = study_of([counted("Small", (2, 1)), counted("LeNet", (400, 120, 84, 10))])
    with styled():
        (drawing,) = totals(study, Palette.of([study]))
    parameters, work = drawing.figure.axes
    assert [text.get_text() for text in parameters.get_yticklabels()] == ["LeNet", "Small"]
    assert [text.get_text() for text in parameters.texts] == ["59,134", "3"]
    assert [text.get_text() for text in work.texts] == ["58,920", "2"]
    assert parameters.get_xscale() == work.get_xscale() == "log"
    assert [axes.get_xlabel() for axes in drawing.figure.axes] == [
        "parameters",
        "multiply-accumulates a sample",
    ]


def keeping(record: Record, numbers: int | None, macs: int | None = 2) -> Record:
    """Return a record whose optimizer keeps so many numbers and whose layer does so much work."""
    table: Any = record["parameters"]
    rows = [{**row, "macs": macs} for row in table["rows"]]
    record["parameters"] = table | {"optimizer": numbers, "rows": rows}
    return record


def test_equal_counts_are_no_figure(
    counted: Callable[..., Record], study_of: Callable[..., Study]
) -> None:
    """Where every model has the same parameters and the same work, nothing is drawn."""
    study = study_of([counted(name, (2, 1)) for name in ("a", "b")])
    with styled():
        assert list(totals(study, Palette.of([study]))) == []


@pytest.mark.parametrize(
    ("kept", "macs", "label"),
    [
        ((0, 6), (2, 2), "numbers that the optimizer keeps"),
        ((None, None), (2, 8), "multiply-accumulates a sample"),
    ],
)
def test_only_what_differs_has_a_panel(
    counted: Callable[..., Record],
    study_of: Callable[..., Study],
    kept: tuple[int | None, ...],
    macs: tuple[int, ...],
    label: str,
) -> None:
    """Equal parameters are said in the caption; what the optimizer keeps, or the work, is drawn."""
    study = study_of(
        [
            keeping(counted(name, (2, 1)), numbers, work)
            for name, numbers, work in zip("ab", kept, macs, strict=True)
        ]
    )
    with styled():
        (drawing,) = totals(study, Palette.of([study]))
    assert [axes.get_xlabel() for axes in drawing.figure.axes] == [label]
    assert drawing.caption.startswith("All have 3 parameters;")
    assert label in drawing.alt.lower()


def test_unknown_work_is_not_drawn(
    counted: Callable[..., Record], study_of: Callable[..., Study]
) -> None:
    """A lower bound of the work is no finding."""
    records = [keeping(counted("a", (2, 1)), None, None), counted("b", (2, 1))]
    study = study_of(records)
    with styled():
        assert list(totals(study, Palette.of([study]))) == []


def test_one_model_has_no_totals(
    counted: Callable[..., Record], study_of: Callable[..., Study]
) -> None:
    """A single total is a sentence, not a figure."""
    study = study_of([counted("LeNet", (400, 120, 84, 10))])
    with styled():
        assert list(totals(study, Palette.of([study]))) == []


def test_layers_are_stacked_weights_and_biases(
    counted: Callable[..., Record], study_of: Callable[..., Study]
) -> None:
    """A model's bars are its layers in their order, as wide as their weights and biases."""
    study = study_of([counted("LeNet", (400, 120, 84, 10))])
    with styled():
        (drawing,) = layers(study, Palette.of([study]))
    axes = drawing.figure.axes[0]
    assert [text.get_text() for text in axes.get_yticklabels()] == ["dense_0", "dense_1", "dense_2"]
    weights, biases = axes.containers[:2]
    assert [bar.get_width() for bar in weights] == [400 * 120, 120 * 84, 84 * 10]
    assert [bar.get_width() for bar in biases] == [120, 84, 10]
    assert "dense_0 holds most, 48,120 (81%)" in drawing.alt
    assert axes.get_title("left") == ""


def test_panels_of_several_models_have_titles(
    counted: Callable[..., Record], study_of: Callable[..., Study]
) -> None:
    """A model alone is named by the section; several by their panels."""
    study = study_of([counted("LeNet", (400, 120, 84, 10)), counted("Small", (2, 2, 1))])
    with styled():
        (drawing,) = layers(study, Palette.of([study]))
    assert [axes.get_title("left") for axes in drawing.figure.axes] == ["LeNet", "Small"]


def test_long_names_of_layers_stay_different(
    counted: Callable[..., Record], study_of: Callable[..., Study]
) -> None:
    """Of names that do not fit, what all begin with is left out before letters are."""
    record = counted("Next", (4, 3, 2, 1))
    table: Any = record["parameters"]
    for block, row in enumerate(table["rows"]):
        row["name"] = f"convnext_tiny_stage_2_block_{block}_pointwise_conv_1"
    study = study_of([record])
    with styled():
        (drawing,) = layers(study, Palette.of([study]))
    labels = [text.get_text() for text in drawing.figure.axes[0].get_yticklabels()]
    assert labels == [f"{block}_pointwise_conv_1" for block in range(3)]


def test_a_deep_models_small_layers_are_one_bar(
    counted: Callable[..., Record], study_of: Callable[..., Study]
) -> None:
    """Of many layers the largest have bars, the others one together; no parameter is lost."""
    study = study_of([counted("Deep", (64, *[32] * 30, 10))])
    with styled():
        (drawing,) = layers(study, Palette.of([study]))
    axes = drawing.figure.axes[0]
    labels = [text.get_text() for text in axes.get_yticklabels()]
    assert len(labels) == 14
    assert labels[-1] == "18 other layers"
    width = sum(bar.get_width() for stack in axes.containers[:3] for bar in stack)
    assert np.isclose(width, study.totals["unique"].iloc[0])
