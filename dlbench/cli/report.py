"""`dlbench report`: the report again, from a saved run."""

from __future__ import annotations

import argparse
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dlbench.errors import NotFoundError, RecordError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dlbench.gate.sides import Compared
    from dlbench.history.run import Run
    from dlbench.report import Progress

FORMATS = ("html", "markdown", "json", "ipynb")

EPILOG = """\
examples:
  dlbench report report/run.json --open            the last run's page again, in the browser
  dlbench report 0007 --to pages/0007              a run that pytest-benchmark saved, by its number
  dlbench report last --against baseline           judged anew by what is accepted now
  dlbench report last --against branch:main --format markdown    for a comment on a pull request
  dlbench report last --format ipynb               notebooks that train and plot again

exit codes: 0 done, 2 bad input.
"""


def add_to(commands: Any) -> None:
    """Declare the command."""
    report = commands.add_parser(
        "report",
        help="write the report again from a saved run",
        description="Writes the report from a saved run: a report's run.json, or a file that "
        "pytest-benchmark saved.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    report.add_argument(
        "run", metavar="RUN", type=Path, help="a file, or a saved run's number or name"
    )
    report.add_argument(
        "--format",
        choices=FORMATS,
        default="html",
        help="html (default): the page; markdown: for a comment on a pull request; json: the same for "
        "programs; ipynb: a Jupyter notebook an analysis, with the code that trains and plots it",
    )
    report.add_argument(
        "--to",
        metavar="PATH",
        type=Path,
        help="the folder for the page (default: beside a run.json, else ./report) or for notebooks "
        "(default: notebooks/ in there); the file for markdown and json (default: standard output)",
    )
    report.add_argument(
        "--against",
        metavar="RUN",
        help="judge every case against this saved run, or the baseline: a number, a name, a path, "
        "commit:…, branch:…, last, latest, or baseline (default: what the run itself was judged by)",
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
    if options.open and options.format != "html":
        raise RecordError(f"--open shows the page; --format {options.format} makes none")
    _check_target(options.to, options.format)
    compared = _compared(read, path, options.against) if options.against else None
    if options.format in {"markdown", "json"}:
        _write_text(read, compared, options)
        return
    with _progress() as on_progress:
        if options.format == "ipynb":
            from dlbench.report.comparison import held
            from dlbench.report.notebooks import write_notebooks

            folder, near = options.to or beside / "notebooks", (Path.cwd(), path.parent)
            judged, _ = held(read, compared)
            paths = write_notebooks(judged, folder, near, on_progress=on_progress)
        else:
            page = write_report(
                read, options.to or beside, against=compared, on_progress=on_progress
            )
            paths = [page]
    sys.stdout.write("".join(f"{path}\n" for path in paths))
    if options.open:
        import webbrowser

        webbrowser.open(page.resolve().as_uri())


def _check_target(target: Path | None, form: str) -> None:
    """Refuse a folder where a file is to be written, and the other way round.

    Raises:
        RecordError: it says what stands there.
    """
    if target is None or not target.exists():
        return
    takes_file = form in {"markdown", "json"}
    if target.is_dir() == takes_file:
        what, wanted = ("a folder", "a file") if takes_file else ("a file", "a folder")
        raise RecordError(f"--to {target} is {what}; --format {form} writes {wanted}")


def _compared(read: Run, path: Path, name: str) -> Compared:
    """Return what the gate says of a run against another, or against the baseline.

    Raises:
        NotFoundError: a name that means no saved run, or no case on both sides.
        RecordError: a file that cannot be read.
    """
    from dlbench.cli.accepted import configured
    from dlbench.cli.compare import BASELINE
    from dlbench.gate.sides import accepted_side, compared, nothing_common, side_of
    from dlbench.history import find, read_run

    here, side = configured(Path()), side_of(read, str(path), path)
    if name == BASELINE:
        other = accepted_side(here.baseline(), side.modules)
    else:
        saved = find(name)
        label = name if saved.number is None else saved.label
        other = side_of(read_run(saved.path), label, saved.path)
    found = compared(other, side, lambda _: True, here.false_alarm)
    if not found.common:
        raise NotFoundError(nothing_common((other, side)))
    return found


def _write_text(read: Run, compared: Compared | None, options: argparse.Namespace) -> None:
    """Write the summary as one text, to a file or to standard output."""
    from dlbench.history.files import write_atomically
    from dlbench.report.analysis import analyses
    from dlbench.report.as_json import as_json
    from dlbench.report.as_markdown import as_markdown
    from dlbench.report.comparison import held
    from dlbench.report.summary import summarized

    form = as_json if options.format == "json" else as_markdown
    judged, against = held(read, compared)
    text = form(summarized(judged, analyses(judged), against))
    if options.to is None:
        sys.stdout.write(text)
        return
    # Half of a surrogate pair has no UTF-8.
    write_atomically(options.to, text.encode(errors="backslashreplace"))
    sys.stdout.write(f"{options.to}\n")


@contextmanager
def _progress() -> Iterator[Progress]:
    """Show progress on stderr, and only on a terminal: what is printed is paths alone."""
    from rich.console import Console
    from rich.progress import Progress as Bar

    console = Console(stderr=True)
    with Bar(console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("writing the report")
        yield lambda done, total, title: bar.update(
            task, completed=done, total=total, description=title
        )
