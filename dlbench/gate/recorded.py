"""What rides on a record for the gate: the test's rules, the verdict, the yardstick of an accept."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar, get_args

from dlbench.errors import DlbenchError, ExperimentError, RecordError
from dlbench.gate import Expect
from dlbench.gate.drift import case_of
from dlbench.gate.entry import TRAINING_LOSS, entry_of
from dlbench.gate.rules import Rules
from dlbench.gate.verdict import Verdict
from dlbench.gate.wording import sentence

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from dlbench.gate.entry import Entry
    from dlbench.history.record import Record

_T = TypeVar("_T")


def case_id(record: Record) -> str:
    """Return a record's case: the test's id, with the call's name where it has one."""
    return record["case"] + (f" name={record['name']}" if record["name"] is not None else "")


def taken_of(record: Record, path: object, take: Callable[[Record], _T]) -> _T:
    """Return what is taken of a record of a saved file.

    A file's reader checks a record's fields; what lies within its runs and its gate is found here.

    Raises:
        RecordError: it is damaged; the message names the file and the case.
    """
    damage = (TypeError, ValueError, KeyError, AttributeError, OverflowError, ExperimentError)
    try:
        if not isinstance(record.get("gate") or {}, dict):
            raise TypeError("its gate is no table")
        return take(record)
    except damage as error:
        kind = "" if isinstance(error, DlbenchError) else f"{type(error).__name__}: "
        raise RecordError(f"{path}: {case_id(record)} cannot be read: {kind}{error}") from error


def rules_in(record: Record) -> Rules:
    """Return what the record's test says of its gates.

    Raises:
        GateError: rules that cannot be meant.
    """
    return Rules.of(**(_gate(record).get("rules") or {}))


def verdict_in(record: Record) -> Verdict | None:
    """Return the verdict that fell on a record, or None where none did.

    Raises:
        RecordError: it cannot be read.
    """
    plain = _gate(record).get("verdict")
    return Verdict.from_builtins(plain) if isinstance(plain, dict) else None


def by_the_gate(record: Record) -> bool:
    """Return whether the gate's own sentence is what a record's test failed with.

    Raises:
        RecordError: its verdict cannot be read.
    """
    verdict = verdict_in(record)
    if verdict is None:
        return False
    said = (sentence(verdict, expected=word) for word in ("", *get_args(Expect)))
    message = (record["message"] or "").removeprefix("Failed: ")  # pytest's name for the exception
    return message in {text.splitlines()[0].strip() for text in said}


def entry_in(record: Record) -> Entry:
    """Return the entry that is accepted of a record, with how far rounding alone moves it."""
    gate = _gate(record)
    linear = rules_in(record).scale(TRAINING_LOSS) == "linear"
    moved = gate.get("yardstick") or ()
    yardstick = tuple(math.nan if value is None else float(value) for value in moved)
    entry = entry_of(record, floor=0.0 if linear else None)
    return replace(entry, yardstick=yardstick, repeats=gate.get("repeats"))


def rules_by_case(records: Iterable[Record]) -> dict[str, Rules]:
    """Return the rules of each record's case."""
    return {case_of(entry_of(record)): rules_in(record) for record in records}


def _gate(record: Record) -> dict[str, Any]:
    return dict(record.get("gate") or {})
