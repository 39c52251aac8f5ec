"""What is shown of a comparison, whatever the format: cases in order, a line a gate, in words."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from dlbench.errors import NotFoundError
from dlbench.gate.comparisons import failed, pair
from dlbench.gate.drift import medians
from dlbench.gate.entry import STEPS_TO_TARGET, TRAINING_LOSS, Entry
from dlbench.gate.rules import FAILED, PARAMETERS, POINTS
from dlbench.gate.telling import QUIET, WORST_FIRST
from dlbench.gate.verdict import SEVERITY, SHOWN
from dlbench.gate.wording import amount, details, interval, name_of
from dlbench.report.formatting import number, seconds, whole

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from dlbench.gate.comparisons import Comparison, Degree
    from dlbench.gate.sides import Compared, Row

STEP_SECONDS = "step_seconds"
"""What a training step took: shown beside the gates, and never failing."""

ADVISORY = "advisory"

SHORT = {TRAINING_LOSS: "loss over the run"}
"""Names that are too long for 80 columns."""

PLACES = 2
"""Decimals of a percentage that a table has room for; JSON and CSV have every digit."""

EXACT = frozenset({PARAMETERS, POINTS})
"""Gates without an effect: their counts are equal or not."""

_NUMBER = re.compile(r"[+-]?\d+\.\d+(e-?\d+)?")


@dataclass(frozen=True, slots=True)
class Line:
    """One gate of one case, in words."""

    gate: str
    name: str
    a: str
    b: str
    effect: str = ""
    interval: str = ""
    word: str = ""
    """The verdict that people read; `ADVISORY` of a time."""
    degree: Degree | None = None


@dataclass(frozen=True, slots=True)
class View:
    """What is shown: rows a comparison, and which gates of them."""

    rows: tuple[tuple[Row, ...], ...]
    """Of each comparison, in order."""
    gates: frozenset[str] | None = None
    """None shows all."""

    @classmethod
    def of(
        cls, found: Sequence[Compared], metrics: Sequence[str], sort: str, *, only_failing: bool
    ) -> View:
        """Return what is shown.

        Args:
            found: the comparisons.
            metrics: gates, by their names or as records call them; none means all.
            sort: "verdict" (what fails first), "effect" or "case".
            only_failing: leave out what the gate would pass.

        Raises:
            NotFoundError: a metric that no case has.
        """
        rows = tuple(
            tuple(sorted((r for r in one.rows if r.failed or not only_failing), key=_ORDERS[sort]))
            for one in found
        )
        if not metrics:
            return cls(rows)
        known = {gate for one in found for row in one.rows for gate in gates_of(row)}
        gates = frozenset(gate_named(metric) for metric in metrics)
        if unknown := sorted(gates - known):
            raise NotFoundError(
                f"no metric {', '.join(unknown)}; there are {', '.join(sorted(known))}"
            )
        return cls(rows, gates)

    def lines(self, row: Row) -> list[Line]:
        """Return a row's lines for people: of a case that is the same, none that says nothing."""
        if row.verdict.degree == "identical" and self.gates is None:
            return []
        quiet = row.verdict.degree in QUIET and self.gates is None
        return [
            line
            for line in _lines(row)
            if (self.gates is None or line.gate in self.gates)
            and not (quiet and line.degree == "identical" and line.gate in {FAILED, PARAMETERS})
        ]

    def name(self, row: Row) -> str:
        """Return a case's id without its folder, where no other has the same."""
        key = row.verdict.key
        same = {other.case for rows in self.rows for other in rows if other.verdict.key == key}
        return key if len(same) == 1 else row.case


def gate_named(metric: str) -> str:
    """Return the gate that a record's metric is compared by: `mean_log_loss`, `final_val_…`."""
    if metric == "mean_log_loss":
        return TRAINING_LOSS
    return metric.removeprefix("final_") if metric.startswith("final_val_") else metric


def gates_of(row: Row) -> set[str]:
    """Return what there is to show of a row."""
    values = {name for entry in (row.old, row.new) if entry for name in entry.values}
    exact = {PARAMETERS} if any(e and e.parameters for e in (row.old, row.new)) else set()
    times = {STEP_SECONDS} if any(row.step_seconds) else set()
    return values | exact | times | {found.gate for found in row.verdict.comparisons}


