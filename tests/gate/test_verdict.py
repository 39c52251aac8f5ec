"""A verdict crosses processes and files as builtins, and comes back as it was."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, get_args

import pytest

from dlbench.errors import RecordError
from dlbench.gate.comparisons import Comparison, Degree
from dlbench.gate.judging import compare
from dlbench.gate.rounding import Rounding
from dlbench.gate.rules import Rules
from dlbench.gate.verdict import SEVERITY, SHOWN, Verdict, missing, unknown_case
from dlbench.statistics import Test

if TYPE_CHECKING:
    from tests.gate.conftest import MakeEntry

FULL = Verdict(
    key="test_a.py::test_b[\u001b[31m]",
    degree="regressed",
    look="first",
    comparisons=(
        Comparison("points", "identical"),
        Comparison(
            "val_accuracy",
            "regressed",
            note="n",
            test=Test(0.03, 0.02, 0.04, 0.9999, 1e-9, 16),
            unit="points",
            higher_is_better=True,
            margin=0.005,
            pairs=15,
            of=16,
            deviation=0.01,
            sees=0.02,
        ),
    ),
    skipped={"steps_to_target": "too few"},
    seeds=16,
    of=32,
    link="broken",
    broken=("initial weights",),
    rounding=Rounding(True, "", 1e-5),
    differs=("a 1 -> 2",),
    drift=("torch 1 -> 2",),
    newly_failed=(3,),
    notes=("note",),
)


def test_a_verdict_comes_back_as_it_was(make_entry: MakeEntry) -> None:
    """Through strict JSON, with every field filled, and as the gate makes it."""
    for verdict in (
        FULL,
        missing(make_entry()),
        unknown_case(make_entry()),
        compare(make_entry(alpha=1e-4), make_entry(failed=[1]), Rules(), look="last"),
        compare(make_entry(alpha=1e-4), make_entry(noise={"val_loss": 1}), Rules(), look="last"),
        compare(make_entry(alpha=1e-4), make_entry(3), Rules(), look="last"),
    ):
        text = json.dumps(verdict.to_builtins(), allow_nan=False)
        assert Verdict.from_builtins(json.loads(text)) == verdict


def test_an_end_that_is_not_finite_comes_back() -> None:
    """JSON has no word for it; an interval without an end has none."""
    test = Test(0.1, float("-inf"), float("inf"), 0.9, 0.5, 5)
    verdict = Verdict("k", "undecided", comparisons=(Comparison("x", "undecided", test=test),))
    assert Verdict.from_builtins(json.loads(json.dumps(verdict.to_builtins()))) == verdict


@pytest.mark.parametrize(
    ("where", "value"),
    [
        ("degree", "fine"), ("look", "second"), ("link", ""), ("key", 3), ("seeds", 1.5),
        ("seeds", True), ("newly_failed", ["3"]), ("differs", [1]), ("skipped", {"a": 1}),
        ("comparisons", [{"gate": "x"}]), ("comparisons", [{"what": "x"}]), ("comparisons", None),
        ("comparisons", [{"gate": "x", "degree": "new", "unit": "metres"}]),
        ("comparisons", [{"gate": "x", "degree": "new", "higher_is_better": 1}]),
        ("comparisons", [{"gate": "x", "degree": "new", "margin": "1"}]),
        ("comparisons", [{"gate": "x", "degree": "new", "test": {"p": 1}}]),
        ("rounding", {}), ("rounding", {"beyond": 1, "note": "", "p": None}),
        ("skipped", []), ("surprise", 1),
    ],
)  # fmt: skip
def test_what_is_no_verdict(where: str, value: Any) -> None:
    """A value that a field cannot have, or an unknown field, is refused by name."""
    with pytest.raises(RecordError, match="no verdict"):
        Verdict.from_builtins({**FULL.to_builtins(), where: value})


def test_what_lacks_its_degree() -> None:
    """Nothing is made up."""
    with pytest.raises(RecordError, match="degree"):
        Verdict.from_builtins({"key": "k"})


def test_every_degree_has_its_rank_and_its_word() -> None:
    """The order from best to worst is whole, and regressed is worse than not knowing."""
    assert sorted(SEVERITY) == sorted(SHOWN) == sorted(get_args(Degree))
    ranks = [SEVERITY.index(degree) for degree in ("improved", "undecided", "regressed")]
    assert ranks == sorted(ranks)
    assert set(SHOWN.values()) == {
        "same", "better", "worse", "cannot tell", "missing", "new", "incomparable",
    }  # fmt: skip


def test_what_a_verdict_says_of_its_gates() -> None:
    """By degree, and by name."""
    assert [found.gate for found in FULL.having("regressed")] == ["val_accuracy"]
    assert FULL.comparison("points") is FULL.comparisons[0]
    assert FULL.comparison("val_loss") is None
    assert FULL.shown == "worse"
