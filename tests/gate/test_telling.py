"""What a terminal is told of many verdicts, and of an accept."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from dlbench.gate.accepting import Acceptance
from dlbench.gate.drift import change_of
from dlbench.gate.rules import Rules
from dlbench.gate.suite import judge_suite
from dlbench.gate.telling import accepted_lines, headline, loud, wrapped
from dlbench.gate.verdict import Verdict

if TYPE_CHECKING:
    from tests.gate.conftest import MakeEntry

DEGREES: tuple[Any, ...] = ("identical", "regressed", "improved", "identical", "compatible", "new")


def test_the_headline_counts_words_and_degrees() -> None:
    """The most frequent word first; what is the same is told by its degrees."""
    verdicts = [Verdict(f"t.py::{place}", degree) for place, degree in enumerate(DEGREES)]
    suite = judge_suite(verdicts)
    told = "3 same (2 identical, 1 compatible), 1 worse, 1 better, 1 new"
    assert headline(verdicts, suite) == [f"against the baseline: {told}"]
    assert headline(verdicts, suite, against="A\x1b[2J") == [f"against A [2J: {told}"]
    assert headline([], judge_suite([])) == ["against the baseline: no case"]


def test_what_is_loud_comes_the_worst_first() -> None:
    """Cases that are the same are not listed."""
    judged = [(degree, Verdict("t.py::t", degree)) for degree in DEGREES]
    assert [case for case, _ in loud(judged)] == ["regressed", "improved", "new"]


def test_an_accept_in_lines(make_entry: MakeEntry) -> None:
    """Counts, old -> new, what was refused, what cannot fail (a line a reason), and the files."""
    old, new = make_entry(), make_entry(worse={"training_loss": 0.02}, repeats=False)
    acceptance = Acceptance(
        changes=(change_of(old, new, Rules()), change_of(old, old, Rules())),
        refused={"a.py::t": "it drifted"},
        blind={f"b.py::t[{i}]": ("failed cannot fail with 5 seeds",) for i in range(5)}
        | {"b.py::u": ("val_loss cannot fail with 4 seeds: it needs 5", "failed cannot fail")},
        alpha=0.005,
        tests=2,
        written=(Path("/root/baselines/test_sgd.json"), Path("/elsewhere/b.json")),
    )
    lines = accepted_lines(acceptance, 0.01, Path("/root"))
    first = "accepted: 1 changed, 1 same; 2 tests share an error rate of 0.01, 5.0e-03 each"
    assert lines[0] == first
    assert lines[1].startswith("  changed benchmarks/test_sgd.py::test_rate: training_loss ")
    assert "2.0 % worse" in lines[1]
    assert "the loop does not repeat" in lines[2]
    assert lines[3:] == [
        "  refused a.py::t: it drifted",
        "  failed cannot fail with 5 seeds: b.py::t[0], b.py::t[1], b.py::t[2] and 2 more",
        "  val_loss cannot fail with 4 seeds: it needs 5; failed cannot fail: b.py::u",
        "wrote baselines/test_sgd.json",
        "wrote /elsewhere/b.json",
    ]


def test_lines_are_cut_to_a_width() -> None:
    """What belongs to a line is indented further, and nothing in it is a terminal's command."""
    lines = wrapped(["  " + "word " * 20, "\x1b[31mred"], 40)
    assert all(len(line) <= 40 for line in lines)
    assert [line[:4].count(" ") for line in lines[:2]] == [2, 4]
    assert lines[-1] == "[31mred"
