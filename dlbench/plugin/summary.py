"""What a person reads at the very end of a pytest run; computed as lines, written by a hook."""

from __future__ import annotations

import io
import statistics
import textwrap
from collections import Counter
from typing import TYPE_CHECKING, Any

from dlbench.plugin.options import from_here
from dlbench.plugin.verdicts import gate_lines

if TYPE_CHECKING:
    from rich.table import Table

    from dlbench.history.record import Record
    from dlbench.plugin.session import RunSession

LEAST_WIDTH = 40
"""Columns; on a terminal narrower than this the lines wrap."""

COLORS = {"diverged": "red", "stalled": "red", "slow": "yellow", "converged": "green"}

WIDE = 100
"""Columns from which on the loss, too, has room for its spread."""
NEGLIGIBLE = 1e-3
"""A spread below this fraction of the median is not shown."""

WORDS = (
    "median (± half the range over seeds, where there is room); updates: until the target is first "
    "reached. converged: reached its target (without one: trained); slow: improving, target not "
    "reached; stalled: no better than a constant; diverged: not finite, or its loss above 1.5 x its "
    "start"
)


def summary_lines(session: RunSession, width: int, *, color: bool) -> list[str]:
    """Return the closing table and what belongs under it; nothing where dlbench was not used.

    Args:
        session: what was gathered.
        width: columns of the terminal.
        color: whether the terminal shows colours.
    """
    if not session.used:
        return []
    width = max(width, LEAST_WIDTH)
    trained = [record for record in session.records if record["metrics"] is not None]
    counted = [record for record in session.records if record["parameters"] is not None]
    lines: list[str] = []
    if trained:
        lines += _table_lines(trained, width, color=color)
        lines += textwrap.wrap(WORDS, width)
        lines += _timing_note(trained)
        lines += _engine_notes(trained)
    if counted:
        held = sum(record["outcome"] == "passed" for record in counted)
        lines.append(f"parameters: {len(counted)} models counted, {held} as expected")
    lines += gate_lines(session.gate, session.records, width)
    lines += _bounds_note(session)
    lines += [f"the command line overrides {text}" for text in session.settings.overridden]
    lines += [_printable(line) for problem in session.problems for line in problem.splitlines()]
    if session.page is not None:
        lines.append(f"report: {from_here(session.config, session.page)}")
    return lines


def _table_lines(records: list[Record], width: int, *, color: bool) -> list[str]:
    """Return the table, a row a record, each test's name on a line of its own above its rows."""
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    table.add_column("case", overflow="fold", min_width=9)
    table.add_column("regime", overflow="fold", min_width=9)
    for heading in ("loss", "validation", "updates", "ms/step"):
        table.add_column(heading, justify="right", no_wrap=True)
    tests: list[str] = []
    for record in records:
        test = _test(record)
        if test not in tests[-1:]:
            tests.append(test)
            table.add_row()  # rich has no cell that spans columns: the name takes this line's place
        table.add_row(*_cells(record, wide=width >= WIDE))
    names = iter(tests)
    lines = _rendered(table, width, color=color)
    return [line or _printable(next(names)) for line in lines]


def _cells(record: Record, *, wide: bool) -> list[str]:
    by_seed: dict[str, Any] = record["metrics"] or {}
    validation = [values for key, values in by_seed.items() if key.startswith("final_val_")]
    timing = record["timing"]
    per_step = timing is not None and timing["what"] == "train_on_batch"
    return [
        f"  {_label(record)}",
        _regimes(by_seed["regime"]),
        _spread(by_seed.get("final_loss"), full=wide),
        _spread(validation[-1] if validation else None),
        _updates(by_seed.get("steps_to_target")),
        f"{timing['seconds'] * 1e3:.2f}" if timing and per_step else "-",
    ]


def _test(record: Record) -> str:
    """Return the test's id without its parameters; a folder's name may have brackets too."""
    head, found, _ = record["case"].partition(f"::{record['test']}[")
    return f"{head}::{record['test']}" if found else record["case"]


def _label(record: Record) -> str:
    """Return what tells a record from its test's others, and how the test ended if not well."""
    params = record["case"].removeprefix(_test(record))
    words = [params[1:-1]] if params else []
    words += [record["name"].replace("learning_rate=", "rate ")] if record["name"] else []
    ended = "" if record["outcome"] == "passed" else f" [red]{record['outcome']}[/red]"
    from rich.markup import escape

    return f"{escape(_printable(' '.join(words) or '-'))}{ended}"


def _regimes(regimes: list[str]) -> str:
    counts = Counter(regimes)
    return ", ".join(
        f"[{COLORS[word]}]{word}[/]" + (f" {counts[word]}" if len(counts) > 1 else "")
        for word in COLORS
        if word in counts
    )


def _spread(values: list[float | None] | None, *, full: bool = True) -> str:
    """Return the median over seeds, and in full half the range from the lowest to the highest."""
    known = [value for value in values or [] if value is not None]
    if not values or not known:
        return "nan" if values else "-"
    median, half = statistics.median(known), (max(known) - min(known)) / 2
    if not full or half < NEGLIGIBLE * abs(median):
        return f"{median:.3g}"
    return f"{median:.3g} ±{half:.1g}"


def _updates(values: list[float | None] | None) -> str:
    """Return the median updates to the target, and how many seeds reached it where not all did."""
    if values is None:
        return "-"
    reached = [value for value in values if value is not None]
    if not reached:
        return "never"
    share = f" ({len(reached)}/{len(values)})" if len(reached) < len(values) else ""
    return f"{statistics.median(reached):,.0f}{share}"


def _timing_note(records: list[Record]) -> list[str]:
    if any(record["timing"] for record in records):
        return []
    return ["no timing: pytest-benchmark is off (--benchmark-disable, or pytest-xdist's -n)"]


def _engine_notes(records: list[Record]) -> list[str]:
    """Return a line for each reason why `fit` took over from the vectorized engine."""
    reasons: dict[str, list[str]] = {}
    for record in records:
        note = (record["runs"] or {}).get("engine_note")
        if note:
            reasons.setdefault(_printable(str(note)), []).append(record["case"])
    return [
        f"trained by fit, not vectorized: {', '.join(_printable(case) for case in cases[:3])}"
        f"{' …' if len(cases) > 3 else ''}: {reason}"  # noqa: PLR2004
        for reason, cases in reasons.items()
    ]


def _bounds_note(session: RunSession) -> list[str]:
    off = [record for record in session.records if record["bounds"] == "off"]
    if not off:
        return []
    why = "--dlbench-quick" if session.settings.quick else "--dlbench-workload"
    lines = [f"bounds are off ({why}): assertions were tried, and fail no test"]
    unheld = {
        record["case"]: record["message"]
        for record in off
        if record["message"] and record["outcome"] == "passed"
    }
    return lines + [
        _printable(f"  would not have held: {case}: {text}") for case, text in unheld.items()
    ]


def _rendered(table: Table, width: int, *, color: bool) -> list[str]:
    from rich.console import Console

    target = io.StringIO()
    console = Console(
        file=target,
        width=width,
        force_terminal=color,
        no_color=not color,
        color_system="standard" if color else None,
        highlight=False,
        legacy_windows=False,
        emoji=False,
        force_jupyter=False,
    )
    console.print(table)
    return [line.rstrip() for line in target.getvalue().rstrip("\n").split("\n")]


def _printable(text: str) -> str:
    """Return text in which no terminal escape is left."""
    return "".join(character if character.isprintable() else "?" for character in text)
