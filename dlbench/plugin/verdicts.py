"""What people read of the gate at the end of a pytest run: lines for a terminal, Markdown for CI."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from dlbench.gate.verdict import Verdict
    from dlbench.history.record import Record
    from dlbench.plugin.gating import Gate

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
    if gate.suite is None and gate.acceptance is None:
        return lines
    from dlbench.gate.telling import accepted_lines, headline, loud, wrapped

    if gate.suite is not None:
        judged = verdicts(gate, records)
        lines += wrapped(headline((verdict for _, verdict in judged), gate.suite), width)
        listed = loud(judged)
        for case, verdict in listed[:MOST_LISTED]:
            lines += _case_lines(case, verdict, width)
        if len(listed) > MOST_LISTED:
            lines.append(f"  and {len(listed) - MOST_LISTED} more, in the report")
    if gate.acceptance is not None:
        told = accepted_lines(gate.acceptance, gate.settings.false_alarm, gate.root)
        lines += wrapped(told, width)
    return lines


def verdicts(gate: Gate, records: Iterable[Record]) -> list[tuple[str, Verdict]]:
    """Return every case and its verdict, those that are missing last."""
    from dlbench.gate.recorded import verdict_in
    from dlbench.gate.wording import clean

    found = [(_case(record), verdict_in(record)) for record in records]
    judged = [(clean(case), verdict) for case, verdict in found if verdict is not None]
    return judged + [(clean(verdict.key), verdict) for verdict in gate.missing]


def markdown(gate: Gate, records: Sequence[Record]) -> str:
    """Return the verdicts for a comment on a pull request; empty where nothing was compared."""
    from dlbench.gate.telling import QUIET, headline, loud
    from dlbench.gate.wording import cell, sentence
    from dlbench.gate.wording import markdown as escaped

    if gate.suite is None:
        return ""
    judged = verdicts(gate, records)
    first, *rest = headline((verdict for _, verdict in judged), gate.suite)
    attention = loud(judged)
    red = gate.suite.worse or any(gate.fails(verdict) for _, verdict in judged)
    red = red or any(record["outcome"] in {"failed", "error"} for record in records)
    icon = "❌" if red else "✅"
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


def _case(record: Record) -> str:
    return record["case"] + (f" name={record['name']}" if record["name"] is not None else "")
