"""Two sides and what the gate says of each case: saved runs, or the accepted files as the first."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING

from dlbench.errors import GateError, RecordError
from dlbench.gate.drift import case_of
from dlbench.gate.entry import TRAINING_LOSS, Entry, entry_of
from dlbench.gate.incomparable import FIRST_LOOK
from dlbench.gate.judging import compare
from dlbench.gate.recorded import case_id, entry_in, rules_in, taken_of
from dlbench.gate.rules import LEAST_PAIRS, Rules, tests_of
from dlbench.gate.suite import Suite, fails, judge_suite
from dlbench.gate.verdict import Verdict, missing, unknown_case
from dlbench.history.run import read_run

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping

    from dlbench.gate.baseline import Baseline
    from dlbench.history.naming import Saved
    from dlbench.history.record import Record
    from dlbench.history.run import Run, Session


@dataclass(frozen=True, slots=True)
class Side:
    """A saved run, or the accepted entries, by case."""

    label: str
    path: str
    records: Mapping[str, Record] = field(default_factory=dict)
    """What was trained or counted, by case: the test's id and the call's name."""
    entries: Mapping[str, Entry] = field(default_factory=dict)
    """Of the baseline; a saved run's are made for each comparison."""
    session: Session | None = None

    @property
    def cases(self) -> Collection[str]:
        """Every case."""
        return self.records.keys() | self.entries.keys()

    @property
    def complete(self) -> bool:
        """Whether it says that it was not interrupted, and that no test was left out."""
        session = self.session
        return (
            session is not None and session["complete"] and not session["counts"].get("deselected")
        )

    @property
    def modules(self) -> set[str]:
        """The modules of its cases."""
        return {record["module"] for record in self.records.values()}


@dataclass(frozen=True, slots=True)
class Row:
    """One case on both sides."""

    case: str
    verdict: Verdict
    failed: bool
    """Whether the gate would fail it."""
    old: Entry | None = None
    new: Entry | None = None
    old_record: Record | None = None
    new_record: Record | None = None

    @property
    def step_seconds(self) -> tuple[float | None, float | None]:
        """What a training step took on each side; only of the same kind of step."""
        timings = [record and record["timing"] for record in (self.old_record, self.new_record)]
        before, after = timings
        if before and after and before["what"] != after["what"]:
            return None, None
        return tuple(timing and timing["seconds"] for timing in timings)  # type: ignore[return-value]

    @property
    def effect(self) -> float | None:
        """The change of the training loss over the run, positive where worse."""
        found = self.verdict.comparison(TRAINING_LOSS)
        return None if found is None or found.test is None else found.test.estimate


@dataclass(frozen=True)
class Compared:
    """One side against the first."""

    a: Side
    b: Side
    rows: tuple[Row, ...]
    suite: Suite
    elsewhere: int = 0
    """Accepted cases of modules that B did not run."""

    @property
    def common(self) -> int:
        """Cases on both sides."""
        return sum(row.old is not None and row.new is not None for row in self.rows)

    @property
    def failed(self) -> bool:
        """Whether the gate would fail."""
        return self.suite.worse or any(row.failed for row in self.rows)

    @cached_property
    def environment(self) -> tuple[str, ...]:
        """What differs in the environment, each once; with a count where not all cases say so."""
        return differing(row.verdict.drift for row in self.rows if row.old and row.new)


def saved_side(saved: Saved) -> Side:
    """Return the side that a saved file is.

    Raises:
        RecordError: it cannot be read, or no case of dlbench's is in it.
    """
    return side_of(read_run(saved.path), saved.label, saved.path)


def side_of(run: Run, label: str, path: object) -> Side:
    """Return the side that a run is.

    Args:
        run: that was read.
        label: a short name.
        path: its file.

    Raises:
        RecordError: no case of dlbench's is in it.
    """
    records = {
        case_id(record): record
        for record in run.records
        if record["parameters" if record["kind"] == "parameters" else "runs"] is not None
    }
    if not records:
        raise RecordError(f"{path}: no case of dlbench's is in it")
    return Side(label, str(path), records, session=run.session)


def accepted_side(baseline: Baseline, modules: Collection[str]) -> Side:
    """Return the side that the accepted files are.

    Args:
        baseline: where they are.
        modules: of the runs that are compared with it.

    Raises:
        BaselineError: a file that cannot be read.
        RecordError: nothing was accepted.
    """
    every = {*baseline.modules(), *(module for module in modules if ".." not in module)}
    entries = {
        case_of(entry): entry for module in sorted(every) for entry in baseline.entries(module).values()
    }  # fmt: skip
    if not entries:
        where = baseline.folder or baseline.root.resolve()
        raise RecordError(
            f"nothing was accepted under {where}: `pytest --dlbench-accept` or `dlbench accept RUN` "
            "makes a baseline"
        )
    return Side("baseline", str(baseline.folder or "baselines"), entries=entries)


