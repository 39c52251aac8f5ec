"""`dlbench params`: a model's parameters, exactly."""

from __future__ import annotations

import argparse
import sys
from typing import Any

EPILOG = """\
examples:
  dlbench params keras.applications:ResNet50             a model, a function or a class of a package
  dlbench params model.py:build --optimizer adam         a builder in a file; what Adam keeps besides
  dlbench params keras.applications:VGG16 --json         for programs

exit codes: 0 done, 2 bad input.
"""


def add_to(commands: Any) -> None:
    """Declare the command."""
    params = commands.add_parser(
        "params",
        help="count a model's parameters exactly, a line a layer",
        description="Counts a model's parameters exactly, a line a layer, without allocating its "
        "weights.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    params.add_argument(
        "model", metavar="SPEC", help="package.module:NAME or FILE.py:NAME of a model or builder"
    )
    params.add_argument("--optimizer", metavar="NAME", help="count this optimizer's variables too")
    params.add_argument("--json", action="store_true", help="print the table as JSON")
    params.set_defaults(command=run)


def run(options: argparse.Namespace) -> None:
    """Count and print."""
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
