"""The shell's door, `dlbench`: load, call, print, exit code; the rooms behind it do the work."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from dlbench.errors import DlbenchError, RecordError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

BAD_INPUT = 2

EPILOG = """\
examples:
  dlbench params keras.applications:ResNet50     exact counts, a line a layer
  dlbench params my_models.py:build              the same for a function of your own
  dlbench report report/run.json                 the report again, from a saved run
  dlbench report .benchmarks/*/0001_*.json --to out

Training itself runs under pytest: `pytest benchmarks`, `pytest --help` (section dlbench).
exit codes: 0 done, 2 bad input.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code: 0 done, 2 bad input.

    Args:
        arguments: the command line without the program's name; by default the process' own.
    """
    parser = _parser()
    options = parser.parse_args(arguments)
    command: Callable[[argparse.Namespace], None] | None = getattr(options, "command", None)
    if command is None:
        parser.print_help()
        return BAD_INPUT
    try:
        command(options)
        sys.stdout.flush()
    except BrokenPipeError:  # `dlbench params … | head`; Python would flush once more at exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except (DlbenchError, OSError) as error:
        sys.stderr.write(f"dlbench: {_sentence(error)}\n")
        return BAD_INPUT
    return 0


def _sentence(error: DlbenchError | OSError) -> str:
    if isinstance(error, DlbenchError):
        return str(error)
    where = f"{error.filename}: " if error.filename else ""
    return f"{where}{error.strerror or error}"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="dlbench",
        description="Does training still work? Counts, reports and saved runs.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"dlbench {_version()}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND")

    params = commands.add_parser(
        "params",
        help="count a model's parameters exactly, a line a layer",
        description="Counts a model's parameters exactly, a line a layer, without allocating its "
        "weights.",
    )
    params.add_argument(
        "model", metavar="SPEC", help="package.module:NAME or FILE.py:NAME of a model or builder"
    )
    params.add_argument("--optimizer", metavar="NAME", help="count this optimizer's variables too")
    params.add_argument("--json", action="store_true", help="print the table as JSON")
    params.set_defaults(command=_params)

    report = commands.add_parser(
        "report",
        help="write the report again from a saved run",
        description="Writes the report from a saved run: a report's run.json, or a file that "
        "pytest-benchmark saved.",
    )
    report.add_argument("run", metavar="FILE", type=Path, help="the saved run")
    report.add_argument(
        "--to",
        metavar="DIR",
        type=Path,
        help="where to write index.html (default: beside a run.json, else ./report)",
    )
    report.add_argument("--open", action="store_true", help="open the page in the browser")
    report.set_defaults(command=_report)
    return parser


def _params(options: argparse.Namespace) -> None:
    from dlbench.backend import require_torch

    require_torch()
    from rich.console import Console

    from dlbench.keras_objects import optimizer_template
    from dlbench.parameters import count_parameters
    from dlbench.plain import dumps
    from dlbench.references import resolve

    named = options.optimizer
    optimizer = None if named is None else optimizer_template(named).build()
    table = count_parameters(resolve(options.model), optimizer=optimizer)
    if options.json:
        sys.stdout.write(dumps(table.to_builtins(), indent=1) + "\n")
    else:
        console = Console()
        with console.capture() as drawn:  # rich ends the process where a pipe is closed
            console.print(table.rich_table())
        sys.stdout.write(drawn.get())


def _report(options: argparse.Namespace) -> None:
    from dlbench.history.run import read_run
    from dlbench.report import write_report

    run = read_run(options.run)
    if not run.records and not run.figures:
        raise RecordError(f"{options.run}: no case of dlbench's is in it")
    beside = options.run.parent if options.run.name == "run.json" else Path("report")
    from rich.console import Console
    from rich.progress import Progress

    # To stderr, and only on a terminal: what is printed is the page's path alone.
    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task("writing the report")
        page = write_report(
            run,
            options.to or beside,
            on_progress=lambda done, total, title: progress.update(
                task, completed=done, total=total, description=title
            ),
        )
    sys.stdout.write(f"{page}\n")
    if options.open:
        import webbrowser

        webbrowser.open(page.resolve().as_uri())


def _version() -> str:
    from importlib.metadata import version

    return version("dlbench")


if __name__ == "__main__":
    sys.exit(main())
