"""`dlbench history`: every saved run in order, and what changed since when."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dlbench.history.loading import Cases
    from dlbench.history.series import Order
    from dlbench.history.trend import Trend

FORMATS = ("table", "markdown", "json", "csv")
ORDERS = ("time", "commit", "keras", "torch", "python")

EPILOG = """\
examples:
  dlbench history                              a line a case: the last value, the last change
  dlbench history test_batch_size[32]          a line a run, with what changed where
  dlbench history test_rate --metric steps_to_target --metric step_seconds
  dlbench history -k "adam and not moons" --by torch --plot figures
  dlbench history test_rate --format markdown  for a comment on GitHub; json and csv for programs

CASE is a part of a test's id. Metrics are those of the records (mean_log_loss, final_val_accuracy,
steps_to_target, ...), step_seconds and parameters. A change is marked where the level differs beyond
the margin and beyond chance; `docs/history.md` says how.
exit codes: 0 done, 2 bad input.
"""


def add_to(commands: Any) -> None:
    """Declare the command."""
    history = commands.add_parser(
        "history",
        help="show every saved run of a case, and what changed since when",
        description="Shows every saved run in order, a row a run: the value with its spread over "
        "seeds, what changed where, and which runs failed or are incomplete.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    history.add_argument("cases", metavar="CASE", nargs="*", help="a part of a test's id")
    history.add_argument(
        "--metric", metavar="NAME", action="append", default=[], help="may be given more than once"
    )
    history.add_argument(
        "--by", choices=ORDERS, default="time", help="the order, and what a change is named by"
    )
    history.add_argument("-k", metavar="EXPRESSION", help="only cases that match, as in pytest")
    history.add_argument("--plot", metavar="DIR", type=Path, help="draw a figure a table")
    history.add_argument("--format", choices=FORMATS, default="table")
    history.add_argument(
        "--storage", metavar="DIR", help="where runs are saved (default: .benchmarks)"
    )
    history.set_defaults(command=run)


def run(options: argparse.Namespace) -> None:
    """Load, find what changed, print; draw where that is asked for."""
    from dlbench.cli import tables
    from dlbench.cli.loading import load_runs
    from dlbench.cli.selection import selected
    from dlbench.history.series import EXACT
    from dlbench.history.trend import DEFAULT_METRIC, trends

    asked = bool(options.cases or options.k)
    meant: Cases | None = None
    if len(options.cases) == 1 and not options.k:
        (meant,) = options.cases  # other lines of a file need not be looked at then
    elif asked:
        meant = selected(options.cases, options.k)
    frame = load_runs((), options.storage, meant, options.metric or (DEFAULT_METRIC, *EXACT))
    found = list(trends(frame, options.metric, by=options.by))
    if options.format == "json":
        text = tables.as_json(found)
    elif options.format == "csv":
        text = tables.as_csv(found)
    elif options.format == "markdown":
        text = tables.as_markdown(found, options.by, overview=not asked)
    else:
        text = tables.as_table(found, options.by, overview=not asked)
    sys.stdout.write(text)
    if options.plot is not None:
        for path in _drawn(found, options.plot, options.by):
            sys.stderr.write(f"{path}\n")


def _drawn(found: Sequence[Trend], folder: Path, by: Order) -> list[Path]:
    """Draw each trend as PNG and SVG, and return the paths of the first."""
    import io
    import re

    from dlbench.history.files import write_atomically
    from dlbench.report.history_figure import trend_figure
    from dlbench.report.style import styled

    paths: dict[str, Path] = {}
    for trend in found:
        label = f"{trend.case.rsplit('/', 1)[-1]}-{trend.name or ''}-{trend.metric}"
        plain = re.sub(r"[^a-z0-9_]+", "-", label.lower()).strip("-")[:100]
        count = sum(name == plain or name.startswith(f"{plain}--") for name in paths)
        name = f"{plain}--{count + 1}" if count else plain
        paths[name] = folder / f"{name}.png"
        with styled():
            figure = trend_figure(trend, by)
            for ending in ("png", "svg"):
                content = io.BytesIO()
                figure.savefig(
                    content, format=ending, dpi=160, facecolor="white", bbox_inches="tight"
                )
                write_atomically(folder / f"{name}.{ending}", content.getvalue())
    return list(paths.values())
