"""The summary as Markdown: for a comment on a pull request, and the tables of a notebook.

A reviewer reads how it stands, what needs attention and a sentence an analysis; the tables are
folded. Theory and discussion are the page's.
"""

from __future__ import annotations

import html
import re
from typing import TYPE_CHECKING

from dlbench.gate.wording import clean
from dlbench.gate.wording import markdown as escaped
from dlbench.report.formatting import counted

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from dlbench.report.comparison import AgainstText
    from dlbench.report.summary import AnalysisText, Need, StudyText, Summary
    from dlbench.report.tables import Cell, Row, Table

MOST_CHARACTERS = 65_536
"""Of a comment on GitHub."""

LONGEST_TEXT = 600
"""Characters of a message, or of a cell."""


def as_markdown(summary: Summary, *, most: int = MOST_CHARACTERS) -> str:
    """Return a summary as Markdown, and in it what had no room.

    Every text of the summary is shown as it is: none of it is markup, a link, a mention or HTML.

    Args:
        summary: of a run.
        most: characters. What needs attention has half of them at most; analyses that do not fit
            lose their tables, the last ones first.
    """
    made = _made(summary, most // 16)
    parts = _head(summary)
    parts += _attention(summary["attention"], most // 2)
    parts += _against(summary["against"], most // 8) if summary["against"] else []
    parts += _headlines(summary["analyses"], most // 8)
    room = most - sum(len(part) + 2 for part in [*parts, made]) - most // 64
    left_out = 0
    for analysis in summary["analyses"]:
        part = _folded(analysis)
        if len(part) + 2 > room:
            left_out += 1
        elif part:
            parts.append(part)
            room -= len(part) + 2
    if left_out:
        what = counted(left_out, "analysis")
        parts.append(f"No room was left for the tables of {what}; the page has them.")
    return "\n\n".join([*parts, made]) + "\n"


def table_lines(table: Table) -> list[str]:
    """Return a study's table in Markdown, a line a case."""
    alignments = ["--:" if column["numeric"] else "---" for column in table["columns"]]
    return [
        _line(shown(column["title"]) for column in table["columns"]),
        f"|{'|'.join(alignments)}|",
        *(_line(_cells(row)) for row in table["rows"]),
    ]


def study_parts(study: StudyText, *, level: int) -> list[str]:
    """Return a study's heading, question and findings, each text on its own."""
    findings = "\n".join(f"- {shown(finding)}" for finding in study["findings"])
    heading = f"{'#' * level} {shown(study['title'])}"
    return [part for part in (heading, shown(study["question"]), findings) if part]


def shown(text: str) -> str:
    """Return a text that Markdown shows as it is, its end left out where it is very long."""
    return escaped(_bounded(text))


def code(text: str) -> str:
    """Return a text as code in a line; not for a table, where a `|` would end the cell."""
    text = _bounded(text)
    fence = "`" * (1 + max((len(run) for run in re.findall("`+", text)), default=0))
    pad = " " if text[:1] == "`" or text[-1:] == "`" else ""
    return f"{fence}{pad}{text}{pad}{fence}" if text else ""


def _bounded(text: str) -> str:
    text = clean(text)
    return text if len(text) <= LONGEST_TEXT else f"{text[: LONGEST_TEXT - 1]}…"


# ---- parts


def _head(summary: Summary) -> list[str]:
    against = summary["against"]
    icon = "❌" if not summary["held"] or (against and against["worse"]) else "✅"
    parts = [f"## {icon} {shown(summary['title'])}", f"**{shown(summary['standing'])}**"]
    return parts + [
        ("⚠️ " if remark["loud"] else "") + shown(remark["text"]) for remark in summary["remarks"]
    ]


def _attention(needs: Sequence[Need], room: int) -> list[str]:
    if not needs:
        return []
    rows = [[need["case"], need["outcome"], need["message"]] for need in needs]
    table, missing = _bounded_table(["case", "what became of it", "why"], rows, room)
    more = [f"And {counted(missing, 'more case')}: the page has them."] if missing else []
    return ["### What needs attention", table, *more]


def _against(text: AgainstText, room: int) -> list[str]:
    """Return what moved, and what differs, folded."""
    name = html.escape(_bounded(text["name"]))
    parts = [f"<details><summary>Against {name}: what moved, and what differs</summary>"]
    if text["rows"]:
        rows = [
            [row["case"], row["verdict"], *(_with_note(cell) for cell in row["cells"])]
            for row in text["rows"]
        ]
        titles = ["case", "verdict", *map(shown, text["gates"])]
        table, missing = _bounded_table(titles, rows, room // 2)
        parts.append(table)
        parts += [f"And {counted(missing, 'more case')}: the page has them."] if missing else []
    parts += [shown(text["rest"])] if text["rest"] else []
    differs = [
        *(("environment", one) for one in text["environment"]),
        *(("experiment", one) for one in text["experiment"]),
        *(("new", one) for one in text["new"]),
        *(("missing", one) for one in text["missing"]),
    ]
    if differs:
        table, missing = _bounded_table(["what differs", ""], differs, room // 2)
        parts.append(table)
        parts += [f"And {counted(missing, 'more line')}: the page has them."] if missing else []
    return ["\n\n".join([*parts, "</details>"])]


def _headlines(analyses: Sequence[AnalysisText], room: int) -> list[str]:
    if not analyses:
        return []
    rows = [[one["title"], one["headline"]] for one in analyses]
    table, missing = _bounded_table(["analysis", "what came out"], rows, room)
    more = [f"And {counted(missing, 'more analysis')}: the page has them."] if missing else []
    return ["### Analyses", table, *more]


def _bounded_table(
    titles: Sequence[str], rows: Sequence[Sequence[str]], room: int
) -> tuple[str, int]:
    """Return a table of as many rows as there is room for, and how many there was none for."""
    lines = [_line(titles), f"|{'---|' * len(titles)}"]
    for place, row in enumerate(rows):
        line = _line(map(shown, row))
        room -= len(line) + 1
        if room < 0:
            return "\n".join(lines), len(rows) - place
        lines.append(line)
    return "\n".join(lines), 0


def _folded(analysis: AnalysisText) -> str:
    """Return an analysis' studies with their tables, folded; empty where it has none."""
    if not analysis["studies"]:
        return ""
    title = html.escape(_bounded(analysis["title"]))  # within a tag Markdown's escapes mean nothing
    parts = [f"<details><summary>{title}: the numbers</summary>"]
    for study in analysis["studies"]:
        parts += [*study_parts(study, level=4), "\n".join(table_lines(study["table"]))]
    return "\n\n".join([*parts, "</details>"])


def _made(summary: Summary, room: int) -> str:
    facts, _ = _bounded_table(["", ""], list(summary["facts"].items()), room)
    parts = ["<details><summary>How it was made</summary>", code(summary["command"])]
    parts += [facts] if summary["facts"] else []
    return "\n\n".join([*parts, "</details>"])


def _cells(row: Row) -> Iterable[str]:
    return (shown(_with_note(cell)) for cell in row["cells"])


def _with_note(cell: Cell) -> str:
    note = cell.get("note")
    return f"{cell['text']} ({note})" if note else cell["text"]


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"
