"""The closing table, as lines of text made from records that nobody trained."""

from __future__ import annotations

import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from dlbench.plugin.summary import summary_lines

HOSTILE = "\x1b]0;title\x07\x1b[31mred\r\n[bold]not bold[/bold] :smile:"


def record(case: str = "bench/test_a.py::test_a", **changes: Any) -> dict[str, Any]:
    """Return the record of a test that trained three seeds."""
    seeds: dict[str, Any] = {"regime": ["converged"] * 3, "final_loss": [0.1, 0.2, 0.4]}
    made: dict[str, Any] = {
        "runs": {},
        "case": case,
        "test": case.split("[", maxsplit=1)[0].rsplit("::", maxsplit=1)[-1],
        "name": None,
        "outcome": "passed",
        "message": None,
        "bounds": "enforced",
        "parameters": None,
        "timing": {"what": "train_on_batch", "seconds": 0.00123},
    }
    return made | changes | {"metrics": seeds | changes.get("metrics", {})}


def lines_of(
    *records: dict[str, Any],
    width: int = 100,
    color: bool = False,
    used: bool = True,
    page: str | None = None,
    problems: tuple[str, ...] = (),
    **settings: Any,
) -> list[str]:
    """Return the lines for a run with these records."""
    session: Any = SimpleNamespace(
        used=used,
        records=list(records),
        settings=SimpleNamespace(**{"quick": False, "overridden": ()} | settings),
        problems=problems,
        page=Path("/here", page) if page else None,
        gate=SimpleNamespace(suite=None, acceptance=None),
        config=SimpleNamespace(invocation_params=SimpleNamespace(dir=Path("/here"))),
    )
    return summary_lines(session, width, color=color)


def row(*records: dict[str, Any], **more: Any) -> list[str]:
    """Return the cells of the first row of the table."""
    lines = lines_of(*records, **more)
    return re.split(r"\s{2,}", lines[3].strip())


def test_nothing_is_said_where_nothing_was_used() -> None:
    """Another suite's run ends as it would without the plugin."""
    assert lines_of(used=False) == []


def test_a_row_a_record_under_its_test() -> None:
    """The test's id heads its cases; a named record is told from the others by its name."""
    lines = lines_of(
        record("bench/test_a.py::test_a[4]"),
        record("bench/test_a.py::test_a[32]", name="adam"),
        record("bench/test_a.py::TestB::test_b"),
    )
    assert lines[0].split() == ["case", "regime", "loss", "validation", "updates", "ms/step"]
    assert lines[2] == "bench/test_a.py::test_a"
    assert lines[3].startswith("  4 ")
    assert lines[4].startswith("  32 adam ")
    assert lines[5] == "bench/test_a.py::TestB::test_b"
    assert lines[6].startswith("  - ")
    assert lines[7].startswith("median (± half the range over seeds")


def test_brackets_in_folders_and_parameters() -> None:
    """Only the parameters of the test are its label, whatever brackets stand around them."""
    lines = lines_of(record("a[1]/test_a.py::test_a[x[0]::y]", test="test_a"))
    assert lines[2] == "a[1]/test_a.py::test_a"
    assert lines[3].startswith("  x[0]::y ")


@pytest.mark.parametrize(
    ("metrics", "cells"),
    [
        ({}, ["converged", "0.2 ±0.2", "-", "-", "1.23"]),
        (
            {"regime": ["stalled", "converged", "stalled"]},
            ["stalled 2, converged 1", "0.2 ±0.2", "-", "-", "1.23"],
        ),
        (
            {"regime": ["diverged"] * 3, "final_loss": [None] * 3},
            ["diverged", "nan", "-", "-", "1.23"],
        ),
        ({"final_loss": [None, 0.25, None]}, ["converged", "0.25", "-", "-", "1.23"]),
        (
            {"final_val_loss": [9.0] * 3, "final_val_accuracy": [0.9, 0.96, 0.91]},
            ["converged", "0.2 ±0.2", "0.91 ±0.03", "-", "1.23"],
        ),
        (
            {"steps_to_target": [1000.4, 1234.5, 90000.0]},
            ["converged", "0.2 ±0.2", "-", "1,234", "1.23"],
        ),
        (
            {"steps_to_target": [None, 12.0, None]},
            ["converged", "0.2 ±0.2", "-", "12 (1/3)", "1.23"],
        ),
        ({"steps_to_target": [None] * 3}, ["converged", "0.2 ±0.2", "-", "never", "1.23"]),
    ],
    ids=str,
)
def test_the_cells(metrics: dict[str, Any], cells: list[str]) -> None:
    """Regimes with their seeds, median and half the range, updates to the target, milliseconds."""
    assert row(record(metrics=metrics))[1:] == cells


@pytest.mark.parametrize("outcome", ["failed", "error", "xfailed", "xpassed", "skipped"])
def test_how_a_test_ended_if_not_well(outcome: str) -> None:
    """A failed case is not dropped: its row says so."""
    assert row(record(outcome=outcome))[0] == f"- {outcome}"


def test_a_loop_has_no_step_time() -> None:
    """What was timed of a loop is a whole training, not a step."""
    timed = {"what": "train(seed)", "seconds": 3.0}
    lines = lines_of(record(timing=timed))
    assert lines[3].endswith(" -")
    assert not any(line.startswith("no timing") for line in lines)


def test_a_run_without_any_timing_says_why() -> None:
    """With `--benchmark-disable` or `-n` nothing is timed, and that is told."""
    assert "no timing: pytest-benchmark is off (--benchmark-disable, or pytest-xdist's -n)" in (
        lines_of(record(timing=None))
    )


