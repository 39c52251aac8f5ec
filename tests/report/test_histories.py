"""A history in words: what a line of it says."""

from __future__ import annotations

import doctest
import math
from typing import Any

import pandas as pd
import pytest

from dlbench.history.trend import Change, Trend
from dlbench.report import histories
from dlbench.report.formatting import MINUS
from dlbench.report.histories import overview_of, rows_of, title_of, value_text


def trend(runs: int = 3, *, changes: tuple[Change, ...] = (), **fields: Any) -> Trend:
    """Return a trend of runs that are as they should be."""
    table = pd.DataFrame(
        {
            "run": [f"{number:04}_x" for number in range(1, runs + 1)],
            "number": pd.array(range(1, runs + 1), dtype="Int64"),
            "time": pd.date_range("2026-01-01", periods=runs, tz="UTC"),
            "commit": ["c0ffee" * 6] * runs,
            "dirty": False, "complete": True, "quick": False,
            "outcome": "passed", "bounds": "enforced", "torch": "2.13.0", "seeds": 16,
            "median": 0.5, "low": 0.4, "high": 0.6, "level": 0,
        }
    )  # fmt: skip
    known: dict[str, Any] = {
        "case": "bench/test_a.py::test_b", "name": None, "metric": "mean_log_loss",
        "relative": True, "higher": False,
    }  # fmt: skip
    return Trend(**(known | fields), table=table, changes=changes)


def test_examples_in_docstrings() -> None:
    """What the docstrings show is what comes out."""
    result = doctest.testmod(histories)
    assert result.attempted > 0
    assert result.failed == 0


def test_a_run_as_it_should_be_has_no_note() -> None:
    """Run, time, commit, value and quartiles; nothing else to say."""
    first = rows_of(trend(), "time")[0]
    assert first == {
        "run": "0001", "time": "2026-01-01 00:00", "commit": "c0ffeec0ff", "value": "0.500",
        "quartiles": "0.400 – 0.600", "": "",
    }  # fmt: skip
    assert list(rows_of(trend(), "torch")[0])[2] == "torch"


@pytest.mark.parametrize(
    ("column", "value", "word"),
    [
        ("outcome", "failed", "failed"), ("outcome", "interrupted", "interrupted"),
        ("complete", False, "partial"), ("dirty", True, "dirty"), ("quick", True, "quick"),
        ("bounds", "off", "bounds off"), ("outcome", "xfailed", ""),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_run_is_a_word(column: str, value: object, word: str) -> None:
    """Failed, partial, dirty and quick runs are marked."""
    made = trend()
    made.table[column] = [value] * 3
    assert rows_of(made, "time")[0][""] == word


@pytest.mark.parametrize(
    ("change", "higher", "words"),
    [
        (Change(1, "c", True, 0.05), False, "changed +5 %, worse"),
        (Change(1, "c", True, -0.05), False, f"changed {MINUS}5 %, better"),
        (Change(1, "c", True, -0.05), True, f"changed {MINUS}5 %, worse"),
        (Change(1, "c", True, 0.05), None, "changed +5 %"),
        (Change(1, "c", False, 0.001, ("torch 1 → 2",)), False, "torch 1 → 2; same level (+0.1 %)"),
        (Change(1, "c", True, 0.1, ("torch 1 → 2",)), False, "torch 1 → 2; changed +10 %, worse"),
        (Change(1, "c", False, math.nan, ("other seeds",)), False, "other seeds"),
        (Change(1, "c", True, math.inf), False, "changed to what is not finite, worse"),
    ],
)
def test_a_change_is_a_few_words(change: Change, higher: bool | None, words: str) -> None:
    """What began, by how much, and whether that is for the worse."""
    made = trend(changes=(change,), higher=higher)
    assert [row[""] for row in rows_of(made, "time")] == ["", words, ""]


def test_different_numbers_of_seeds_have_a_column() -> None:
    """The title says the number where it is one; else each run does."""
    made = trend()
    assert title_of(made) == "test_a.py::test_b: mean_log_loss, 16 seeds"
    made.table["seeds"] = [16, 8, 8]
    assert title_of(made) == "test_a.py::test_b: mean_log_loss"
    assert [row["seeds"] for row in rows_of(made, "time")] == ["16", "8", "8"]


def test_an_overview_says_the_last_change() -> None:
    """The last level's change, its place, and how many came before; breaks alone are no change."""
    changes = (
        Change(1, "commit a", True, 0.05),
        Change(2, "commit b", True, -0.1),
    )
    assert (
        overview_of(trend(changes=changes))["last change"]
        == f"{MINUS}10 %, better: commit b (and 1 before)"
    )
    quiet = (Change(1, "commit a", False, math.nan, ("other seeds",)),)
    assert overview_of(trend(changes=quiet))["last change"] == ""
    assert overview_of(trend())["runs"] == "3"


def test_what_is_not_finite_has_a_name() -> None:
    """A target never met is "never"; a loss that diverged is infinite; a time has its unit."""
    assert value_text(math.inf, "steps_to_target") == "never"
    assert value_text(math.inf, "mean_log_loss") == "∞"
    assert value_text(0.0025, "step_seconds") == "2.50 ms"


def test_a_run_without_number_time_and_commit() -> None:
    """A file from elsewhere is named by its name; what is not known is a dash."""
    made = trend(1)
    made.table["number"] = pd.array([pd.NA], dtype="Int64")
    made.table["time"] = pd.NaT
    made.table["commit"] = None
    row = rows_of(made, "time")[0]
    assert (row["run"], row["time"], row["commit"]) == ("0001_x", "–", "–")
