"""The summary as JSON."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NoReturn

from dlbench.report.analysis import analyses
from dlbench.report.as_json import SCHEMA, as_json
from dlbench.report.summary import Summary, summarized

if TYPE_CHECKING:
    from dlbench.history.run import Run


def strict(text: str) -> Any:
    """Return what a JSON text says, and refuse NaN and Infinity."""

    def refuse(constant: str) -> NoReturn:
        raise ValueError(constant)

    return json.loads(text, parse_constant=refuse)


def test_it_is_the_summary_under_a_schema(suite: Run) -> None:
    """Every field of the summary is there, in strict JSON; what sorts last has null to sort by."""
    summary = summarized(suite, analyses(suite))
    read = strict(as_json(summary))
    assert read.pop("schema") == SCHEMA
    assert set(read) == set(Summary.__annotations__) == set(summary)
    assert read["standing"] == summary["standing"]
    tables = [study["table"] for one in read["analyses"] for study in one["studies"]]
    cells = [cell for table in tables for row in table["rows"] for cell in row["cells"]]
    assert {cell["sort"] for cell in cells if cell["text"] == "never"} == {None}


def test_an_empty_run_is_a_summary_too(run_of: Any) -> None:
    """Without a case there is a document all the same."""
    run = run_of([])
    assert strict(as_json(summarized(run, [])))["standing"] == "No benchmark was run."
