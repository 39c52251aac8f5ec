"""`dlbench compare`: saved runs against a first one, with the gate's own verdicts."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dlbench.errors import NotFoundError, RecordError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dlbench.cli.compare_view import View
    from dlbench.gate.sides import Compared, Side

FORMATS = ("table", "markdown", "json", "csv", "latex")
SORTS = ("verdict", "effect", "case")
BASELINE = "baseline"

EPILOG = """\
examples:
  dlbench compare 0007 latest      what got worse, by how much, how sure
  dlbench compare branch:main last      the last run, the only one of main
  dlbench compare baseline last    against what was accepted, as the gate does
  dlbench compare keras-3.14 keras-3.15 keras-3.16    each against the first
  dlbench compare 7 8 -k adam --metric training_loss --sort effect
  dlbench compare 7 8 --only worse --format markdown    a comment on GitHub
  dlbench compare 7 8 --format latex    mean ± standard deviation over seeds
  dlbench compare 7 8 --plot figures    curves over each other, a figure a case

A case's verdict is the gate's: the same seeds are paired, and each effect
stands with its interval at the level of the decision. The error rate
(dlbench_false_alarm, 1 %) is divided over all gates of A, so that no more than
1 in 100 comparisons finds a case worse where nothing changed. A step's time is
shown with its ratio and never fails. Where B has fewer seeds than A, those
that both have are compared, 5 at least.

exit codes: 0 nothing worse, 2 bad input, 1 what the gate would fail: a case
worse or incomparable, or missing in B where B is complete, or the suite worse
as a whole. --metric, --only and --sort choose what is shown, and change no
exit code; -k chooses what is compared.
"""


def add_to(commands: Any) -> None:
    """Declare the command."""
    compare = commands.add_parser(
        "compare",
        help="compare saved runs: what got worse, how sure",
        description="Compares saved runs, each with the first, by the rules of the gate.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    compare.add_argument(
        "a",
        metavar="A",
        help="a number, a name, a path, commit:…, branch:…, last, latest, or baseline",
    )
    compare.add_argument("others", metavar="B", nargs="+", help="runs that are compared with A")
    compare.add_argument("--format", choices=FORMATS, default="table")
    compare.add_argument(
        "--metric", metavar="NAME", action="append", default=[], help="may be given more than once"
    )
    compare.add_argument("-k", metavar="EXPRESSION", help="only cases that match, as in pytest")
    compare.add_argument(
        "--sort", choices=SORTS, default="verdict", help="the order of cases (default: verdict)"
    )
    compare.add_argument("--only", choices=("worse",), help="show only what the gate would fail")
    compare.add_argument(
        "--plot", metavar="DIR", type=Path, help="draw a figure of each case shown"
    )
    compare.add_argument(
        "--baseline", metavar="DIR", type=Path,
        help="where the accepted files lie (default: as pytest is configured here)",
    )  # fmt: skip
    compare.add_argument(
        "--storage", metavar="DIR", help="where runs are saved (default: .benchmarks)"
    )
    compare.set_defaults(command=run)


def run(options: argparse.Namespace) -> int:
    """Load, compare, print; draw where that is asked for.

    Returns:
        1 where the gate would fail, else 0.
    """
    from dlbench.cli.accepted import configured
    from dlbench.cli.compare_view import View
    from dlbench.cli.selection import selected
    from dlbench.gate.sides import compared

    meant = selected((), options.k)
    here = configured(Path(), options.baseline)
    a, others = _sides(options)
    found = [compared(a, b, meant, here.false_alarm) for b in others]
    if not any(one.common for one in found):
        raise NotFoundError(_nothing_common(a, others, options.k))
    view = View.of(found, options.metric, options.sort, only_failing=options.only is not None)
    sys.stdout.write(_text(found, view, options.format))
    if options.plot is not None:
        from dlbench.cli.compare_figures import draw

        for path in draw(found, view, options.plot):
            sys.stderr.write(f"{path}\n")
    return int(any(one.failed for one in found))


def _sides(options: argparse.Namespace) -> tuple[Side, list[Side]]:
    """Return A and the others, each file read once.

    Raises:
        NotFoundError: a name that means no saved run, or more than one.
        RecordError: a file that cannot be read, or the baseline in the wrong place.
    """
    from dlbench.cli.accepted import configured
    from dlbench.gate.sides import accepted_side, saved_side
    from dlbench.history import find
    from dlbench.history.naming import storage_folder

    if BASELINE in options.others:
        raise RecordError(
            f"{BASELINE} can only stand first: it keeps what was accepted, and no curves"
        )
    if options.a == BASELINE and options.plot is not None:
        raise RecordError("--plot needs curves, which the baseline does not keep: name a saved run")
    storage = storage_folder(options.storage)
    others = [saved_side(find(name, storage)) for name in options.others]
    if options.a == BASELINE:
        modules = {module for side in others for module in side.modules}
        return accepted_side(configured(Path(), options.baseline).baseline(), modules), others
    return saved_side(find(options.a, storage)), others


def _text(found: Sequence[Compared], view: View, form: str) -> str:
    from dlbench.cli import compare_formats as formats
    from dlbench.cli.compare_latex import as_latex

    write = {
        "table": formats.as_table, "markdown": formats.as_markdown, "json": formats.as_json,
        "csv": formats.as_csv, "latex": as_latex,
    }  # fmt: skip
    return write[form](found, view)


def _nothing_common(a: Side, others: Sequence[Side], expression: str | None) -> str:
    from dlbench.gate.sides import nothing_common

    if expression:
        return f"no case that both sides have matches -k {expression!r}"
    return nothing_common((a, *others))
