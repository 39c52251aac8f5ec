"""Comparisons as a LaTeX table: mean ± standard deviation over seeds, a row a case and metric."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from dlbench.cli.words import shown
from dlbench.gate.comparisons import failed
from dlbench.gate.entry import TRAINING_LOSS
from dlbench.gate.wording import name_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from dlbench.cli.compare_view import View
    from dlbench.gate.entry import Entry
    from dlbench.gate.sides import Compared, Row

_SIGNS = str.maketrans({
    "\\": r"\textbackslash{}", "^": r"\textasciicircum{}", "~": r"\textasciitilde{}",
    "<": r"\textless{}", ">": r"\textgreater{}", "|": r"\textbar{}",
    "[": "{[}", "]": "{]}",  # after a line's end a bracket would be its option
    **{sign: f"\\{sign}" for sign in "{}$&#_%"},
})  # fmt: skip

NOTE = "% mean and standard deviation over the seeds that trained; (n) of how many, where not all"

DIGITS = 2
"""Of a standard deviation; the mean has as many decimals."""

ROUNDING = 1e-9
"""A smaller share of the mean is no deviation."""


def as_latex(found: Sequence[Compared], view: View) -> str:
    """Return one table with a column a run, for booktabs; the first run is the first column."""
    cases: dict[str, list[Row | None]] = {}
    for place, rows in enumerate(view.rows):
        for row in rows:
            cases.setdefault(row.case, [None] * len(found))[place] = row
    body = [line for among in cases.values() for line in _lines(among, view)]
    labels = [found[0].a.label, *(one.b.label for one in found)]
    head = f"case & metric & {' & '.join(map(escaped, labels))} \\\\"
    return "\n".join([
        NOTE, f"\\begin{{tabular}}{{ll{'r' * len(labels)}}}", "\\toprule", head, "\\midrule",
        *body, "\\bottomrule", "\\end{tabular}", "",
    ])  # fmt: skip


def _lines(rows: Sequence[Row | None], view: View) -> Iterator[str]:
    """Yield the lines of one case; its name stands in the first."""
    known = [row for row in rows if row]
    first = next((row.old for row in known if row.old), None)
    columns = [first, *(row.new if row else None for row in rows)]
    metrics = dict.fromkeys(name for entry in columns if entry for name in entry.values)
    name = escaped(view.name(known[0]))
    for metric in (one for one in metrics if view.gates is None or one in view.gates):
        cells = (name, escaped(name_of(metric)), *(_spread(metric, entry) for entry in columns))
        yield f"{' & '.join(cells)} \\\\"
        name = ""


def escaped(text: str) -> str:
    """Return a text that LaTeX sets as it is."""
    return shown(text).translate(_SIGNS)


def _spread(metric: str, entry: Entry | None) -> str:
    """Return mean ± standard deviation over the seeds that trained and have a finite value."""
    if entry is None or metric not in entry.values:
        return "--"
    values = np.array(entry.values[metric], dtype=float)
    if metric == TRAINING_LOSS and entry.floor > 0:
        values = np.exp(np.minimum(values, 700.0))
    known = values[np.isfinite(values) & ~failed(entry)]
    if not known.size:
        return "--"
    mean, deviation = float(known.mean()), float(known.std(ddof=1)) if known.size > 1 else math.nan
    count = f" ({known.size})" if known.size < values.size else ""
    if not math.isfinite(deviation):
        return f"${mean:.4g}${count}"
    if deviation <= ROUNDING * abs(mean):
        return f"${mean:.4g} \\pm 0${count}"
    power = int(f"{deviation:.{DIGITS - 1}e}".partition("e")[2])
    places = min(9, max(0, DIGITS - 1 - power))
    return f"${mean:.{places}f} \\pm {deviation:.{places}f}${count}"