def remarks(row: Row) -> list[str]:
    """Return what there is to say of a row beside its gates; the environment is said once for all."""
    verdict = row.verdict
    told = [verdict.reason] if verdict.reason else []
    told += [found.note for found in verdict.having("incomparable") if found.note]
    if verdict.degree == "missing":
        told.append("only in A" + ("" if row.failed else "; B does not say that it was complete"))
    if verdict.degree == "new":
        told.append("only in B")
    outcomes = [record and record["outcome"] for record in (row.old_record, row.new_record)]
    told += [
        f"its test in {side}: {outcome}"
        for side, outcome in zip("AB", outcomes, strict=True)
        if outcome and outcome != "passed"
    ]
    quiet = replace(verdict, drift=())
    if (
        row.old is not None and not row.old.yardstick
    ):  # only an accept measures it: not worth a word
        quiet = replace(quiet, rounding=replace(quiet.rounding, note=""))
    return [*told, *details(quiet)]


def level(gate: str, entry: Entry) -> float:
    """Return a value's median over the seeds that trained; of the training loss, not its log."""
    median = medians(entry).get(gate, math.nan)
    logged = gate == TRAINING_LOSS and entry.floor > 0
    return math.exp(min(median, 700.0)) if logged else median


def step_ratio(row: Row) -> float | None:
    """Return how much longer a step takes in B: 1.05 for 5 %."""
    before, after = row.step_seconds
    return after / before if before and after else None


# ---- within


def _lines(row: Row) -> list[Line]:
    if row.old is None or row.new is None:
        return []
    old, new = row.old, row.new
    lines = [_line(found, old, new) for found in row.verdict.comparisons if found.gate not in EXACT]
    lines += _counts(old, new)
    ratio = step_ratio(row)
    if any(row.step_seconds):
        told = "" if ratio is None else f"×{ratio:.2f}"
        before, after = (seconds(one) for one in row.step_seconds)
        lines.append(Line(STEP_SECONDS, "step time", before, after, told, word=ADVISORY))
    return lines


def _line(found: Comparison, old: Entry, new: Entry) -> Line:
    name, word = SHORT.get(found.gate, name_of(found.gate)), SHOWN[found.degree]
    if found.gate == FAILED:
        shares = (f"{int(failed(one).sum())} of {len(one.seeds)}" for one in (old, new))
        return Line(FAILED, name, *_two(shares), word=word, degree=found.degree)
    sides = pair(old, new)
    levels = _two(_level(found.gate, one) for one in (sides.accepted, sides.new))
    effect = between = ""
    if found.test is not None and found.unit is not None:
        effect, between = map(_short, (amount(found, found.test.estimate), interval(found)))
    return Line(found.gate, name, *levels, effect, between, word, found.degree)


def _short(text: str) -> str:
    """Return a text whose small numbers are cut to two decimals: `-0.0041 %` is `-0.00 %`."""

    def cut(found: re.Match[str]) -> str:
        long = len(found[0].partition(".")[2]) > PLACES
        return f"{float(found[0]):+.{PLACES}f}" if long else found[0]

    return _NUMBER.sub(cut, text)


def _level(gate: str, entry: Entry) -> str:
    median = level(gate, entry)
    if gate == STEPS_TO_TARGET:
        return "never" if math.isinf(median) else whole(median)
    return number(median)


def _counts(old: Entry, new: Entry) -> Iterable[Line]:
    for name in {**old.parameters, **new.parameters}:
        before, after = old.parameters.get(name), new.parameters.get(name)
        label = name if name == PARAMETERS else f"{name.replace('_', ' ')} {PARAMETERS}"
        counts = _two("none" if count is None else f"{count:,}" for count in (before, after))
        moved = "" if before is None or after is None or before == after else f"{after - before:+,}"
        degree: Degree = "identical" if before == after else "regressed"
        yield Line(PARAMETERS, label, *counts, moved, word=SHOWN[degree], degree=degree)


def _two(texts: Iterable[str]) -> tuple[str, str]:
    a, b = texts
    return a, b


def _by_case(row: Row) -> tuple[object, ...]:
    return (row.case,)


def _by_effect(row: Row) -> tuple[object, ...]:
    return (-math.inf if row.effect is None else row.effect) * -1, row.case


def _by_verdict(row: Row) -> tuple[object, ...]:
    degree = row.verdict.degree
    loud = WORST_FIRST.index(degree) if degree in WORST_FIRST else len(WORST_FIRST)
    return (not row.failed, loud, -SEVERITY.index(degree), *_by_effect(row))


_ORDERS = {"case": _by_case, "effect": _by_effect, "verdict": _by_verdict}