def differing(told: Iterable[Collection[str]]) -> tuple[str, ...]:
    """Return what differs, each once; with a count where not all cases say so.

    Args:
        told: by case, what differs there.
    """
    cases = list(told)
    return tuple(
        text if count == len(cases) else f"{text} (in {count} of {len(cases)} cases)"
        for text, count in Counter(text for case in cases for text in case).most_common()
    )


def nothing_common(sides: Iterable[Side]) -> str:
    """Return that no case is on all sides, in a sentence that names one of each."""
    told = [f"{side.label} has {_named(side)}" for side in sides]
    return f"no case is on both sides: {'; '.join(told)}. Were they run from one root folder?"


def compared(a: Side, b: Side, meant: Callable[[str], bool], false_alarm: float) -> Compared:
    """Return the gate's verdicts on one side against the first.

    The entries of A take the place of accepted ones. Their error rate is divided over all of A's
    tests, so that a case's verdict does not depend on what else is chosen.

    Args:
        a: the first.
        b: what is compared with it.
        meant: tells by a case whether it is asked for.
        false_alarm: the share of comparisons that may find something worse without cause.

    Raises:
        RecordError: a record that cannot be read; it names the file and the case.
    """
    rules = {case: _rules(a, b, case) for case in a.cases}
    entries = dict(a.entries) or _entries(a, rules, false_alarm)
    ran = b.modules
    # A file that was not run whole says nothing of its cases; the baseline has all files'.
    there = {case: e for case, e in entries.items() if not a.entries or e.module in ran}
    asked = [case for case in {**there, **b.records} if meant(case)]
    rows = tuple(_row(case, a, b, there.get(case), rules.get(case, Rules())) for case in asked)
    suite = judge_suite((row.verdict for row in rows), alpha=false_alarm)
    return Compared(a, b, rows, suite, elsewhere=len(entries) - len(there))


def _named(side: Side) -> str:
    cases = list(side.cases)
    more = f" and {len(cases) - 1} more" if len(cases) > 1 else ""
    return f"{cases[0]}{more}" if cases else "none"


def _row(case: str, a: Side, b: Side, old: Entry | None, rules: Rules) -> Row:
    record = b.records.get(case)
    records = a.records.get(case), record
    if record is None:
        assert old is not None  # noqa: S101 - the case is on one of the sides
        return Row(case, missing(old), b.complete, old, None, *records)
    floor = old.floor if old is not None else None
    new = taken_of(record, b.path, lambda one: entry_of(one, floor=floor))
    if old is None:
        return Row(case, unknown_case(new), failed=False, new=new, new_record=record)
    verdict = _verdict(old, new, rules)
    return Row(case, verdict, fails(verdict.degree, "auto"), old, new, *records)


def _verdict(old: Entry, new: Entry, rules: Rules) -> Verdict:
    """Return a case's verdict; what the gate would stop for before training is incomparable here."""
    both = len(set(old.seeds) & set(new.seeds))
    least = max(min(both, FIRST_LOOK), *LEAST_PAIRS.values())
    look = "last" if both == len(old.seeds) else "first"
    try:
        return compare(old, new, rules, look=look, first_look=least)  # type: ignore[arg-type]
    except GateError as error:
        return replace(missing(old), degree="incomparable", reason=str(error))


def _entries(a: Side, rules: Mapping[str, Rules], false_alarm: float) -> dict[str, Entry]:
    """Return A's entries with the error rate of each of their tests."""
    made = {
        case: taken_of(record, a.path, lambda one, case=case: _first(one, rules[case]))  # type: ignore[misc]
        for case, record in a.records.items()
    }
    tests = sum(len(tests_of(entry, rules[case])) for case, entry in made.items())
    alpha = false_alarm / max(1, tests)
    return {case: replace(entry, alpha=alpha) for case, entry in made.items()}


def _first(record: Record, rules: Rules) -> Entry:
    """Return the entry of A's record, with its yardstick of rounding where an accept made it."""
    if record.get("gate"):
        return entry_in(record)
    return entry_of(record, floor=0.0 if rules.scale(TRAINING_LOSS) == "linear" else None)


def _rules(a: Side, b: Side, case: str) -> Rules:
    """Return what a case's test says of its gates: as A has it, else as B has."""
    for side in (a, b):
        record = side.records.get(case)
        if record is not None and record.get("gate"):
            return taken_of(record, side.path, rules_in)
    return Rules()
