"""Comparisons as text: a table for a terminal, Markdown for GitHub, JSON and CSV for programs."""

from __future__ import annotations

import csv
import io
import json
import textwrap
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

from dlbench.cli.compare_view import level, remarks, step_ratio
from dlbench.cli.words import in_markdown, shown
from dlbench.gate.telling import headline
from dlbench.gate.wording import cell
from dlbench.plain import to_plain
from dlbench.report.formatting import counted, shortened

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from dlbench.cli.compare_view import Line, View
    from dlbench.gate.sides import Compared, Row, Side
    from dlbench.gate.suite import Suite

LEAST_NAME = 14
"""Columns that a gate's name keeps where the terminal is narrow."""

INDENT = "  "
"""Before what belongs to a case."""

VERDICT = 22
"""Columns of a case's verdict."""

STYLES = {"worse": "red", "incomparable": "red", "missing": "red", "better": "green"}

HEAD = ("", "A", "B", "change", "interval", "")

CELLS = 7
"""Of a row in Markdown."""


# ---- for people


def as_table(found: Sequence[Compared], view: View) -> str:
    """Return comparisons for the terminal, as wide as it is; 80 columns and plain where there is none."""
    console = Console()
    with console.capture() as drawn:  # rich ends the process where a pipe is closed
        for place, (one, rows) in enumerate(zip(found, view.rows, strict=True)):
            for line in [*[Text()] * bool(place), *_section(one, rows, view, console.width)]:
                console.print(line, soft_wrap=True)
    return "".join(f"{line.rstrip()}\n" for line in drawn.get().splitlines())


def as_markdown(found: Sequence[Compared], view: View) -> str:
    """Return comparisons as tables in GitHub's Markdown; every name in them is plain text there."""
    parts = []
    for one, rows in zip(found, view.rows, strict=True):
        mark = "❌" if one.failed else "✅"
        parts.append(f"### {mark} {in_markdown(one.b.label)} against {in_markdown(one.a.label)}")
        parts.append("\n".join(f"- {in_markdown(line)}" for line in _opening(one)))
        if rows:
            parts.append("\n".join(_piped(rows, view)))
        parts.append("\n".join(f"{in_markdown(line)}  " for line in _closing(one, rows)))
    return "\n\n".join(parts) + "\n"


def _section(one: Compared, rows: Sequence[Row], view: View, width: int) -> Iterable[Text]:
    for text in _opening(one):
        yield from _wrapped(text, width)
    yield Text()
    table = {row.case: view.lines(row) for row in rows}
    widths = _widths([line for lines in table.values() for line in lines], width)
    if any(table.values()):
        yield Text(_aligned(HEAD, widths), style="dim")
    for row in rows:
        style = STYLES.get(row.verdict.shown, "") or ("yellow" if row.failed else "")
        yield from _wrapped(
            f"{cell(row.verdict):<{VERDICT}} {view.name(row)}", width, style, "bold"
        )
        for line in table.get(row.case, ()):
            yield Text(_aligned(_cells(line), widths), style=STYLES.get(line.word, ""))
        for remark in remarks(row):
            yield from _wrapped(f"{INDENT}{remark}", width, "dim")
    if rows:
        yield Text()
    for text in _closing(one, rows):
        yield from _wrapped(text, width, "red" if text.startswith("worse") else "")


def _opening(one: Compared) -> list[str]:
    """Return what is compared, and what differs for all cases."""
    lines = [f"{letter}  {_described(side)}" for letter, side in (("A", one.a), ("B", one.b))]
    if one.environment:
        lines.append(f"environment: {'; '.join(one.environment)}")
    return lines


def _closing(one: Compared, rows: Sequence[Row]) -> list[str]:
    lines = headline((row.verdict for row in one.rows), one.suite, against="A")
    if hidden := len(one.rows) - len(rows):
        lines.append(f"not shown: {counted(hidden, 'case')} that the gate would pass")
    if one.elsewhere:
        lines.append(
            f"not compared: {counted(one.elsewhere, 'case')} of modules that B did not run"
        )
    return lines


def _described(side: Side) -> str:
    parts = [side.label, counted(len(side.cases), "case")]
    if side.session is not None:
        session = side.session
        commit = session["commit"].get("id")
        dirty = "+" if session["commit"].get("dirty") is True else ""
        parts.append(session["started"][:16].replace("T", " "))
        parts += [f"{commit[:10]}{dirty}"] if isinstance(commit, str) else []
        parts += ["quick"] if session["quick"] else []
        parts += [] if session["complete"] else ["partial"]
    return shown("  ".join(parts))


def _wrapped(text: str, width: int, style: str = "", rest: str = "") -> Iterable[Text]:
    """Yield a text's lines, harmless; what stands in a verdict's column may have another style."""
    text = shown(text)
    indent = " " * (len(text) - len(text.lstrip()))
    for place, line in enumerate(
        textwrap.wrap(text, width, subsequent_indent=f"{indent}    ", break_on_hyphens=False)
    ):
        told = Text(line, style=style)
        if rest and not place:
            told.stylize(rest, 0, VERDICT)
        yield told


