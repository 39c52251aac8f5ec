"""The shell's door, `dlbench`: load, call, print, exit code; the rooms behind it do the work.

Each command is a module, which adds itself to the parser and imports what it needs when it is run.
"""

from __future__ import annotations

import argparse
import io
import os
import sys
from importlib import import_module
from typing import TYPE_CHECKING

from dlbench.cli.words import shown
from dlbench.errors import DlbenchError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

BAD_INPUT = 2
INTERRUPTED = 130
"""As shells have it for a command that Ctrl-C ended: 128 and the signal's number."""

COMMANDS = ("params", "report", "compare", "accept", "history", "export")
"""In the order of the help; each is a module here."""

EPILOG = """\
examples:
  dlbench params keras.applications:ResNet50     exact counts, a line a layer
  dlbench params my_models.py:build              the same for a function of your own
  dlbench report report/run.json                 the report again, from a saved run
  dlbench report .benchmarks/*/0001_*.json --to out
  dlbench compare 0007 latest                    two saved runs: what got worse, by how much
  dlbench accept artifact/run.json               make a saved run the baseline
  dlbench history test_batch_size                every saved run of a test, and what changed
  dlbench export --to runs.csv                   every saved number as one tidy table

Training itself runs under pytest: `pytest benchmarks`, `pytest --help` (section dlbench).
exit codes: 0 done, 2 bad input, 130 interrupted; of compare, 1 where something got worse.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code, as `--help` lists them.

    Args:
        arguments: the command line without the program's name; by default the process' own.
    """
    parser = _parser()
    options = parser.parse_args(arguments)
    command: Callable[[argparse.Namespace], int | None] | None = getattr(options, "command", None)
    if command is None:
        parser.print_help()
        return BAD_INPUT
    code = 0
    if isinstance(sys.stdout, io.TextIOWrapper):
        # Where a console has no letters for a sign, the sign's number is better than no output.
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        code = command(options) or 0
        sys.stdout.flush()
    except BrokenPipeError:  # `dlbench params … | head`; Python would flush once more at exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except (DlbenchError, OSError) as error:
        sys.stderr.write(f"dlbench: {shown(_sentence(error), lines=True)}\n")
        return BAD_INPUT
    except KeyboardInterrupt:
        sys.stderr.write("\ndlbench: interrupted\n")
        return INTERRUPTED
    return code


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
    for command in COMMANDS:
        import_module(f"dlbench.cli.{command}").add_to(commands)
    return parser


def _version() -> str:
    from importlib.metadata import version

    return version("dlbench")
