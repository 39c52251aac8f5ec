"""Two sides, and what the gate says of each case: entries, error rates, floors, what is missing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from dlbench.errors import RecordError
from dlbench.gate.entry import entry_of
from dlbench.gate.judging import compare
from dlbench.gate.recorded import entry_in
from dlbench.gate.rules import Rules
from dlbench.gate.sides import saved_side
from dlbench.history.naming import Saved

if TYPE_CHECKING:
    from collections.abc import Callable

    from dlbench.gate.sides import Compared

    Against = Callable[..., Compared]

A, B = "bench/test_a.py::test_b[1]", "bench/test_a.py::test_b[2]"


def test_the_verdict_is_the_gates(against: Against, made: Any) -> None:
    """What the gate would say of the same records, A in the baseline's place."""
    from dataclasses import replace

    old, new = made[0](A, 16, 0.0), made[0](A, 16, 0.05)
    (row,) = against([old], [new]).rows
    accepted = replace(entry_in(old), alpha=0.01 / 3)
    expected = compare(accepted, entry_of(new, floor=accepted.floor), Rules(), look="last")
    assert row.verdict == expected
    assert expected.degree == "regressed"


def test_linear_losses_are_taken_as_they_are(against: Against, made: Any) -> None:
    """A marker's scale decides about the floor of both sides."""
    gate = {"rules": {"scale": {"training_loss": "linear"}}}
    for first, second in ((gate, gate), (None, gate)):
        (row,) = against([made[0](A, 16, 0.0, gate=first)], [made[0](A, 16, 0.0, gate=second)]).rows
        assert row.old is not None
        assert row.new is not None
        assert row.old.floor == row.new.floor == 0
        assert row.verdict.degree == "identical"


def test_a_yardstick_of_an_accept_gives_a_verdict_on_rounding(against: Against, made: Any) -> None:
    """A run that was saved while accepting knows how far rounding moves it."""

    def turned(seed: int) -> str:
        return f"{seed:016x}"

    gate = {"rules": {}, "yardstick": [1e-3] * 16}
    old, new = made[0](A, 16, 0.0, gate=gate), made[0](A, 16, 1e-5)
    for record in (old, new):
        record["runs"]["orders"] = [turned(seed) for seed in range(16)]
    (row,) = against([old], [new]).rows
    assert row.verdict.degree == "rounding"


def test_only_what_holds_results_is_compared(against: Against, made: Any) -> None:
    """A test that recorded nothing is missing; the last record of one case counts."""
    found = against(
        [made[0](A, 16, 0.0), made[0](B, 16, 0.0)],
        [made[0](A, 16, 0.5), made[0](A, 16, 0.0), made[0](B, 16, 0.0, runs=None)],
    )
    assert {row.case: row.verdict.degree for row in found.rows} == {A: "identical", B: "missing"}
    assert found.failed
    assert found.common == 1


def test_calls_of_one_test_are_told_apart(against: Against, made: Any) -> None:
    """By their names."""
    records = [made[0](A, 16, 0.0), made[0](A, 16, 0.0, name="second")]
    found = against(records, records)
    assert [row.case for row in found.rows] == [A, f"{A} name=second"]


def test_parameters_are_compared_exactly(against: Against, made: Any) -> None:
    """A table of counts has no seeds, takes no error rate, and any change is worse."""

    def table(total: int) -> dict[str, Any]:
        counts: dict[str, Any] = made[0](
            B, 5, 0.0, kind="parameters", runs=None, metrics=None, timing=None,
            parameters={"total": total, "layers": []},
        )  # fmt: skip
        return counts

    found = against([table(10)], [table(12)])
    assert [row.verdict.degree for row in found.rows] == ["regressed"]
    assert against([table(10)], [table(10)]).rows[0].verdict.shown == "same"


def test_the_environment_once(against: Against, made: Any) -> None:
    """What differs in all cases is one text; what in some, has their number."""
    there = {"python": "3.11.7", "keras": "3.15.1", "torch": "2.13.0", "device": "cpu"}
    found = against(
        [made[0](A, 16, 0.0), made[0](B, 16, 0.0)],
        [made[0](A, 16, 0.0, environment=there | {"torch": "2.14.0", "device": "cuda"}),
         made[0](B, 16, 0.0, environment=there | {"torch": "2.14.0"})],
    )  # fmt: skip
    assert found.environment == (
        "torch 2.13.0 -> 2.14.0",
        "device cpu -> cuda (in 1 of 2 cases)",
    )


@pytest.mark.parametrize(
    ("second", "times"),
    [("train_on_batch", (0.002, 0.002)), ("train(seed)", (None, None)), (None, (0.002, None))],
)
def test_only_steps_of_one_kind_have_a_ratio(
    against: Against, made: Any, second: str | None, times: Any
) -> None:
    """A training step and a whole training are not compared."""
    other = made[0](A, 16, 0.0)
    other["timing"] = other["timing"] | {"what": second} if second else None
    (row,) = against([made[0](A, 16, 0.0)], [other]).rows
    assert row.step_seconds == times


def test_a_file_without_our_cases(save: Any, made: Any) -> None:
    """Nothing to compare is bad input."""
    path = save(1, records=[made[0](A, 16, 0.0, runs=None)])
    with pytest.raises(RecordError, match="no case of dlbench's is in it"):
        saved_side(Saved.of(path))
