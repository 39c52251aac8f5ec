"""Comparisons as text: 80 columns for people, Markdown for GitHub, JSON and CSV for programs."""

from __future__ import annotations

import csv
import io
import json
from typing import TYPE_CHECKING, Any

import pytest

from dlbench.cli import compare_formats as formats
from dlbench.cli.compare_view import View

if TYPE_CHECKING:
    from collections.abc import Callable

    from dlbench.gate.sides import Compared

A, B, C = (f"bench/test_a.py::test_b[{name}]" for name in ("adam", "sgd-moons", "lion"))


@pytest.fixture(autouse=True)
def narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    """80 columns."""
    monkeypatch.setenv("COLUMNS", "80")


@pytest.fixture
def found(against: Callable[..., Compared], made: Any) -> Compared:
    """One case worse, one better, one missing, one new."""
    return against(
        [made[0](A, 16, 0.0), made[0](B, 16, 0.0), made[0]("z.py::gone", 16, 0.0)],
        [made[0](A, 16, 0.05), made[0](B, 16, -0.05), made[0](C, 16, 0.0)],
        commit={"id": "beef" * 10, "branch": "x", "dirty": True}, complete=True, quick=False,
    )  # fmt: skip


def whole(one: Compared, *metrics: str) -> View:
    """Show everything, or some metrics."""
    return View.of([one], metrics, "verdict", only_failing=False)


def test_a_table(found: Compared) -> None:
    """In 80 columns: both sides, the cases the worst first with their gates, the suite at the end."""
    lines = formats.as_table([found], whole(found)).splitlines()
    assert max(map(len, lines)) <= 80
    assert lines[0] == "A  0001 old  3 cases  2026-01-01 00:00  c0ffee0000"
    assert lines[1] == "B  0002 new  3 cases  2026-01-01 00:00  beefbeefbe+"
    heads = [line[:23].strip() for line in lines if "::" in line]
    assert heads == ["worse +8.7 %", "missing", "better -8.8 %", "new"]
    first, *rest = lines[4:]
    assert first == "worse +8.7 %           test_a.py::test_b[adam]"
    assert rest[0].split()[:6] == ["loss", "over", "the", "run", "0.575", "0.625"]
    assert rest[0].endswith("worse")
    assert lines[-2].startswith("against A: 1 ")


def test_columns_stand_under_each_other(found: Compared) -> None:
    """Each number ends where its column's head does."""
    lines = formats.as_table([found], whole(found)).splitlines()
    (head,) = (line for line in lines if line.split() == ["A", "B", "change", "interval"])
    row = next(line for line in lines if "loss over the run" in line)
    for name, text in (("A", "0.575"), ("change", "+8.7 %")):
        assert head.index(name) + len(name) == row.index(text) + len(text)


def test_a_narrow_terminal_cuts_the_gates_names(
    found: Compared, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Numbers stay whole."""
    monkeypatch.setenv("COLUMNS", "64")
    lines = formats.as_table([found], whole(found)).splitlines()
    assert any("…" in line and "0.575" in line and line.endswith("worse") for line in lines)


def test_colour_only_where_it_is_asked_for(
    found: Compared, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A pipe gets plain text; a terminal that says so gets red."""
    assert "\x1b" not in formats.as_table([found], whole(found))
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    assert "\x1b[31m" in formats.as_table([found], whole(found))


def test_markdown(found: Compared) -> None:
    """One table with as many cells in each row as in its head, and a heading that shows the outcome."""
    text = formats.as_markdown([found], whole(found))
    assert text.startswith("### ❌ 0002 new against 0001 old\n")
    rows = [line for line in text.splitlines() if line.startswith("|")]
    assert {row.count("|") for row in rows} == {8}
    assert r"| **test\_a.py::test\_b\[adam\]** |  |  |  |  |  | **worse +8.7 %** |" in rows
    assert sum("loss over the run" in row for row in rows) == 2
    same = View.of([found], [], "case", only_failing=False)
    assert formats.as_markdown([found], same).count("### ") == 1


def test_json_is_strict(found: Compared) -> None:
    """Every case with every gate's numbers, positive where worse; nothing that is no JSON."""

    def refuse(constant: str) -> None:
        raise AssertionError(constant)

    text = formats.as_json([found], whole(found))
    document = json.loads(text, parse_constant=refuse)
    assert text.isascii()
    (one,) = document["comparisons"]
    assert (document["a"]["label"], one["b"]["label"], one["failed"]) == (
        "0001 old",
        "0002 new",
        True,
    )
    assert document["a"]["session"]["commit"]["id"].startswith("c0ffee")
    cases = {case["case"]: case for case in one["cases"]}
    assert {name: case["verdict"] for name, case in cases.items()} == {
        A: "worse", B: "better", C: "new", "z.py::gone": "missing",
    }  # fmt: skip
    gates = {gate["gate"]: gate for gate in cases[A]["gates"]}
    loss = gates["training_loss"]
    assert loss["degree"] == "regressed"
    assert loss["low"] < loss["effect"] < loss["high"]
    assert (loss["median_a"], loss["median_b"]) == pytest.approx((0.575, 0.625), rel=1e-4)
    assert cases[A]["step_seconds"] == {"a": 0.002, "b": 0.002, "ratio": 1.0}
    assert cases["z.py::gone"]["gates"] == []
    assert one["suite"]["worse"] is False


def test_csv_has_a_row_a_gate(found: Compared) -> None:
    """A case without gates has a row, too; columns are as documented."""
    text = formats.as_csv([found], whole(found))
    rows = list(csv.DictReader(io.StringIO(text)))
    assert tuple(rows[0]) == formats.COLUMNS
    assert {row["case"]: row["case_verdict"] for row in rows} == {
        A: "worse", B: "better", C: "new", "z.py::gone": "missing",
    }  # fmt: skip
    assert [row["note"] for row in rows if row["case"] == C] == ["only in B"]
    (row,) = (row for row in rows if row["case"] == A and row["gate"] == "training_loss")
    assert float(row["low"]) < float(row["effect"]) < float(row["high"])
    assert row["unit"] == "log"
    chosen = list(
        csv.DictReader(io.StringIO(formats.as_csv([found], whole(found, "val_accuracy"))))
    )
    assert {row["gate"] for row in chosen} == {"val_accuracy", ""}
