"""`dlbench export`: saved runs as one tidy table in a file."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from dlbench.errors import RecordError

EPILOG = """\
examples:
  dlbench export --to runs.csv                 every saved run: a row a run, case, metric and seed
  dlbench export 0007 latest --to two.parquet  two of them (Parquet needs `pip install pyarrow`)
  dlbench export branch:main -k "batch and not adam" --to main.csv

`docs/history.md` describes the columns.
"""


def add_to(commands: Any) -> None:
    """Declare the command."""
    export = commands.add_parser(
        "export",
        help="write saved runs as one tidy table, CSV or Parquet",
        description="Writes what saved runs hold as one tidy table: a row a run, case, metric and "
        "seed.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    export.add_argument(
        "runs",
        metavar="RUN",
        nargs="*",
        help="a number, a name, a path or glob, commit:…, branch:…, last or latest (default: all)",
    )
    export.add_argument("--to", metavar="FILE", type=Path, required=True, help=".csv or .parquet")
    export.add_argument("-k", metavar="EXPRESSION", help="only cases that match, as in pytest")
    export.add_argument(
        "--storage", metavar="DIR", help="where runs are saved (default: .benchmarks)"
    )
    export.set_defaults(command=run)


def run(options: argparse.Namespace) -> None:
    """Load, and write the file whole or not at all."""
    from dlbench.cli.loading import load_runs
    from dlbench.cli.selection import selected
    from dlbench.history.files import write_atomically

    ending = options.to.suffix.lower()
    if ending not in {".csv", ".parquet"}:
        raise RecordError(f"{options.to}: the file must end in .csv or .parquet")
    frame = load_runs(options.runs, options.storage, selected((), options.k))
    if ending == ".csv":
        content = frame.to_csv(index=False).encode(errors="backslashreplace")
    else:
        content = _parquet(frame, options.to)
    write_atomically(options.to, content)
    sys.stdout.write(f"{options.to}: {len(frame):,} rows of {frame['path'].nunique():,} runs\n")


def _parquet(frame: Any, to: Path) -> bytes:
    try:
        content: bytes = frame.to_parquet(engine="pyarrow", index=False)
    except ImportError as error:
        raise RecordError(
            f"{to}: Parquet needs pyarrow, which is not installed: pip install pyarrow, or write .csv"
        ) from error
    return content
