"""What a study says of itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from dlbench.history.record import Record
    from dlbench.report.study import Study


def test_primary_is_the_targets_metric(
    trained: Callable[..., Record], study_of: Callable[..., Study]
) -> None:
    """A study is judged by its target's metric, else by what the validation set says."""
    assert study_of([trained("test_a", {})]).primary == "val_accuracy"
    without = study_of([trained("test_a", {}, target=None)])
    assert without.target is None
    assert without.primary == "val_accuracy"


def test_shown_are_the_loss_and_validation(
    trained: Callable[..., Record], study_of: Callable[..., Study]
) -> None:
    """The training loss and the validation metrics have a panel each."""
    assert study_of([trained("test_a", {})]).shown == ["loss", "val_loss", "val_accuracy"]


def test_a_target_that_differs_is_no_target(
    trained: Callable[..., Record], study_of: Callable[..., Study]
) -> None:
    """Where cases have other targets, the study has none of its own."""
    records = [trained("test_a", {"goal": goal}, target=goal) for goal in (0.8, 0.9)]
    study = study_of(records)
    assert study.target is None
    assert len(study.cases) == 2


def test_labels_tell_cases_apart(
    trained: Callable[..., Record], study_of: Callable[..., Study]
) -> None:
    """A case is called by its level, by all levels of several factors, or by its test."""
    study = study_of([trained("test_a", {"x": x, "y": y}) for x in (1, 2) for y in ("p", "q")])
    assert [study.label(record) for record in range(4)] == [
        "x 1, y p",
        "x 1, y q",
        "x 2, y p",
        "x 2, y q",
    ]
    assert study_of([trained("test_a", {})]).label(0) == "test_a"


def test_a_records_name_needs_no_word_before_it(
    trained: Callable[..., Record], study_of: Callable[..., Study]
) -> None:
    """Of several calls in a test, a case is called by the name that was given."""
    records = [trained("test_a", {"x": x}, name=name) for x in (1, 2) for name in ("wide", "deep")]
    study = study_of(records)
    assert [study.label(record) for record in range(3)] == ["x 1, wide", "x 1, deep", "x 2, wide"]


def test_reference_lines_are_told_by_their_strokes(
    trained: Callable[..., Record], study_of: Callable[..., Study]
) -> None:
    """A target is dashed wherever it is drawn, the best constant predictor dotted."""
    study = study_of([trained("test_a", {})])
    ((target,), (floor,)) = map(study.reference_lines, ("val_accuracy", "loss"))
    assert (target.value, target.words, target.stroke) == (0.9, "target 0.9", "dashed")
    assert (floor.words, floor.stroke) == ("best constant predictor", "dotted")
    assert study.reference_lines("val_loss") == ()


def test_units_stand_beside_losses_only(
    trained: Callable[..., Record], study_of: Callable[..., Study]
) -> None:
    """A cross-entropy is in nats; an accuracy has no unit."""
    study = study_of([trained("test_a", {})])
    assert study.axis("val_loss") == "validation loss (nats)"
    assert study.axis("val_accuracy") == "validation accuracy"