def test_who_trained_is_told_where_it_was_not_the_first_choice() -> None:
    """Each reason why `fit` took over is one line, with the first cases that it holds for."""
    cases = [record(f"t.py::test_a[{i}]", runs={"engine_note": "a Lambda layer"}) for i in range(4)]
    lines = lines_of(*cases, record(runs={"engine_note": "a\nnother"}), record())
    assert [line for line in lines if line.startswith("trained by fit")] == [
        (
            "trained by fit, not vectorized: t.py::test_a[0], t.py::test_a[1], t.py::test_a[2] …: "
            "a Lambda layer"
        ),
        "trained by fit, not vectorized: bench/test_a.py::test_a: a?nother",
    ]


def test_counted_models() -> None:
    """Parameter tables are a line, not rows: how many, and how many held."""
    counted = {"metrics": None, "parameters": {"unique": 6}, "timing": None}
    good = record() | counted
    assert lines_of(good, good, good | {"outcome": "failed"}) == [
        "parameters: 3 models counted, 2 as expected"
    ]


def test_bounds_that_are_off() -> None:
    """What would not have held is named, once a test; an error of another kind is not that."""
    off = {"bounds": "off"}
    records = (
        record("t.py::test_a", message="assert 1 > 2", **off),
        record("t.py::test_a", name="again", message="assert 1 > 2", **off),
        record("t.py::test_b", message="KeyError: 'x'", outcome="failed", **off),
        record("t.py::test_c", **off),
    )
    lines = lines_of(*records, quick=True)
    start = lines.index("bounds are off (--dlbench-quick): assertions were tried, and fail no test")
    assert lines[start + 1 :] == ["  would not have held: t.py::test_a: assert 1 > 2"]
    assert any("(--dlbench-workload)" in line for line in lines_of(records[0], quick=False))


def test_the_end() -> None:
    """Overridden settings, what went wrong, and where the page lies, seen from here."""
    lines = lines_of(
        record(),
        overridden=("dlbench_seeds=2",),
        problems=("the report could not be written\nZeroDivisionError",),
        page="report/index.html",
    )
    assert lines[-4:] == [
        "the command line overrides dlbench_seeds=2",
        "the report could not be written",
        "ZeroDivisionError",
        "report: report/index.html",
    ]
    assert lines_of(record(), page="/elsewhere/index.html")[-1] == "report: /elsewhere/index.html"


@pytest.mark.parametrize("color", [True, False])
def test_names_cannot_command_the_terminal(*, color: bool) -> None:
    """Escapes, line ends, markup and emoji codes in ids, names and messages are shown as text."""
    hostile = record(
        f"t.py::test_{HOSTILE}[{HOSTILE}]",
        test=f"test_{HOSTILE}",
        name=HOSTILE,
        message=HOSTILE,
        bounds="off",
    )
    lines = lines_of(hostile, width=300, color=color, problems=(HOSTILE,))
    text = re.sub(r"\x1b\[[0-9;]*m", "", "".join(lines)) if color else "".join(lines)
    assert all(character.isprintable() for character in text)
    assert text.count("[bold]not bold[/bold] :smile:") == 7
    assert "\x1b[31mred" not in "".join(lines)


@pytest.mark.parametrize("width", [1, 40, 80, 120])
@pytest.mark.parametrize("color", [True, False])
def test_it_fits_the_terminal(width: int, *, color: bool) -> None:
    """No line is wider than the terminal: labels fold, and numbers stay whole from 80 columns on."""
    full = {
        "regime": ["diverged", "stalled", "slow"],
        "final_loss": [123456.0, 0.0001, None],
        "final_val_accuracy": [0.123456, 0.9, 0.5],
        "steps_to_target": [123456.0, None, None],
    }
    label = "-".join(f"parameter{i}" for i in range(12))
    lines = lines_of(record(f"t.py::test_a[{label}]", metrics=full), width=width, color=color)
    shown = [re.sub(r"\x1b\[[0-9;]*m", "", line) for line in lines]
    assert all(len(line) <= max(width, 40) for line in shown)
    text = "\n".join(shown)
    if width >= 80:
        for whole in ("6.17e+04", "0.5 ±0.4", "123,456 (1/3)", "1.23"):
            assert whole in text
    assert ("6.17e+04 ±6e+04" in text) is (width >= 100)  # below, the loss has no room for it


def test_the_time_of_a_step_is_whole_beside_many_seeds() -> None:
    """In 80 columns the widest numbers that 16 seeds give leave room for the last column."""
    many = {
        "regime": ["slow"] * 2 + ["converged"] * 14,
        "final_loss": [0.000164] * 16,
        "final_val_accuracy": [0.0806, 0.0814, *[0.0806] * 14],
        "steps_to_target": [None] * 2 + [163.0] * 14,
    }
    lines = lines_of(record("t.py::test_a[spirals-sigmoid]", metrics=many), width=80)
    assert lines[0].endswith("ms/step")
    shown = "\n".join(lines)
    for whole in ("0.000164", "0.0806 ±0.0004", "163 (14/16)", "1.23"):
        assert whole in shown


def test_colors_are_the_regimes() -> None:
    """Red failed, yellow slow, green converged; and a test's name still heads its rows."""
    regimes = ["diverged", "slow", "converged"]
    lines = lines_of(record(metrics={"regime": regimes}), color=True)
    assert lines[2] == "bench/test_a.py::test_a"
    for code, word in (("31", "diverged"), ("33", "slow"), ("32", "converged")):
        assert f"\x1b[{code}m{word}\x1b[0m" in lines[3]
