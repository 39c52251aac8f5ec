"""Comparisons as figures: both runs' curves over each other, a figure a case, a panel a metric."""

from __future__ import annotations

import io
import re
from typing import TYPE_CHECKING, Any

from dlbench.gate.entry import key_of
from dlbench.gate.recorded import taken_of
from dlbench.gate.wording import cell, clean
from dlbench.history.files import write_atomically
from dlbench.report.figures.overlay import Both, curves_figure
from dlbench.report.formatting import shortened
from dlbench.report.style import styled
from dlbench.runs import Runs

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from dlbench.cli.compare_view import View
    from dlbench.gate.sides import Compared, Row, Side

DPI = 160


def draw(found: Sequence[Compared], view: View, folder: Path) -> Iterator[Path]:
    """Draw each case shown that both sides trained, as PNG and SVG; yield the PNGs' paths.

    Args:
        found: comparisons of saved runs.
        view: what is shown of them.
        folder: where to; made if it is not there.

    Raises:
        RecordError: a record whose runs cannot be read.
        OSError: a file that cannot be written.
    """
    taken: set[str] = set()
    for place, (one, rows) in enumerate(zip(found, view.rows, strict=True)):
        for row in rows:
            both = _both(one, row)
            if both is None:
                continue
            name = _free(row.case if len(found) == 1 else f"{row.case}-{place + 1}", taken)
            with styled():
                figure = curves_figure(both, _title(row))
                for ending in ("svg", "png"):
                    content = io.BytesIO()
                    figure.savefig(
                        content, format=ending, dpi=DPI, facecolor="white", bbox_inches="tight"
                    )
                    write_atomically(folder / f"{name}.{ending}", content.getvalue())
            yield folder / f"{name}.png"


def _both(one: Compared, row: Row) -> Both | None:
    pairs = ((one.a, row.old_record), (one.b, row.new_record))
    if any(record is None or record["runs"] is None for _, record in pairs):
        return None
    runs = tuple(_runs(side, record) for side, record in pairs)
    labels = tuple(
        _label(letter, side, each)
        for letter, (side, _), each in zip("AB", pairs, runs, strict=True)
    )
    return Both(runs, labels)  # type: ignore[arg-type]


def _label(letter: str, side: Side, runs: Runs) -> str:
    count = int(runs.failed.sum())
    failed = f" ({count} of {len(runs.seeds)} seeds failed)" if count else ""
    return f"{letter}  {shortened(side.label, 40)}{failed}"


def _runs(side: Side, record: Any) -> Runs:
    return taken_of(record, side.path, lambda known: Runs.from_builtins(known["runs"] or {}))


def _title(row: Row) -> str:
    return f"{cell(row.verdict)}: {clean(row.verdict.key)}"


def _free(case: str, taken: set[str]) -> str:
    """Return a name for a file that no other figure has: letters, digits and dashes of the case."""
    plain = re.sub(r"[^a-z0-9_]+", "-", key_of(case, None).lower()).strip("-")[:100] or "case"
    names: Iterable[str] = (plain, *(f"{plain}--{count}" for count in range(2, len(taken) + 3)))
    name = next(one for one in names if one not in taken)
    taken.add(name)
    return name
