"""What rides on a record for the gate: damaged records are named, cases have their call's name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from dlbench.errors import RecordError
from dlbench.gate.recorded import case_id, entry_in, rules_in, taken_of

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.mark.parametrize(
    ("gate", "take"),
    [
        ("x", rules_in), ([1], rules_in), ({"rules": [1]}, rules_in),
        ({"rules": {"gates": 1}}, rules_in), ({"yardstick": ["x"]}, entry_in),
    ],
)  # fmt: skip
def test_a_damaged_gate_is_named(made: Any, gate: Any, take: Callable[[Any], object]) -> None:
    """Whatever a file holds in place of rules and yardstick: an error with the file and the case."""
    record = made[0]("a.py::t", 5, 0.0, gate=gate, name="n")
    with pytest.raises(RecordError, match=r"^run\.json: a\.py::t name=n cannot be read: "):
        taken_of(record, "run.json", take)


def test_a_case_has_its_calls_name(made: Any) -> None:
    """As the baseline's keys have it."""
    assert case_id(made[0]("a.py::t", 5, 0.0)) == "a.py::t"
    assert case_id(made[0]("a.py::t", 5, 0.0, name="b")) == "a.py::t name=b"
