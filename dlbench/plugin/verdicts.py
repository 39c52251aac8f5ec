"""What people read of the gate at the end of a pytest run: lines for a terminal, Markdown for CI."""

from __future__ import annotations

import textwrap
from collections import Counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from dlbench.gate.accepting import Acceptance
    from dlbench.gate.suite import Suite
    from dlbench.gate.verdict import Verdict
    from dlbench.history.record import Record
    from dlbench.plugin.gating import Gate

QUIET = frozenset({"identical", "rounding", "equivalent", "compatible"})
"""Degrees that are counted, and not listed case by case."""

MOST_LISTED = 40
"""Cases that a terminal lists; the report and Markdown have them all."""


def gate_lines(gate: Gate, records: Sequence[Record], width: int) -> list[str]:
    """Return the verdicts, or what an accept changed; nothing where neither was asked for.

    Args:
        gate: of the run.
        records: of the run; their verdicts ride on them.
        width: columns.
    """
    lines: list[str] = []
    if gate.suite is not None:
        lines += _wrapped(headline(verdicts(gate, records), gate.suite), width)
        listed = loud(verdicts(gate, records))
        for case, verdict in listed[:MOST_LISTED]:
            lines += _case_lines(case, verdict, width)
        if len(listed) > MOST_LISTED:
            lines.append(f"  and {len(listed) - MOST_LISTED} more, in the report")
    if gate.acceptance is not None:
        lines += _accepted(gate.acceptance, gate, width)
    return lines


def verdicts(gate: Gate, records: Iterable[Record]) -> list[tuple[str, Verdict]]:
    """Return every case and its verdict, those that are missing last."""
    from dlbench.gate.recorded import verdict_in
    from dlbench.gate.wording import clean

    found = [(_case(record), verdict_in(record)) for record in records]
    judged = [(clean(case), verdict) for case, verdict in found if verdict is not None]
    return judged + [(clean(verdict.key), verdict) for verdict in gate.missing]


def loud(judged: Sequence[tuple[str, Verdict]]) -> list[tuple[str, Verdict]]:
    """Return the cases that a person should look at, the worst first."""
    from dlbench.gate.verdict import SEVERITY

    listed = [(case, verdict) for case, verdict in judged if verdict.degree not in QUIET]
    return sorted(listed, key=lambda each: -SEVERITY.index(each[1].degree))


def headline(judged: Sequence[tuple[str, Verdict]], suite: Suite) -> list[str]:
    """Return how the suite stands against its baseline, in sentences."""
    from dlbench.gate.verdict import SHOWN
    from dlbench.gate.wording import suite_lines

    degrees = Counter(verdict.degree for _, verdict in judged)
    same = [f"{count} {degree}" for degree, count in degrees.most_common() if degree in QUIET]
    counts = Counter(SHOWN[degree] for degree in degrees.elements())
    words = [
        f"{count} {word}" + (f" ({', '.join(same)})" if word == "same" else "")
        for word, count in counts.most_common()
    ]
    plain = {", ".join(f"{count} {word}" for word, count in suite.counts.items())}
    rest = [line for line in suite_lines(suite) if line not in plain]
    return [f"against the baseline: {', '.join(words) or 'no case'}", *rest]


def markdown(gate: Gate, records: Sequence[Record]) -> str:
    """Return the verdicts for a comment on a pull request; empty where nothing was compared."""
    from dlbench.gate.wording import cell, sentence
    from dlbench.gate.wording import markdown as escaped

    if gate.suite is None:
        return ""
    judged = verdicts(gate, records)
    first, *rest = headline(judged, gate.suite)
    attention = loud(judged)
    icon = (
        "❌"
        if any(v.degree in {"regressed", "incomparable", "missing"} for _, v in attention)
        else "✅"
    )
    lines = [
        f"### {icon} Training {escaped(first)}",
        "",
        *(f"{escaped(line)}  " for line in rest),
        "",
    ]
    if attention:
        lines += ["| case | verdict | why |", "|---|---|---|"]
        lines += [
            f"| {escaped(case)} | {escaped(cell(verdict))} | {escaped(sentence(verdict).splitlines()[0])} |"
            for case, verdict in attention
        ]
        lines.append("")
    quiet = [(case, verdict) for case, verdict in judged if verdict.degree in QUIET]
    if quiet:
        lines += [
            f"<details><summary>{len(quiet)} the same</summary>",
            "",
            "| case | verdict |",
            "|---|---|",
        ]
        lines += [f"| {escaped(case)} | {escaped(cell(verdict))} |" for case, verdict in quiet]
        lines += ["", "</details>", ""]
    return "\n".join(lines)


def _case_lines(case: str, verdict: Verdict, width: int) -> list[str]:
    from dlbench.gate.wording import cell, details

    lines = [f"  {cell(verdict):<22} {case}"]
    for line in details(verdict):
        lines += textwrap.wrap(line, width, initial_indent=" " * 6, subsequent_indent=" " * 6)
    return lines


def _accepted(acceptance: Acceptance, gate: Gate, width: int) -> list[str]:
    counts = Counter(change.what for change in acceptance.changes)
    told = ", ".join(f"{count} {what}" for what, count in counts.most_common())
    rate = f"{gate.settings.false_alarm:g}, {acceptance.alpha:.1e} each"
    lines = [
        f"accepted: {told or 'nothing'}; {acceptance.tests} tests share an error rate of {rate}"
    ]
    lines += [f"  {change}" for change in acceptance.changes if change.what != "same"]
    lines += [
        f"  {change.case}: the loop does not repeat: one seed gave other curves the second time, so "
        "its seeds do not pair, and small changes stay unseen"
        for change in acceptance.changes
        if change.new is not None and change.new.repeats is False
    ]
    lines += [f"  refused {case}: {why}" for case, why in acceptance.refused.items()]
    lines += [f"  {case}: {'; '.join(gates)}" for case, gates in acceptance.blind.items()]
    lines += [f"wrote {path.relative_to(gate.root)}" for path in acceptance.written]
    return _wrapped(lines, width)


def _wrapped(lines: Iterable[str], width: int) -> list[str]:
    from dlbench.gate.wording import clean

    wrapped: list[str] = []
    for line in lines:
        indent = " " * (len(line) - len(line.lstrip()))
        wrapped += textwrap.wrap(
            clean(line), width, initial_indent=indent, subsequent_indent=f"{indent}  "
        )
    return wrapped


def _case(record: Record) -> str:
    return record["case"] + (f" name={record['name']}" if record["name"] is not None else "")
