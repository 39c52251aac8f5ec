"""What a run is held against: whose verdicts, in which order, in which words."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from dlbench.gate.recorded import verdict_in
from dlbench.gate.sides import compared, side_of
from dlbench.gate.verdict import Verdict
from dlbench.gate.wording import sentence
from dlbench.report.analysis import analyses
from dlbench.report.comparison import (
    MOST_ROWS,
    THEN,
    described,
    effects,
    gates_in_order,
    held,
    recorded,
    standing,
)
from dlbench.report.summary import summarized

if TYPE_CHECKING:
    from collections.abc import Callable

    from dlbench.gate.sides import Compared
    from dlbench.history.record import Record
    from dlbench.history.run import Run

    Maker = Callable[..., Record]
    RunOf = Callable[..., Run]


def against(here: Run, there: Run) -> Compared:
    """Return what the gate says of a run against another."""
    sides = side_of(there, "old", "old.json"), side_of(here, "new", "new.json")
    return compared(*sides, lambda _: True, 0.01)


@pytest.fixture
def moved(trained: Maker, run_of: RunOf) -> tuple[Run, Run]:
    """A run and an older one: one case worse, one better, one as it was, one new, one missing."""
    here = {1: 0.01, 2: 0.008, 3: 0.013, 4: 0.01}
    there = {1: 0.01, 2: 0.01, 3: 0.01, 5: 0.01}
    runs = [
        run_of([trained("test_rate", {"rate": n}, rate=rate, seeds=16) for n, rate in of.items()])
        for of in (here, there)
    ]
    return runs[0], runs[1]


def case(number: int) -> str:
    """Return the id of one of its cases."""
    return f"benchmarks/test_rates.py::test_rate[{number}]"


def test_nothing_compared_is_no_section(trained: Maker, run_of: RunOf) -> None:
    """A run without verdicts is held against nothing, nor is an empty one."""
    for records in ([trained("test_rate", {"rate": 1})], []):
        run = run_of(records)
        assert held(run, None) == (run, None)
        assert summarized(run, analyses(run))["against"] is None


def test_what_was_recorded_is_told(moved: tuple[Run, Run], run_of: RunOf) -> None:
    """The verdicts on the records, and the missing cases that the session names, in one suite."""
    judged, _ = held(moved[0], against(*moved))
    gate = {"false_alarm": 0.02, "missing": [case(5), "gone"]}
    found = recorded(run_of(judged.records, session={"gate": gate}))
    assert found is not None
    assert found.name == "the baseline"
    assert [one.case for one in found.cases] == [case(n) for n in (1, 2, 3, 4)] + [case(5), "gone"]
    assert found.suite.counts == {"same": 1, "worse": 1, "better": 1, "new": 1, "missing": 2}
    assert described(found)["missing"] == [case(5), "gone"]


@pytest.mark.parametrize("rate", [7, 0, -1, math.nan])
def test_an_error_rate_that_is_none_stops_no_page(moved: tuple[Run, Run], rate: float) -> None:
    """A damaged session is judged at the default rate."""
    run, _ = held(moved[0], against(*moved))
    assert run.session is not None
    run.session["gate"] = {"false_alarm": rate, "missing": []}
    found = recorded(run)
    assert found is not None
    assert found.suite.compared == 3


def test_the_verdicts_take_the_place_of_those_recorded(moved: tuple[Run, Run]) -> None:
    """Each record has the comparison's verdict, and keeps its rules; the run itself is unchanged."""
    run, other = moved
    run.records[0]["gate"] = {"rules": {"gates": ["training_loss"]}, "verdict": {"not": "read"}}
    found = against(run, other)
    shown, _ = held(run, found)
    by_case = {row.case: row.verdict for row in found.rows}
    assert {record["case"]: verdict_in(record) for record in shown.records} == {
        case(n): by_case[case(n)] for n in (1, 2, 3, 4)
    }
    assert (shown.records[0]["gate"] or {})["rules"] == {"gates": ["training_loss"]}
    assert (run.records[0]["gate"] or {})["verdict"] == {"not": "read"}


def test_of_a_repeated_case_the_last_record_is_judged(trained: Maker, run_of: RunOf) -> None:
    """The others have no verdict; the row that is linked is the last one's."""
    records = [trained("test_rate", {"rate": 1}, rate=rate) for rate in (0.008, 0.01)]
    run = run_of(records)
    shown, found = held(run, against(run, run_of(records[1:])))
    assert [verdict_in(record) is None for record in shown.records] == [True, False]
    assert found is not None
    (one,) = found.cases
    rows = summarized(shown, analyses(shown), found)["analyses"][0]["studies"][0]["table"]["rows"]
    assert [row["anchor"] == one.anchor for row in rows] == [False, True]


def test_what_the_gate_said_then_is_marked(moved: tuple[Run, Run]) -> None:
    """The gate's words against another baseline are not taken for these; a test's own stay."""
    run, other = moved
    verdict = Verdict("k", "regressed")
    run.records[0] |= {
        "outcome": "failed",
        "message": f"Failed: {sentence(verdict).splitlines()[0]}",
        "gate": {"rules": {}, "verdict": verdict.to_builtins()},
    }
    run.records[1] |= {"outcome": "failed", "message": "assert 1 == 2"}
    shown, found = held(run, against(run, other))
    assert [record["message"] for record in shown.records[:2]] == [
        f"{THEN}{run.records[0]['message']}", "assert 1 == 2",
    ]  # fmt: skip
    needs = {need["case"]: need for need in summarized(shown, analyses(shown), found)["attention"]}
    assert needs[case(2)]["outcome"] == "failed"
    assert needs[case(3)]["outcome"].startswith("is better -")


