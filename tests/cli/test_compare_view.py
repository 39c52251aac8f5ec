"""What is shown of a comparison: the order of cases, their lines, and remarks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from dlbench.cli.compare_view import View, gate_named, remarks, step_ratio
from dlbench.errors import NotFoundError

if TYPE_CHECKING:
    from collections.abc import Callable

    from dlbench.gate.sides import Compared

    Against = Callable[..., Compared]

SHIFTS = {"b.py::t[c]": 0.05, "b.py::t[a]": -0.05, "b.py::t[d]": 0.0, "b.py::t[b]": 0.1}


@pytest.fixture
def four(against: Against, made: Any) -> Compared:
    """Four cases: two worse, one better, one the same."""
    return against(
        [made[0](case, 16, 0.0) for case in SHIFTS],
        [made[0](case, 16, shift) for case, shift in SHIFTS.items()],
    )


@pytest.mark.parametrize(
    ("sort", "only", "order"),
    [("verdict", False, "bcad"), ("effect", False, "bcda"), ("case", False, "abcd"),
     ("verdict", True, "bc"), ("case", True, "bc")],
)  # fmt: skip
def test_the_order_of_cases(four: Compared, sort: str, only: bool, order: str) -> None:
    """What fails first and within it the largest effect; by the effect alone; by name."""
    (rows,) = View.of([four], [], sort, only_failing=only).rows
    assert "".join(row.case[-2] for row in rows) == order


def test_a_line_a_gate(four: Compared) -> None:
    """Both medians, the effect as the value moved, its interval, the word."""
    view = View.of([four], [], "case", only_failing=False)
    lines = {line.gate: line for line in view.lines(view.rows[0][1])}
    assert list(lines) == ["training_loss", "val_accuracy", "failed", "step_seconds"]
    loss = lines["training_loss"]
    assert (loss.name, loss.a, loss.b, loss.word) == (
        "loss over the run",
        "0.575",
        "0.675",
        "worse",
    )
    assert loss.effect == "+17 %"
    low, high = (float(end) for end in loss.interval.split(" … "))
    assert low < 17.4 < high
    assert (lines["failed"].a, lines["failed"].b) == ("0 of 16", "0 of 16")
    assert lines["step_seconds"].effect == "×1.00"
    assert lines["step_seconds"].word == "advisory"


def test_what_says_nothing_is_left_out(four: Compared) -> None:
    """An identical case has no lines unless a metric is asked for."""
    whole = View.of([four], [], "case", only_failing=False)
    assert whole.lines(whole.rows[0][3]) == []
    asked = View.of([four], ["mean_log_loss"], "case", only_failing=False)
    assert [line.gate for line in asked.lines(asked.rows[0][3])] == ["training_loss"]
    with pytest.raises(NotFoundError, match="no metric nonsense; there are failed, points, "):
        View.of([four], ["nonsense"], "case", only_failing=False)


@pytest.mark.parametrize(
    ("metric", "gate"),
    [("mean_log_loss", "training_loss"), ("final_val_accuracy", "val_accuracy"),
     ("val_loss", "val_loss"), ("step_seconds", "step_seconds"), ("final_loss", "final_loss")],
)  # fmt: skip
def test_metrics_have_the_names_of_records_too(metric: str, gate: str) -> None:
    """`dlbench history` and `dlbench compare` take the same names."""
    assert gate_named(metric) == gate


def test_a_time_says_how_much_longer(against: Against, made: Any) -> None:
    """The ratio is B's by A's; none where one side was not timed."""
    slow = made[0]("a.py::t", 16, 0.0)
    slow["timing"] = slow["timing"] | {"seconds": 0.003}
    (row,) = against([made[0]("a.py::t", 16, 0.0)], [slow]).rows
    assert step_ratio(row) == pytest.approx(1.5)
    (row,) = against([made[0]("a.py::t", 16, 0.0, timing=None)], [slow]).rows
    assert step_ratio(row) is None


def test_remarks(against: Against, made: Any) -> None:
    """What differs in the experiment, which tests failed; the environment is said elsewhere."""
    odd = made[0]("a.py::t", 16, 0.0, outcome="failed", environment={"torch": "2"})
    odd["runs"]["experiment"] |= {"batch_size": 8}
    (row,) = against([made[0]("a.py::t", 16, 0.0)], [odd]).rows
    assert remarks(row) == ["its test in B: failed", "differs: batch_size none -> 8"]


def test_folders_are_left_out_where_names_are_clear(against: Against, made: Any) -> None:
    """Two modules of one name keep their folders."""
    cases = ["x/a.py::t", "y/a.py::t", "y/b.py::t"]
    records = [made[0](case, 16, 0.0) for case in cases]
    view = View.of([against(records, records)], [], "case", only_failing=False)
    assert [view.name(row) for row in view.rows[0]] == ["x/a.py::t", "y/a.py::t", "b.py::t"]
