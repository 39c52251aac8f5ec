"""Records as tidy frames: expected values recomputed from the records."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest

from dlbench.report import frames
from dlbench.runs import Runs

if TYPE_CHECKING:
    from collections.abc import Callable

    from dlbench.history.record import Record
    from dlbench.history.run import Run


def test_case_frame_holds_what_a_record_says(trained: Callable[..., Record]) -> None:
    """A row a record: experiment, outcome and timing stand where the record has them."""
    record = trained("test_rate", {"learning_rate": 0.1}, outcome="failed", message="too slow")
    row = frames.case_frame([record]).iloc[0]
    experiment: Any = record["runs"]["experiment"]  # type: ignore[index]
    assert row["case"] == record["case"]
    assert (row["outcome"], row["message"], row["name"]) == ("failed", "too slow", "")
    assert row["learning_rate"] == experiment["optimizer"]["learning_rate"]
    assert row["updates_per_epoch"] == experiment["updates_per_epoch"]
    assert (row["target_metric"], row["target"]) == ("val_accuracy", 0.9)
    assert row["step_seconds"] == record["timing"]["seconds"]  # type: ignore[index]
    assert (row["loss_name"], row["loss_unit"], row["seeds"]) == ("loss", "nats", 5)


@pytest.mark.parametrize(
    ("loss", "unit"),
    [
        ({"function": "binary_crossentropy"}, "nats"),
        ("mean_squared_error", "mean squared error"),
        ({"class": "MeanAbsoluteError"}, "mean absolute error"),
        ("hinge", ""),
    ],
)
def test_a_loss_says_what_its_values_are(
    trained: Callable[..., Record], loss: object, unit: str
) -> None:
    """A cross-entropy is in nats, an error is named, whatever form the loss was given in."""
    record = trained("test_rate", {})
    experiment: Any = record["runs"]["experiment"]  # type: ignore[index]
    experiment["loss"] = loss
    assert frames.case_frame([record]).iloc[0]["loss_unit"] == unit


def test_a_whole_trainings_time_is_no_step_time(trained: Callable[..., Record]) -> None:
    """The time of a loop's whole training is kept, but never taken for a training step's."""
    timing = {"what": "train(seed)", "rounds": 3, "seconds": 2.0, "iqr": 0.1}
    timing |= {"samples_per_second": None, "epoch_seconds": None}
    row = frames.case_frame([trained("test_loop", {}, timing=timing)]).iloc[0]
    assert row["timed"] == 2.0
    assert np.isnan(row["step_seconds"])


def test_seed_frame_has_a_row_a_seed(trained: Callable[..., Record]) -> None:
    """Numbers by seed are the record's; a target never reached is infinite, a lost value NaN."""
    record = trained("test_rate", {}, diverged=2)
    frame = frames.seed_frame([record])
    metrics: Any = record["metrics"]
    assert list(frame["seed"]) == [0, 1, 2, 3, 4]
    assert list(frame["regime"]) == metrics["regime"]
    assert np.isposinf(frame["steps_to_target"][:2]).all()
    assert list(frame["steps_to_target"][2:]) == metrics["steps_to_target"][2:]
    assert frame["final_loss"].isna().tolist() == [True, True, False, False, False]
    assert frame["final_val_accuracy"][4] == metrics["final_val_accuracy"][4]


def test_curve_frame_is_the_runs_frame_with_epochs_and_seconds(
    trained: Callable[..., Record],
) -> None:
    """Curves are `Runs.to_frame` of every record, with epochs and seconds beside the updates."""
    records = [trained("test_rate", {"batch_size": size}, batch_size=size) for size in (4, 32)]
    frame = frames.curve_frame(records)
    for position, record in enumerate(records):
        expected = Runs.from_builtins(record["runs"]).to_frame()  # type: ignore[arg-type]
        ours = frame[frame["record"] == position].reset_index(drop=True)
        pd.testing.assert_frame_equal(ours[list(expected)], expected)
        size = (4, 32)[position]
        seconds = record["timing"]["seconds"]  # type: ignore[index]
        assert np.allclose(ours["epoch"], ours["step"] / np.ceil(1000 / size))
        assert np.allclose(ours["seconds"], ours["step"] * seconds)


def test_layers_and_totals_are_the_tables(suite: Run) -> None:
    """Parameters come back layer by layer, and the totals by name."""
    records = [record for record in suite.records if record["kind"] == "parameters"]
    layers, totals = frames.layer_frame(records), frames.total_frame(records)
    lenet = layers[layers["record"] == 0]
    assert list(lenet["weights"]) == [400 * 120, 120 * 84, 84 * 10]
    assert list(lenet["biases"]) == [120, 84, 10]
    assert list(totals["model"]) == ["LeNet", "Deep", "Small"]
    by_record = layers.groupby("record")["parameters"].sum()
    assert list(totals["unique"]) == list(by_record)


def test_broken_runs_are_named_and_not_raised(trained: Callable[..., Record]) -> None:
    """A record whose curves cannot be read keeps its row, and says why."""
    record = trained("test_rate", {})
    record["runs"] = {"experiment": {}, "seeds": "five"}
    assert "no runs" in frames.unreadable(record)
    assert frames.curve_frame([record]).empty
    assert len(frames.case_frame([record])) == 1


def test_no_records_give_empty_frames_with_their_columns() -> None:
    """Frames of nothing still have the columns that are asked for."""
    assert list(frames.case_frame([]).columns) == list(frames.CASE_COLUMNS)
    assert list(frames.curve_frame([]).columns) == list(frames.CURVE_COLUMNS)
    assert {"seed", "regime", "steps_to_target"} <= set(frames.seed_frame([]).columns)
    assert frames.layer_frame([]).empty
    assert frames.total_frame([]).empty


def test_bounds_that_cannot_be_read_are_left_out(trained: Callable[..., Record]) -> None:
    """Whatever stands in a record's `asserted`, only what is a bound becomes one."""
    fine = {
        "summary": "final", "metric": "loss", "at": None, "statistic": "median",
        "comparison": "<=", "bound": 0.4, "measured": None, "held": False,
    }  # fmt: skip
    broken: list[object] = [
        None,
        5,
        {},
        *({**fine, name: []} for name in fine),
        {**fine, "comparison": "<>"},
        *({**fine, "bound": value} for value in (math.inf, math.nan, 10**400, True, None)),
        *({**fine, name: value} for name in ("at", "measured") for value in (math.nan, 10**400)),
    ]
    record = trained("test_a", {}, asserted=[*broken, fine])
    (bound,) = frames.bounds_of(record)
    assert (bound.bound, bound.measured, bound.held, bound.side) == (0.4, None, False, -1)
    for asserted in (None, "text", 5, {"a": 1}):
        assert frames.bounds_of(trained("test_a", {}, asserted=asserted)) == ()
    assert frames.bounds_of(trained("test_a", {})) == ()
