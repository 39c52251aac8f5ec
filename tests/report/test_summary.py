"""What the report says of a whole run."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from dlbench.gate.entry import entry_of
from dlbench.gate.judging import compare
from dlbench.gate.rules import Rules
from dlbench.report.analysis import analyses
from dlbench.report.summary import Summary, summarized

if TYPE_CHECKING:
    from collections.abc import Callable

    from dlbench.history.record import Record
    from dlbench.history.run import Run


def summary_of(run: Run) -> Summary:
    """Return a run's summary."""
    return summarized(run, analyses(run))


@pytest.mark.parametrize(
    ("counts", "standing", "held"),
    [
        ({"passed": 21}, "All 21 tests passed, in 2 min 3 s.", True),
        ({"passed": 1}, "The one test passed, in 2 min 3 s.", True),
        ({"failed": 1, "passed": 20}, "20 of 21 tests passed and 1 failed, in 2 min 3 s.", False),
        (
            {"passed": 2, "error": 1, "skipped": 3},
            "2 of 6 tests passed, 1 stopped with an error and 3 skipped, in 2 min 3 s.",
            False,
        ),
        ({}, "No benchmark was run.", False),
    ],
)
def test_standing(
    run_of: Callable[..., Run], counts: dict[str, int], standing: str, *, held: bool
) -> None:
    """One sentence counts the tests by outcome, and a run holds where nothing failed."""
    summary = summary_of(run_of([], session={"counts": counts}))
    assert (summary["standing"], summary["held"]) == (standing, held)


def test_attention_names_what_failed(
    trained: Callable[..., Record], run_of: Callable[..., Run]
) -> None:
    """Failed, broken and interrupted cases are listed with their message and their row."""
    outcomes = ("passed", "failed", "error", "interrupted", "xpassed", "skipped", "xfailed")
    records = [
        trained("test_a", {"x": place}, outcome=outcome, message=f"because {place}")
        for place, outcome in enumerate(outcomes)
    ]
    summary = summary_of(run_of(records))
    assert [need["message"] for need in summary["attention"]] == [
        f"because {x}" for x in (1, 2, 3, 4)
    ]
    rows = summary["analyses"][0]["studies"][0]["table"]["rows"]
    assert {need["anchor"] for need in summary["attention"]} <= {row["anchor"] for row in rows}


def test_loud_remarks(trained: Callable[..., Record], run_of: Callable[..., Run]) -> None:
    """A run cut short, bounds that were off, failures without a record, broken curves: all loud."""
    broken = trained("test_b", {})
    broken["runs"] = {"seeds": None}
    run = run_of(
        [trained("test_a", {}, bounds="off"), broken],
        session={"complete": False, "quick": True, "counts": {"passed": 2, "failed": 3}},
    )
    loud = [remark["text"] for remark in summary_of(run)["remarks"] if remark["loud"]]
    assert len(loud) == 4
    assert "stopped before its end" in loud[0]
    assert "quick look: bounds were off in 1 of 2 cases" in loud[1]
    assert "3 further tests did not pass and left no numbers" in loud[2]
    assert "1 record could not be read" in loud[3]


def test_a_complete_run_has_nothing_loud(suite: Run) -> None:
    """Where all went its way the one remark is that nothing was compared."""
    remarks = summary_of(suite)["remarks"]
    assert [remark["loud"] for remark in remarks] == [False]
    assert "No baseline" in remarks[0]["text"]


def test_titles_come_from_the_texts(suite: Run) -> None:
    """Page and analyses are called what their first heading says, which is not said twice."""
    summary = summary_of(suite)
    assert summary["title"] == "Does it train?"
    assert summary["introduction"].strip() == "Questions."
    assert [one["title"] for one in summary["analyses"]][:2] == ["Rates", "Batches"]
    assert all("#" not in one["theory"] for one in summary["analyses"])


def test_a_module_without_docstring_is_called_by_its_file(
    trained: Callable[..., Record], run_of: Callable[..., Run]
) -> None:
    """Without a heading a section has the file's name in words, the page a name of its own."""
    summary = summary_of(run_of([trained("test_a", {}, module="x/test_my_model.py")]))
    assert summary["title"] == "Training benchmarks"
    assert summary["analyses"][0]["title"] == "My model"


def test_every_analysis_has_a_measured_sentence(suite: Run) -> None:
    """The conclusion says a number of each analysis, and how its tests ended."""
    for one in summary_of(suite)["analyses"]:
        assert any(sign.isdigit() for sign in one["headline"])
        assert "passed" in one["headline"]


def test_facts_list_what_differs(
    trained: Callable[..., Record], run_of: Callable[..., Run]
) -> None:
    """The environment of all records is told once, and both where two differ."""
    other = trained("test_b", {})
    other["environment"] = other["environment"] | {"device": "cuda"}
    facts = summary_of(run_of([trained("test_a", {}), other]))["facts"]
    assert facts["device"] == "cpu and cuda"
    assert facts["python"] == "3.11.7"
    assert facts["commit"] == "0123456789ab on main"
    assert facts["of it training and counting"] == "3 s"


def test_a_run_without_session(trained: Callable[..., Record]) -> None:
    """A file that pytest-benchmark wrote alone has no session: counts come from the records."""
    from dlbench.history.run import Run

    records: list[Any] = [
        trained("test_a", {"x": 1}),
        trained("test_a", {"x": 2}, outcome="failed"),
    ]
    summary = summary_of(Run(records=records))
    assert summary["counts"] == {"passed": 1, "failed": 1}
    assert summary["standing"] == "1 of 2 tests passed and 1 failed."


def test_verdicts_are_told(trained: Callable[..., Record], run_of: Callable[..., Run]) -> None:
    """Counts on top, each loud verdict linked to its case, a column for all."""
    records = [trained("test_rate", {"rate": rate}) for rate in (1, 2, 3)]
    changed = [trained("test_rate", {"rate": rate}, rate=0.008) for rate in (1, 2, 3)]
    for record, other in zip(records, [records[0], changed[1], records[2]], strict=True):
        accepted = replace(entry_of(other), alpha=1e-3)
        new = entry_of(record, floor=accepted.floor)
        verdict = compare(accepted, new, Rules.of(), look="last")
        record["gate"] = {"rules": {}, "verdict": verdict.to_builtins()}
    run = run_of(records)
    summary = summarized(run, analyses(run))
    text = " ".join(remark["text"] for remark in summary["remarks"])
    assert "Against the baseline: 1 case is better and 2 are the same (2 identical)." in text
    assert "No baseline" not in text
    (need,) = summary["attention"]
    assert need["outcome"].startswith("is better")
    (study,) = summary["analyses"][0]["studies"]
    column = [each["title"] for each in study["table"]["columns"]].index("verdict")
    cells = [row["cells"][column]["text"] for row in study["table"]["rows"]]
    assert cells[0] == cells[2] == "same (identical)"
    assert cells[1].startswith("better -")
    assert need["anchor"] == study["table"]["rows"][1]["anchor"]
