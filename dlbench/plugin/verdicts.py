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

MARKED = ("xfailed", "xpassed")
"""The outcomes of tests that are marked to fail: what they record is no promise."""


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
        lines += wrapped(_not_judged(records), width)
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
    return judged + [(clean(case), verdict) for case, verdict in gate.missing]


def markdown(gate: Gate, records: Sequence[Record], problems: Sequence[str] = ()) -> str:
    """Return the verdicts, or what an accept changed, for a comment on a pull request.

    Args:
        gate: of the run.
        records: of the run; their verdicts ride on them.
        problems: what fails the run beside its tests, in sentences.

    Returns:
        Markdown; empty where nothing was compared or accepted.
    """
    from dlbench.gate.telling import accepted_lines, headline
    from dlbench.gate.wording import markdown as escaped

    judged = verdicts(gate, records)
    lines: list[str] = []
    if gate.acceptance is not None:
        lines += accepted_lines(gate.acceptance, gate.settings.false_alarm, gate.root)
    elif gate.settings.accept:
        lines.append(": nothing was accepted")
    if gate.suite is not None:
        lines += headline((verdict for _, verdict in judged), gate.suite)
        lines += _not_judged(records)
    if not lines:
        return ""
    lines += [problem for problem in problems if problem not in lines]
    red = bool(problems) or any(gate.fails(verdict) for _, verdict in judged)
    red = red or any(record["outcome"] in {"failed", "error"} for record in records)
    first, *rest = map(escaped, lines)
    title = f"### {'❌' if red else '✅'} Training{'' if first.startswith(':') else ' '}{first}"
    return "\n".join([title, "", *(f"{line}  " for line in rest), "", *_tables(judged)])


def _tables(judged: Sequence[tuple[str, Verdict]]) -> list[str]:
    """Return the cases as Markdown: first those that a person should look at, the others folded."""
    from dlbench.gate.telling import QUIET, loud
    from dlbench.gate.wording import cell, sentence
    from dlbench.gate.wording import markdown as escaped

    lines: list[str] = []
    if attention := loud(judged):
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
    return lines


def _not_judged(records: Iterable[Record]) -> list[str]:
    """Return a line that names the cases whose tests are marked to fail, if there are any."""
    marked = [
        f"{_case(record)} ({record['outcome']})"
        for record in records
        if record["outcome"] in MARKED
    ]
    return [f"not judged, marked xfail: {', '.join(marked)}"] if marked else []


def _case_lines(case: str, verdict: Verdict, width: int) -> list[str]:
    from dlbench.gate.wording import cell, details

    lines = [f"  {cell(verdict):<22} {case}"]
    for line in details(verdict):
        lines += textwrap.wrap(line, width, initial_indent=" " * 6, subsequent_indent=" " * 6)
    return lines


def _case(record: Record) -> str:
    return record["case"] + (f" name={record['name']}" if record["name"] is not None else "")
