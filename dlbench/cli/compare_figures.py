"""Comparisons as figures: both runs' curves over each other, a figure a case, a panel a metric."""

from __future__ import annotations

import io
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from dlbench.cli.accepted import taken_of
from dlbench.gate.wording import cell, clean
from dlbench.history.files import write_atomically
from dlbench.report.formatting import humanized, shortened
from dlbench.report.spreads import band_words, bands
from dlbench.report.style import (
    BLUE,
    ORANGE,
    QUIET,
    WIDTH,
    canvas,
    legend,
    plain_numbers,
    styled,
)
from dlbench.runs import Runs

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from dlbench.cli.compare_sides import Compared, Row, Side
    from dlbench.cli.compare_view import View

HEIGHT = 3.0
"""Inches, of a row of panels."""

MOST_PANELS = 3
"""In a row."""

COLOURS = (BLUE, ORANGE)
DASHES: tuple[Any, ...] = ("-", (0, (4, 1.5)))
"""B is dashed, so that A is seen where both are the same."""

DECADE = 10.0
"""Losses that span more have a logarithmic axis."""

FAR = 10.0
"""A curve is drawn up to so many times where the runs began; beyond they diverged."""

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


@dataclass(frozen=True, slots=True)
class Both:
    """One case's runs on both sides."""

    runs: tuple[Runs, Runs]
    labels: tuple[str, str]

    @property
    def metrics(self) -> list[str]:
        """The training loss, then the validation curves that either side has."""
        names = {
            name: None for runs in self.runs for name in runs.curves if name.startswith("val_")
        }
        return [self.runs[0].loss_name, *(name for name in names if name != self.runs[0].loss_name)]

    def bands(self, metric: str) -> pd.DataFrame:
        """Return median, low and high by point; column `record` is 0 for A and 1 for B."""
        frames = []
        for place, runs in enumerate(self.runs):
            frame = runs.to_frame()
            frames.append(frame[frame["metric"] == metric].assign(record=place))
        higher = bool(self.runs[0].direction(metric))
        return bands(pd.concat(frames, ignore_index=True), higher=higher)


def curves_figure(both: Both, title: str) -> Figure:
    """Return one case's curves over each other; draw it inside `dlbench.report.style.styled()`.

    Args:
        both: the runs.
        title: what came of them.
    """
    metrics = both.metrics
    columns = min(len(metrics), MOST_PANELS)
    rows = -(-len(metrics) // columns)
    width = WIDTH if columns > 1 else 0.6 * WIDTH
    figure, grid = canvas(rows, columns, width=width, height=HEIGHT * rows + 0.5)
    panels = list(grid.ravel())
    for panel, metric in zip(panels, metrics, strict=False):
        _panel(panel, both, metric)
    for panel in panels[len(metrics) :]:
        panel.set_visible(False)
    handles: list[Any] = [
        Line2D([], [], color=colour, linestyle=dash, linewidth=2, label=label)
        for colour, dash, label in zip(COLOURS, DASHES, both.labels, strict=True)
    ]
    if words := band_words([len(runs.seeds) for runs in both.runs]):
        handles.append(Patch(color=QUIET, alpha=0.3, linewidth=0, label=words.removeprefix("the ")))
    legend(figure, handles, title=shortened(title, 110 if columns > 1 else 60), handlelength=2.6)
    return figure


def _panel(panel: Axes, both: Both, metric: str) -> None:
    frame = both.bands(metric)
    top = _top(frame, rising=bool(both.runs[0].direction(metric)))
    for place, (colour, dash) in enumerate(zip(COLOURS, DASHES, strict=True)):
        side = frame[frame["record"] == place]
        if side.empty:
            continue
        median = side["median"].where(np.isfinite(side["median"]) & (side["median"] <= top))
        sns.lineplot(x=side["step"], y=median, color=colour, linestyle=dash, ax=panel,
                     estimator=None, errorbar=None, legend=False)  # fmt: skip
        panel.fill_between(
            side["step"], side["low"].clip(-top, top), side["high"].clip(-top, top),
            color=colour, alpha=0.18, linewidth=0,
        )  # fmt: skip
    shown = frame[["median", "low", "high"]].to_numpy().ravel()
    shown = shown[np.isfinite(shown) & (shown <= top)]
    if "loss" in metric and shown.size and shown.min() > 0 and shown.max() > DECADE * shown.min():
        panel.set_yscale("log")
    panel.set_title(humanized(metric))
    panel.set_xlabel("updates")
    panel.set_ylabel("")
    plain_numbers(panel.xaxis)
    plain_numbers(panel.yaxis)


def _top(frame: pd.DataFrame, *, rising: bool) -> float:
    """Return up to where curves are drawn: runs that diverged would leave no room for the others."""
    known = frame[["median", "low", "high"]].to_numpy()
    known = known[np.isfinite(known)]
    if rising or not known.size:
        return float(np.abs(known).max(initial=1.0))
    starts = frame.loc[frame["step"] == frame["step"].min(), "high"].to_numpy()
    start = float(np.abs(starts[np.isfinite(starts)]).max(initial=0.0))
    return min(float(np.abs(known).max()), FAR * start) if start else float(np.abs(known).max())


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
    plain = re.sub(r"[^a-z0-9_]+", "-", case.rsplit("/", 1)[-1].lower()).strip("-")[:100] or "case"
    names: Iterable[str] = (plain, *(f"{plain}--{count}" for count in range(2, len(taken) + 3)))
    name = next(one for one in names if one not in taken)
    taken.add(name)
    return name
