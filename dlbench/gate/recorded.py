"""What rides on a record for the gate: the test's rules, the verdict, the yardstick of an accept."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from dlbench.gate.drift import case_of
from dlbench.gate.entry import TRAINING_LOSS, entry_of
from dlbench.gate.rules import Rules
from dlbench.gate.verdict import Verdict

if TYPE_CHECKING:
    from collections.abc import Iterable

    from dlbench.gate.entry import Entry
    from dlbench.history.record import Record


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