def _widths(lines: Sequence[Line], width: int) -> list[int]:
    """Return the columns' widths; names of gates give way where the terminal is narrow."""
    rows = [HEAD, *map(_cells, lines)]
    widths = [max(cell_len(shown(row[place])) for row in rows) for place in range(len(HEAD))]
    widths[0] += len(INDENT)
    rest = sum(widths[1:]) + len(widths) - 1
    widths[0] = min(widths[0], max(LEAST_NAME, width - rest))
    return widths


def _cells(line: Line) -> tuple[str, ...]:
    return line.name, line.a, line.b, line.effect, line.interval, line.word


def _aligned(cells: Sequence[str], widths: Sequence[int]) -> str:
    name, *numbers, word = cells
    first = f"{INDENT}{shortened(shown(name), widths[0] - len(INDENT))}"
    padded = [first + " " * (widths[0] - cell_len(first))]
    for text, width in zip(numbers, widths[1:], strict=False):
        padded.append(" " * (width - cell_len(text)) + text)
    return " ".join([*padded, shown(word)]).rstrip()


def _piped(rows: Sequence[Row], view: View) -> Iterable[str]:
    yield "| case | gate | A | B | change | interval | verdict |"
    yield "|---|---|--:|--:|--:|--:|---|"
    for row in rows:
        told = "; ".join(remarks(row))
        yield _pipe(f"**{in_markdown(view.name(row))}**", in_markdown(told), "", "", "", "",
                    f"**{in_markdown(cell(row.verdict))}**")  # fmt: skip
        for line in view.lines(row):
            yield _pipe("", *map(in_markdown, _cells(line)))


def _pipe(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


# ---- for programs


def as_json(found: Sequence[Compared], view: View) -> str:
    """Return comparisons as strict JSON in ASCII; effects as the gate has them, positive is worse."""
    whole = {
        "a": _side(found[0].a),
        "comparisons": [
            {
                "b": _side(one.b),
                "failed": one.failed,
                "environment": one.environment,
                "suite": _suite(one.suite),
                "cases": [_case(row, view) for row in rows],
            }
            for one, rows in zip(found, view.rows, strict=True)
        ],
    }
    return json.dumps(to_plain(whole), allow_nan=False, indent=1) + "\n"


COLUMNS = (
    *("a", "b", "case", "case_verdict", "case_degree", "case_fails", "gate", "degree", "median_a"),
    *("median_b", "unit", "effect", "low", "high", "margin", "p", "pairs", "of", "sees", "note"),
)
"""Of the CSV: a row a gate of a case; `effect`, `low` and `high` are positive where worse."""


def as_csv(found: Sequence[Compared], view: View) -> str:
    """Return comparisons as one CSV table, a row a gate; a case without any has one row, too."""
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, restval="", lineterminator="\n")
    writer.writeheader()
    for one, rows in zip(found, view.rows, strict=True):
        for row in rows:
            plain = _case(row, view)
            shared = {"a": one.a.path, "b": one.b.path, "case": row.case}
            shared |= {f"case_{name}": plain[name] for name in ("verdict", "degree", "fails")}
            for gate in plain["gates"] or [{"note": "; ".join(plain["remarks"])}]:
                flat = shared | {name: gate[name] for name in COLUMNS if name in gate}
                for name, value in flat.items():  # a table may land on a terminal
                    flat[name] = shown(value) if isinstance(value, str) else value
                writer.writerow(flat)
    return text.getvalue()


def _case(row: Row, view: View) -> dict[str, Any]:
    before, after = row.step_seconds
    return {
        "case": row.case,
        "verdict": row.verdict.shown,
        "degree": row.verdict.degree,
        "fails": row.failed,
        "seeds": row.verdict.seeds,
        "gates": [_gate(gate, row) for gate in _gates(row, view)],
        "parameters": [entry.parameters if entry else None for entry in (row.old, row.new)],
        "step_seconds": {"a": before, "b": after, "ratio": step_ratio(row)},
        "differs": row.verdict.differs,
        "remarks": remarks(row),
    }


def _gates(row: Row, view: View) -> list[str]:
    there = dict.fromkeys(found.gate for found in row.verdict.comparisons)
    return [gate for gate in there if view.gates is None or gate in view.gates]


def _gate(gate: str, row: Row) -> dict[str, Any]:
    """Return a gate's numbers, None where they are not finite; of several counts the worst."""
    every = [found for found in row.verdict.comparisons if found.gate == gate]
    found = next((one for one in every if one.degree != "identical"), every[0])
    plain = {name: value for name, value in asdict(found).items() if name != "test"}
    levels = [level(gate, entry) if entry else None for entry in (row.old, row.new)]
    test = found.test
    told = {"median_a": levels[0], "median_b": levels[1]}
    if test is not None:
        told |= {"effect": test.estimate, "low": test.low, "high": test.high, "p": test.p}
    numbers: dict[str, Any] = to_plain(plain | told)  # type: ignore[assignment]
    return numbers


def _side(side: Side) -> dict[str, Any]:
    return {
        "label": side.label,
        "path": side.path,
        "cases": len(side.cases),
        "session": side.session and {
            name: value for name, value in side.session.items() if name != "command"
        },
    }  # fmt: skip


def _suite(suite: Suite) -> dict[str, Any]:
    return asdict(suite) | {"worse": suite.worse, "lost_pairing": suite.lost_pairing}
