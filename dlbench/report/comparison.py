"""A run held against its baseline or another run: what was judged, and what the page says of it."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypedDict

import pandas as pd

from dlbench.gate.comparisons import margin_in
from dlbench.gate.entry import STEPS_TO_TARGET, TRAINING_LOSS
from dlbench.gate.recorded import by_the_gate, case_id
from dlbench.gate.rules import VAL_LOSS
from dlbench.gate.sides import differing
from dlbench.gate.suite import judge_suite
from dlbench.gate.verdict import SEVERITY, SHOWN, Verdict
from dlbench.gate.wording import amount, cell, clean, interval, moved, suite_lines
from dlbench.report.formatting import UNKNOWN, counted, gate_title, listed, sentence
from dlbench.report.frames import runs_of, verdict_of
from dlbench.report.tables import Cell, anchor

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from dlbench.gate.comparisons import Comparison
    from dlbench.gate.sides import Compared, Side
    from dlbench.gate.suite import Suite
    from dlbench.history.record import Record
    from dlbench.history.run import Run
    from dlbench.runs import Runs

BASELINE = "the baseline"
THEN = "when it ran, against its baseline: "
"""What stands before the gate's own words, where a run is held against another."""

FALSE_ALARM = 0.01
"""The suite's error rate where a record of older days does not tell it."""

MOST_ROWS = 24
"""Cases whose effects are drawn and listed: a figure that fits a screen."""

MOST_OVERLAYS = 4
"""Cases whose curves are laid over each other."""

MOST_NAMED = 200
"""New or missing cases that are named, and differences."""

LEAST = 0.01
"""Percent, or points: of an effect and an interval below no digits are told."""

EXACT = frozenset({"identical", "new", "missing"})
"""Degrees of cases without an effect to look at."""

NOTABLE = ("regressed", "incomparable", "improved", "undecided")
"""The degrees that come first; the others by the size of their effect."""

