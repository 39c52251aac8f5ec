"""`dlbench accept`: a saved run becomes the baseline, without training."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dlbench.cli.accepted import configured
from dlbench.errors import BaselineError, RecordError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from dlbench.gate.accepting import Acceptance
    from dlbench.gate.baseline import Baseline
    from dlbench.history.record import Record
    from dlbench.history.run import Run

EPILOG = """\
examples:
  dlbench accept last                 the run beside the report, report/run.json
  dlbench accept artifact/run.json    a run that CI left behind
  dlbench accept 0007 -k "adam and not moons"    only these cases
  dlbench accept last --prune         and take out what is no longer there

What is printed, old -> new, belongs into the commit message.
Taken are cases that passed, and cases that the gate alone failed. Where a test
failed by itself, nothing is taken: leave it out by -k, and say so. A quick run
is never taken.
Entries of cases that the run does not have stay: a saved run may have been
narrowed down. With --prune those go whose module the run has; for that the run
must be complete, not narrowed down on its command line (-k, -m, --lf, ::), and
every test that did not pass must be known by what it recorded.
Only a run made with `pytest --dlbench-accept` tells how far rounding alone
moves a case. Any other is compared by its margins all the same.

exit codes: 0 accepted, 2 refused, and nothing was written.
"""

MOST_NAMED = 5
"""Cases that a refusal names."""

FAILED = frozenset({"failed", "error"})

NARROW = ("-k", "-m", "--lf", "--last-failed", "--sw", "--stepwise", "--deselect", "--ignore")
"""Of pytest's options: with these a run does not have all there is."""


def add_to(commands: Any) -> None:
    """Declare the command."""
    accept = commands.add_parser(
        "accept",
        help="make a saved run the baseline, without training",
        description="Makes a saved run the baseline of later runs, without training, and prints\n"
        "old -> new.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    accept.add_argument(
        "run",
        metavar="RUN",
        help="a number, a name, a path, commit:…, branch:…, last or latest",
    )
    accept.add_argument("-k", metavar="EXPRESSION", help="only cases that match, as in pytest")
    accept.add_argument(
        "--baseline",
        metavar="DIR",
        type=Path,
        help="where the baseline's files lie (default: as pytest is configured in the root folder, "
        "else baselines/ beside each test file)",
    )
    accept.add_argument(
        "--drift",
        action="store_true",
        help="take cases too that became worse by more than three margins since they were first "
        "accepted",
    )
    accept.add_argument(
        "--prune", action="store_true", help="remove cases that a complete run no longer has"
    )
    accept.add_argument(
        "--root",
        metavar="DIR",
        type=Path,
        default=Path(),
        help="pytest's root folder, from which test ids start (default: this folder)",
    )
    accept.add_argument(
        "--storage", metavar="DIR", help="where runs are saved (default: .benchmarks)"
    )
    accept.set_defaults(command=run)


def run(options: argparse.Namespace) -> None:
    """Choose the cases, accept them, print what changed.

    Raises:
        BaselineError: nothing that could be accepted.
        RecordError: a damaged file.
    """
    import shutil

    from dlbench.cli.selection import selected
    from dlbench.gate.accepting import accept
    from dlbench.gate.recorded import case_id, entry_in, rules_by_case, rules_in, taken_of
    from dlbench.gate.telling import accepted_lines, wrapped
    from dlbench.history import find, read_run
    from dlbench.history.naming import storage_folder

    path = find(options.run, storage_folder(options.storage)).path
    saved = read_run(path)
    meant = selected((), options.k)
    chosen = [record for record in saved.records if meant(case_id(record))]
    taken, left = acceptable_records(saved, chosen, path)
    found = configured(options.root, options.baseline)
    baseline = found.baseline()
    if options.prune and options.k:
        raise BaselineError("--prune takes a whole run: leave out -k")
    check_modules(saved.records if options.prune else taken, options.root)
    for record in taken:
        taken_of(record, path, rules_in)
    try:
        acceptance = accept(
            baseline,
            [taken_of(record, path, entry_in) for record in taken],
            false_alarm=found.false_alarm,
            rules=rules_by_case(taken),
            whole=present(saved, baseline, path) if options.prune else None,
            drift=options.drift,
        )
    except BaselineError as error:
        raise BaselineError(_here(str(error))) from error
    except (
        ValueError
    ) as error:  # such as an infinite yardstick; files are formatted before any write
        raise RecordError(f"{path}: what it holds cannot be kept: {error}") from error
    lines = accepted_lines(acceptance, found.false_alarm, options.root)
    lines += [f"left out {case}: {why}" for case, why in left.items()]
    lines += _unshaken(taken, acceptance)
    width = shutil.get_terminal_size().columns
    for line in wrapped(map(_here, lines), width):
        sys.stdout.write(f"{line}\n")


def _here(text: str) -> str:
    """Return what an accept says, with this command's option in place of pytest's."""
    return text.replace("--dlbench-accept=drift", "--drift")