def test_how_it_stands(moved: tuple[Run, Run]) -> None:
    """Each word with its count, worst first; who is new and who is missing by name."""
    _, found = held(moved[0], against(*moved))
    assert found is not None
    assert standing(found) == (
        "1 case is worse, 1 is better, 1 is the same (1 identical), 1 is new and 1 is missing"
    )
    text = described(found)
    assert text["name"] == "old"
    assert text["standing"][-1] == (
        "That run was made at 2026-01-02 03:04:05+00:00 from commit 0123456789ab on main."
    )
    assert (text["new"], text["missing"]) == ([case(4)], [case(5)])
    assert text["rest"] == "Not shown: 1 case that did not change in a single bit."
    assert text["curves"] == ""
    assert [one.case for one in found.overlaid] == [case(2), case(3)]


def test_what_moved_is_on_top(moved: tuple[Run, Run]) -> None:
    """Worse before better, each linked to its row, with the gate's words and numbers."""
    shown, found = held(moved[0], against(*moved))
    assert found is not None
    text = described(found)
    assert [row["case"] for row in text["rows"]] == [case(2), case(3)]
    rows = summarized(shown, analyses(shown), found)["analyses"][0]["studies"][0]["table"]["rows"]
    assert [row["anchor"] for row in text["rows"]] == [rows[1]["anchor"], rows[2]["anchor"]]
    assert text["gates"][0] == "training loss over the run"
    first = text["rows"][0]
    assert first["verdict"] == f"worse {first['cells'][0]['text']}"
    assert [float(row["cells"][0]["sort"]) > 0 for row in text["rows"]] == [True, False]


def test_effects_are_the_verdicts_numbers(moved: tuple[Run, Run]) -> None:
    """In percent of a ratio or in points, positive where worse, for each gate that measured one."""
    _, found = held(moved[0], against(*moved))
    assert found is not None
    frame = effects(found).set_index(["case", "gate"])
    measured = {
        (one.case, each.gate): each
        for one in found.cases
        for each in one.verdict.comparisons
        if each.unit is not None
    }
    assert set(frame.index) == set(measured)
    assert set(frame["unit"]) == {"%", "points"}
    for key, row in frame.iterrows():
        each: Any = measured[key]
        to_unit = math.expm1 if each.unit == "log" else float
        ends = (each.test.estimate, each.test.low, each.test.high)
        assert not (each.higher_is_better and each.unit == "log")
        assert tuple(row[["effect", "low", "high"]]) == pytest.approx(
            tuple(100 * to_unit(end) for end in ends)
        )
        assert row["margin"] == pytest.approx(100 * each.margin)
        assert (row["pairs"], row["degree"]) == (each.pairs, each.degree)


def test_many_cases_are_bounded(trained: Maker, run_of: RunOf) -> None:
    """Of 40 cases that moved the largest effects have a row; the others are counted."""
    runs = [
        run_of([
            trained("test_rate", {"rate": n}, rate=0.01 + step * n, steps=40)
            for n in range(40)
        ])
        for step in (0.0, 1e-4)
    ]  # fmt: skip
    _, found = held(runs[1], against(runs[1], runs[0]))
    assert found is not None
    text = described(found)
    assert [row["case"] for row in text["rows"]] == [case(n) for n in range(39, 39 - MOST_ROWS, -1)]
    assert "1 case that did not change in a single bit and 15 further cases" in text["rest"]


def test_what_differs_is_told_once(moved: tuple[Run, Run]) -> None:
    """In the environment and in the experiments, with a count where not all cases say so."""
    run, other = moved
    for record in run.records:
        record["environment"] = record["environment"] | {"keras": "3.16.0"}
    runs: Any = run.records[1]["runs"]
    runs["experiment"]["optimizer"] = {"class": "SGD", "learning_rate": 0.2}
    _, found = held(run, against(run, other))
    assert found is not None
    text = described(found)
    assert text["environment"] == ["keras 3.15.1 -> 3.16.0"]
    assert text["experiment"] == ["optimizer.learning_rate 0.1 -> 0.2 (in 1 of 3 cases)"]


def test_the_same_run_is_identical(moved: tuple[Run, Run]) -> None:
    """Against itself nothing has a row, and there are no curves to lay over each other."""
    _, found = held(moved[0], against(moved[0], moved[0]))
    assert found is not None
    text = described(found)
    assert text["standing"][0] == "4 cases are the same (4 identical)."
    assert (text["rows"], text["environment"], text["new"], text["missing"]) == ([], [], [], [])
    assert text["curves"].startswith("No case that moved has curves on both sides")
    assert "baseline keeps" in described(replace(found, keeps_curves=False))["curves"]


def test_a_gate_that_cannot_measure_has_no_effect(counted: Maker, run_of: RunOf) -> None:
    """Parameters are counted exactly: a change is worse, without an interval to draw."""
    runs = [run_of([counted("LeNet", (width, 10))]) for width in (20, 30)]
    _, found = held(runs[1], against(runs[1], runs[0]))
    assert found is not None
    assert effects(found).empty
    (row,) = described(found)["rows"]
    assert row["verdict"].startswith("worse")
    assert not described(found)["gates"]
    assert not row["cells"]


def test_the_order_of_gates() -> None:
    """Losses first, then metrics by their names' order, the steps to the target last."""
    gates = ["steps_to_target", "val_f1", "val_loss", "val_accuracy", "training_loss", "val_f1"]
    assert gates_in_order(gates) == [
        "training_loss", "val_loss", "val_f1", "val_accuracy", "steps_to_target",
    ]  # fmt: skip
