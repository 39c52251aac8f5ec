"""Parameters by model and by layer."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

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
    axes = drawing.figure.axes[0]
    assert [text.get_text() for text in axes.get_yticklabels()] == ["LeNet", "Small"]
    assert [text.get_text() for text in axes.texts] == ["59,134", "3"]
    assert axes.get_xscale() == "log"


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