_BECAME = {
    "worse": ("is worse", "are worse"), "better": ("is better", "are better"),
    "same": ("is the same", "are the same"), "cannot tell": ("cannot be decided", "cannot be decided"),
    "incomparable": ("is incomparable", "are incomparable"), "new": ("is new", "are new"),
    "missing": ("is missing", "are missing"),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Judged:
    """One case's verdict."""

    case: str
    """The test's id from the root folder on, with the call's name."""
    verdict: Verdict
    anchor: str = ""
    """Of its row on the page; empty for a case that did not run."""
    records: tuple[Record | None, Record | None] = (None, None)
    """There and here, where both are at hand."""

    @property
    def effects(self) -> tuple[Comparison, ...]:
        """The gates that measured an effect."""
        return tuple(
            one
            for one in self.verdict.comparisons
            if one.test and one.unit and one.margin and not math.isnan(one.test.estimate)
        )

    @property
    def size(self) -> float:
        """The largest effect, in margins."""
        sizes = [abs(one.test.estimate) / margin_in(one) for one in self.effects if one.test]
        return max(sizes, default=0.0)

    @property
    def curves(self) -> tuple[Runs, Runs] | None:
        """The runs there and here; None where either keeps none that can be read."""
        there, here = (record and runs_of(record) for record in self.records)
        return (there, here) if there and here else None


@dataclass(frozen=True, slots=True)
class Against:
    """What came of a run against what it is held against."""

    name: str
    """Of what it is held against, in a sentence."""
    cases: tuple[Judged, ...]
    suite: Suite
    made: str = ""
    """When, and from which commit, what it is held against was made."""
    elsewhere: int = 0
    """Accepted cases of modules that were not run."""
    keeps_curves: bool = False

    @property
    def notable(self) -> list[Judged]:
        """The cases with anything to look at: what moved first."""
        return sorted((one for one in self.cases if one.verdict.degree not in EXACT), key=_order)

    @property
    def overlaid(self) -> list[Judged]:
        """The cases whose curves are laid over each other: what moved first, a few."""
        found = [one for one in self.notable if one.verdict.degree != "rounding" and one.curves]
        return found[:MOST_OVERLAYS]


class EffectRow(TypedDict):
    """One case's effects in words."""

    anchor: str
    case: str
    verdict: str
    severity: int
    note: str
    cells: list[Cell]
    """A gate each; they sort by how much worse."""


class AgainstText(TypedDict):
    """The section on what a run is held against."""

    name: str
    worse: bool
    """Whether a case, or the suite as a whole, became worse."""
    standing: list[str]
    environment: list[str]
    experiment: list[str]
    new: list[str]
    missing: list[str]
    gates: list[str]
    rows: list[EffectRow]
    rest: str
    """Who has no row."""
    curves: str
    """Why no curves are laid over each other; empty where some are."""


# ---- who is judged


def held(run: Run, found: Compared | None) -> tuple[Run, Against | None]:
    """Return a run with the verdicts that are shown of it, and what they were taken against.

    Args:
        run: as it was read.
        found: its comparison with another run or the baseline; without one, what it recorded holds.
    """
    return judged(run, found) if found else (run, recorded(run))


def recorded(run: Run) -> Against | None:
    """Return what the gate said of a run while it ran; None where it was not compared."""
    judged = [
        Judged(case_id(record), verdict, place)
        for record, place in zip(run.records, _anchors(run.records), strict=True)
        if (verdict := verdict_of(record))
    ]
    gate = run.session.get("gate") if run.session else None
    missing = [str(case) for case in gate["missing"]] if gate else []
    if not judged and not missing:
        return None
    judged += [Judged(case, Verdict(case, "missing")) for case in missing]
    alpha = gate["false_alarm"] if gate and 0 < gate["false_alarm"] < 0.5 else FALSE_ALARM  # noqa: PLR2004
    suite = judge_suite((one.verdict for one in judged), alpha=alpha)
    return Against(BASELINE, tuple(judged), suite)


def judged(run: Run, found: Compared) -> tuple[Run, Against]:
    """Return a run with the verdicts of a comparison in place of those that were recorded.

    Args:
        run: the one that was compared.
        found: what came of it, `run` as its second side.
    """
    rows = {row.case: row for row in found.rows}
    records, places = [], dict[str, str]()
    for record, place in zip(run.records, _anchors(run.records), strict=True):
        case = case_id(record)
        own = found.b.records.get(case) is record and case in rows
        gate = {**(record.get("gate") or {})}
        gate.pop("verdict", None)
        if own:
            gate["verdict"] = rows[case].verdict.to_builtins()
            places[case] = place
        by_gate = verdict_of(record) is not None and by_the_gate(record)
        message = f"{THEN}{record['message']}" if by_gate else record["message"]
        records.append(record | {"gate": gate, "message": message})
    cases = tuple(
        Judged(case, row.verdict, places.get(case, ""), (row.old_record, row.new_record))
        for case, row in rows.items()
    )
    accepted = not found.a.records
    name = BASELINE if accepted else found.a.label
    against = Against(name, cases, found.suite, _made(found.a), found.elsewhere, not accepted)
    return replace(run, records=records), against


def _made(side: Side) -> str:
    if side.session is None:
        return ""
    commit = side.session["commit"]
    branch = f" on {commit['branch']}" if commit.get("branch") else ""
    dirty = ", with uncommitted changes" if commit.get("dirty") else ""
    of = f" from commit {str(commit['id'])[:12]}{branch}{dirty}" if commit.get("id") else ""
    return f"That run was made at {side.session['started'].replace('T', ' ')}{of}"


def _anchors(records: Sequence[Record]) -> list[str]:
    """Return the anchor of each record's row; records of one case are counted."""
    seen: Counter[tuple[str, str | None]] = Counter()
    found = []
    for record in records:
        key = (record["case"], record["name"])
        seen[key] += 1
        found.append(anchor(key[0], key[1] or "", seen[key]))
    return found


def _order(one: Judged) -> tuple[int, float]:
    degree = one.verdict.degree
    return NOTABLE.index(degree) if degree in NOTABLE else len(NOTABLE), -one.size


# ---- what is drawn


def effects(against: Against) -> pd.DataFrame:
    """Return a row a case and gate that measured an effect, what moved first.

    Columns: case, verdict, degree (the gate's own), gate, unit (% or points), effect, low, high (ends
    of the interval at the level of the decision), margin, pairs, seeds. Effects are in the unit,
    positive where worse.
    """
    rows = [
        {
            "case": one.case,
            "verdict": one.verdict.shown,
            "degree": found.degree,
            "gate": found.gate,
            "unit": "points" if found.unit == "points" else "%",
            **_ends(found),
            "margin": 100 * (found.margin or 0.0),
            "pairs": found.pairs,
            "seeds": found.of,
        }
        for one in [*against.notable, *(c for c in against.cases if c.verdict.degree in EXACT)]
        for found in one.effects
    ]
    names = ("case", "verdict", "degree", "gate", "unit", "effect", "low", "high", "margin")
    return pd.DataFrame(rows, columns=[*names, "pairs", "seeds"])


def gates_in_order(gates: Iterable[str]) -> list[str]:
    """Return gates, each once: the training loss, the validation loss, metrics, steps to the target."""
    first = (TRAINING_LOSS, VAL_LOSS)
    place = {gate: at for at, gate in enumerate(first)} | {STEPS_TO_TARGET: len(first) + 1}
    return sorted(dict.fromkeys(gates), key=lambda gate: place.get(gate, len(first)))


def _ends(found: Comparison) -> dict[str, float]:
    """Return an effect and its interval, in percent or points, positive where worse."""
    test = found.test
    assert test is not None  # noqa: S101 - an effect was measured
    sign = -1.0 if found.higher_is_better else 1.0
    effect, *ends = (sign * moved(found, end) for end in (test.estimate, test.low, test.high))
    return {"effect": effect, "low": min(ends), "high": max(ends)}


# ---- what is said


def described(against: Against) -> AgainstText:
    """Return what the page says of a comparison."""
    compared = [
        one.verdict for one in against.cases if one.verdict.degree not in {"new", "missing"}
    ]
    notable = against.notable
    gates = gates_in_order(found.gate for one in notable[:MOST_ROWS] for found in one.effects)
    return {
        "name": clean(against.name),
        "worse": against.suite.worse or bool(against.suite.counts.get("worse")),
        "standing": [sentence(line) for line in _standing(against)],
        "environment": _bounded(differing(verdict.drift for verdict in compared)),
        "experiment": _bounded(differing(verdict.differs for verdict in compared)),
        "new": _bounded(one.case for one in against.cases if one.verdict.degree == "new"),
        "missing": _bounded(one.case for one in against.cases if one.verdict.degree == "missing"),
        "gates": [gate_title(gate) for gate in gates],
        "rows": [_row(one, gates) for one in notable[:MOST_ROWS]],
        "rest": _rest(against, notable),
        "curves": _no_curves(against),
    }


def standing(against: Against) -> str:
    """Return how the cases stand, counted, in one sentence."""
    degrees = Counter(one.verdict.degree for one in against.cases)
    counts = Counter(SHOWN[degree] for degree in degrees.elements())
    same = [
        f"{degrees[degree]} {degree}"
        for degree in SEVERITY
        if SHOWN[degree] == "same" and degrees[degree]
    ]
    told: list[str] = []
    for word in _BECAME:
        if count := counts[word]:
            noun = f" {'case' if count == 1 else 'cases'}" if not told else ""
            detail = f" ({', '.join(same)})" if word == "same" else ""
            told.append(f"{count}{noun} {_BECAME[word][count > 1]}{detail}")
    return listed(told) if told else "nothing was compared"


def beside(against: Against) -> list[str]:
    """Return what there is to say of the suite as a whole, beside its counts."""
    counts = ", ".join(f"{count} {word}" for word, count in against.suite.counts.items())
    return [line for line in suite_lines(against.suite) if line != clean(counts or "no cases")]


def _standing(against: Against) -> list[str]:
    """Return how it stands: the cases counted, the suite as a whole, what is left out."""
    lines = [standing(against), *beside(against)]
    lines += [clean(against.made)] if against.made else []
    if against.elsewhere:
        what = counted(against.elsewhere, "accepted case")
        lines.append(f"{what} of modules that were not run are left out")
    return lines


def _row(one: Judged, gates: Sequence[str]) -> EffectRow:
    found = {each.gate: each for each in one.effects}
    return {
        "anchor": one.anchor,
        "case": clean(one.case),
        "verdict": cell(one.verdict),
        "severity": SEVERITY.index(one.verdict.degree),
        "note": clean(one.verdict.reason),
        "cells": [_cell(found.get(gate)) for gate in gates],
    }


def _cell(found: Comparison | None) -> Cell:
    """Return an effect as the value itself moved, `+3.1 %`, and below it where it lies."""
    if found is None:
        return {"text": UNKNOWN, "sort": math.inf}
    assert found.test is not None  # noqa: S101 - an effect was measured
    ends = _ends(found)
    if max(map(abs, ends.values())) < LEAST:
        text = f"below {LEAST:g} {'points' if found.unit == 'points' else '%'}"
        return {"text": text, "sort": ends["effect"]}
    note = interval(found) if found.test.low < found.test.high else ""
    return {"text": amount(found, found.test.estimate), "note": note, "sort": ends["effect"]}


def _rest(against: Against, notable: Sequence[Judged]) -> str:
    """Return in a sentence which cases have no row."""
    told: list[str] = []
    if identical := sum(one.verdict.degree == "identical" for one in against.cases):
        told.append(f"{counted(identical, 'case')} that did not change in a single bit")
    if (hidden := len(notable) - MOST_ROWS) > 0:
        told.append(
            f"{counted(hidden, 'further case')}, each with its verdict in its own row below"
        )
    return sentence(f"not shown: {listed(told)}") if told else ""


def _no_curves(against: Against) -> str:
    if against.overlaid:
        return ""
    if not against.keeps_curves:
        return (
            "The baseline keeps a number a seed and no curves, so none can be laid over each other. "
            "Two saved runs have them: dlbench report RUN --against RUN."
        )
    return "No case that moved has curves on both sides, so none are laid over each other."


def _bounded(texts: Iterable[str]) -> list[str]:
    found = [clean(text) for text in texts]
    rest = len(found) - MOST_NAMED
    return found[:MOST_NAMED] + ([f"and {rest} more"] if rest > 0 else [])