def acceptable_records(
    saved: Run, chosen: Sequence[Record], path: Path
) -> tuple[list[Record], dict[str, str]]:
    """Return the records that are taken; and by case, why others are left out.

    Args:
        saved: the run.
        chosen: its records that are asked for.
        path: its file, for the message.

    Raises:
        BaselineError: a quick run, a test that failed by itself, or nothing that passed.
    """
    from dlbench.gate.accepting import acceptable
    from dlbench.gate.recorded import by_the_gate, case_id, taken_of

    if saved.session is not None and saved.session["quick"]:
        raise BaselineError(
            f"{path}: a quick look is no baseline, so nothing was written: train "
            "it without --dlbench-quick"
        )
    if not chosen:
        raise BaselineError(f"{path}: no case that is asked for is in it; nothing was written")
    gated = {one["case"] for one in saved.records if taken_of(one, path, by_the_gate)}
    judged = [_as_passed(record, gated) for record in chosen]
    failed = [record for record in judged if record["outcome"] in FAILED]
    if failed:
        cases = list(dict.fromkeys(case_id(record) for record in failed))
        named = "; ".join(
            f"{case_id(record)}: {record['message'] or record['outcome']}"
            for record in failed[:MOST_NAMED]
        )
        more = f"; and {len(cases) - MOST_NAMED} more" if len(cases) > MOST_NAMED else ""
        raise BaselineError(
            f"{path}: {len(cases)} of its cases failed, so nothing was written: {named}{more}. "
            'To accept the others, leave these out: -k "not …"'
        )
    reasons = [(record, acceptable(record) or _unread(record)) for record in judged]
    taken = [record for record, why in reasons if not why]
    left = {case_id(record): why for record, why in reasons if why}
    if not taken:
        listed = "; ".join(f"{case}: {why}" for case, why in list(left.items())[:MOST_NAMED])
        raise BaselineError(f"{path}: no case passed, so nothing was written: {listed}")
    return taken, left


def check_modules(records: Sequence[Record], root: Path) -> None:
    """Make sure that the tests lie in the root folder: beside them the baseline is written.

    Raises:
        BaselineError: a module that is not there, or whose path leads out of the folder.
    """
    for module in sorted({record["module"] for record in records}):
        path = root / module
        if not path.resolve().is_relative_to(root.resolve()):
            raise BaselineError(f"{module} leads out of {root.resolve()}; nothing was written")
        if not path.is_file():
            raise BaselineError(
                f"there is no {module} in {root.resolve()}: name the folder that pytest calls "
                "rootdir by --root; nothing was written"
            )


def present(saved: Run, baseline: Baseline, path: Path) -> Mapping[str, set[str]]:
    """Return the keys that are still there, by module of a run that had everything.

    Of a test that did not pass all that was accepted of it is still there: nobody knows what it
    would have recorded.

    Raises:
        BaselineError: a run that does not tell what is gone.
    """
    from dlbench.gate.entry import key_of

    if why := _not_whole(saved):
        raise BaselineError(f"{path}: --prune would remove what is still there: {why}")
    found: dict[str, set[str]] = {}
    for record in saved.records:
        keys = found.setdefault(record["module"], set())
        keys.add(key_of(record["case"], record["name"]))
        if record["outcome"] != "passed":
            test = key_of(record["case"], None)
            keys |= {
                key
                for key in baseline.entries(record["module"])
                if key == test or key.startswith(f"{test} name=")
            }
    return found


def _not_whole(saved: Run) -> str:
    """Return why a run may lack cases that are still there; "" where it has all."""
    import shlex

    session = saved.session
    if session is None or not session["complete"]:
        return "the run was interrupted, or does not say that it was complete"
    try:
        words = shlex.split(session["command"])
    except ValueError:
        words = [session["command"]]
    narrow = [word for word in words if word.startswith(NARROW) or "::" in word]
    if narrow:
        return f"the run was narrowed down: {' '.join(narrow)}"
    if left_out := session["counts"].get("deselected", 0):
        return f"{left_out} of its tests were left out, by an option, a configuration or a hook"
    bad = sum(count for outcome, count in session["counts"].items() if outcome != "passed")
    known = {record["case"] for record in saved.records if record["outcome"] != "passed"}
    if bad > len(known):
        return f"{bad - len(known)} of its tests did not pass and recorded nothing"
    return ""


def _as_passed(record: Record, gated: Collection[str]) -> Record:
    """Return a record whose test the gate alone failed as one that passed.

    The gate judges when a test's body is done, and a fixture's record when its teardown is, so that
    its sentence as the failure says that the test itself passed. Under an accept the gate reports
    and does not fail.
    """
    if record["outcome"] in FAILED and record["case"] in gated:
        return {**record, "outcome": "passed", "message": None}
    return record


def _unread(record: Record) -> str:
    """Return why a record that passed cannot be taken: nobody knows its test's rules."""
    if record.get("gate"):
        return ""
    return "it holds no rules of its test: a subtest failed, or the gate was not there yet"


def _unshaken(taken: Sequence[Record], acceptance: Acceptance) -> list[str]:
    """Return a line where cases were taken without a yardstick of rounding."""
    of: Callable[[Record], Any] = lambda record: (record.get("gate") or {}).get("yardstick")  # noqa: E731
    count = sum(record["kind"] == "convergence" and not of(record) for record in taken)
    if not count or not acceptance.written:
        return []
    return [
        (
            f"{count} of {len(taken)} cases do not tell rounding from change: only `pytest "
            "--dlbench-accept` measures how far rounding moves them; their margins hold all the same"
        )
    ]
