"""`dlbench report`: the report again, from a saved run."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dlbench.errors import RecordError

if TYPE_CHECKING:
    import argparse


def add_to(commands: Any) -> None:
    """Declare the command."""
    report = commands.add_parser(
        "report",
        help="write the report again from a saved run",
        description="Writes the report from a saved run: a report's run.json, or a file that "
        "pytest-benchmark saved.",
    )
    report.add_argument(
        "run", metavar="RUN", type=Path, help="a file, or a saved run's number or name"
    )
    report.add_argument(
        "--to",
        metavar="DIR",
        type=Path,
        help="where to write index.html (default: beside a run.json, else ./report)",
    )
    report.add_argument("--open", action="store_true", help="open the page in the browser")
    report.set_defaults(command=run)


def run(options: argparse.Namespace) -> None:
    """Read the run, write the page, print its path."""
    from dlbench.history import find, matches, read_run
    from dlbench.report import write_report

    name = str(options.run)
    saved = not options.run.exists() and matches(name)
    path = find(name).path if saved else options.run
    read = read_run(path)
    if not read.records and not read.figures:
        raise RecordError(f"{path}: no case of dlbench's is in it")
    beside = path.parent if path.name == "run.json" else Path("report")
    from rich.console import Console
    from rich.progress import Progress

    # To stderr, and only on a terminal: what is printed is the page's path alone.
    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task("writing the report")
        page = write_report(
            read,
            options.to or beside,
            on_progress=lambda done, total, title: progress.update(
                task, completed=done, total=total, description=title
            ),
        )
    sys.stdout.write(f"{page}\n")
    if options.open:
        import webbrowser

        webbrowser.open(page.resolve().as_uri())
