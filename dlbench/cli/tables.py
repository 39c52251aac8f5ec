"""Trends as tables: for a terminal, for GitHub, for programs."""

from __future__ import annotations

import json
import textwrap
from itertools import zip_longest
from typing import TYPE_CHECKING, Any

from rich.cells import cell_len
from rich.console import Console

from dlbench.cli.words import in_markdown, shown
from dlbench.history.frame import VERSIONS
from dlbench.plain import to_plain
from dlbench.report.histories import LEGEND, overview_of, rows_of, title_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dlbench.history.series import Order
    from dlbench.history.trend import Trend

LEFT = frozenset(
    {"run", "time", "commit", "quartiles", "case", "metric", "last change", "", *VERSIONS}
)
LEAST_WIDTH, NARROWEST = 40, 12
"""Columns of a terminal, and of a cell that is broken into lines."""
RED, PLAIN = "\x1b[31m", "\x1b[39m"
FLEXIBLE = frozenset({"", "last change", "case"})
"""Columns that wrap where the terminal is narrow."""

COLUMNS = (
    *("run", "number", "time", "commit", "branch", "dirty", "complete", "quick", "outcome"),
    *("python", "keras", "torch", "device", "seeds", "median", "low", "high", "level", "path"),
)
"""What programs get of a run."""


def as_table(found: Sequence[Trend], by: Order, *, overview: bool) -> str:
    """Return trends for the terminal, as wide as it is; 80 columns and plain where there is none.

    Args:
        found: the trends.
        by: in which order their runs stand.
        overview: a line a trend, where there are several.
    """
    console = Console()
    color = console.is_terminal and console.color_system is not None
    width = max(console.width, LEAST_WIDTH)
    lines: list[str] = []
    if overview and len(found) > 1:
        lines += _aligned(_overview(found), width, color=color)
    else:
        for trend in found:
            lines += textwrap.wrap(shown(title_of(trend)), width)
            lines += [*_aligned(rows_of(trend, by), width, color=color), ""]
    lines += textwrap.wrap(LEGEND, min(width, 100))
    return "".join(f"{line.rstrip()}\n" for line in lines)


def as_markdown(found: Sequence[Trend], by: Order, *, overview: bool) -> str:
    """Return trends as tables in GitHub's Markdown; every name in them is plain text there."""
    parts = []
    if overview and len(found) > 1:
        parts.append(_piped(_overview(found)))
    else:
        for trend in found:
            parts += [f"**{in_markdown(title_of(trend))}**", _piped(rows_of(trend, by))]
    return "\n\n".join([*parts, LEGEND]) + "\n"


def as_json(found: Sequence[Trend]) -> str:
    """Return trends as strict JSON in ASCII: a list of cases, each with its runs and changes."""
    plain = to_plain([_plain(trend) for trend in found])
    return json.dumps(plain, allow_nan=False, indent=1) + "\n"


def as_csv(found: Sequence[Trend]) -> str:
    """Return trends as one CSV table, a row a run; what a change says stands in its row."""
    import pandas as pd

    rows = []
    for trend in found:
        plain = _plain(trend)
        changes = {change["row"]: change for change in plain["changes"]}
        for place, run in enumerate(plain["runs"]):
            change = changes.get(place, {})
            rows.append(
                {name: plain[name] for name in ("case", "name", "metric")}
                | run
                | {"changed": change.get("level", False), "effect": change.get("effect")}
                | {"where": change.get("where"), "why": "; ".join(change.get("why", []))}
            )
    for row in rows:  # a program gets names as they are in JSON; a table may land on a terminal
        row |= {name: shown(value) for name, value in row.items() if isinstance(value, str)}
    return str(pd.DataFrame(rows).to_csv(index=False))


def _plain(trend: Trend) -> dict[str, Any]:
    table = trend.table[list(COLUMNS)].astype(object)
    runs = table.where(table.notna(), None).to_dict("records")
    for run in runs:
        run["time"] = None if run["time"] is None else run["time"].isoformat()
    return {
        "case": trend.case,
        "name": trend.name,
        "metric": trend.metric,
        "higher_is_better": trend.higher,
        "effects": "relative" if trend.relative else "differences",
        "runs": runs,
        "changes": [
            {"row": one.row, "run": str(trend.table["run"].iloc[one.row]), "where": one.where,
             "level": one.level, "effect": one.effect, "why": list(one.why)}
            for one in trend.changes
        ],
    }  # fmt: skip


def _overview(found: Sequence[Trend]) -> list[dict[str, str]]:
    """Return a line a trend; where all are of one metric, the last value's column is named by it."""
    rows = [overview_of(trend) for trend in found]
    metrics = {row["metric"] for row in rows}
    if len(metrics) > 1:
        return rows
    (metric,) = metrics
    return [
        {
            (metric if name == "last" else name): text
            for name, text in row.items()
            if name != "metric"
        }
        for row in rows
    ]


def _aligned(rows: Sequence[dict[str, str]], width: int, *, color: bool) -> list[str]:
    """Return rows in columns, those that can be broken as narrow as the width asks for.

    By hand: rich's table takes a millisecond a row, and a history has a thousand.
    """
    names = list(rows[0])
    cells = [names, *([shown(text) for text in row.values()] for row in rows)]
    sizes = [[cell_len(text) for text in row] for row in cells]
    widths = [max(column) for column in zip(*sizes, strict=True)]
    excess = sum(widths) + len(widths) - 1 - width
    for place in sorted(range(len(names)), key=lambda place: -widths[place]):
        if excess > 0 and names[place] in FLEXIBLE:
            cut = min(excess, max(widths[place] - NARROWEST, 0))
            widths[place] -= cut
            excess -= cut
    lefts = [name in LEFT for name in names]
    lines = []
    for row, lengths in zip(cells, sizes, strict=True):
        broken = [
            [(text, size)] if size <= wide else _wrapped(text, wide)
            for text, size, wide in zip(row, lengths, widths, strict=True)
        ]
        red = color and any(text.endswith(", worse") for text in row)
        for parts in zip_longest(*broken, fillvalue=("", 0)):
            line = " ".join(
                text + " " * (wide - size) if left else " " * (wide - size) + text
                for (text, size), wide, left in zip(parts, widths, lefts, strict=True)
            )
            lines.append(f"{RED}{line}{PLAIN}" if red else line)
    return lines


def _wrapped(text: str, width: int) -> list[tuple[str, int]]:
    """Return a text in lines of at most so many cells, and the cells that each takes."""
    return [(line, cell_len(line)) for line in textwrap.wrap(text, width)]


def _piped(rows: Sequence[dict[str, str]]) -> str:
    names = list(rows[0])
    rule = ["---" if name in LEFT else "--:" for name in names]
    lines = [names, rule, *([in_markdown(text) for text in row.values()] for row in rows)]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)
