"""What a pytest run gathers: records and figures as they arrive, and the report at its end."""

from __future__ import annotations

import os
import shlex
import shutil
import time
import traceback
from collections import Counter
from contextlib import nullcontext, suppress
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict

import pytest

from dlbench.errors import DlbenchError
from dlbench.plugin import saving
from dlbench.plugin.options import from_here
from dlbench.plugin.progress import Progress
from dlbench.plugin.summary import summary_lines
from dlbench.plugin.verdicts import markdown

if TYPE_CHECKING:
    from collections.abc import Generator

    from dlbench.history.record import Record
    from dlbench.history.run import Figure, Module, Run, Session
    from dlbench.plugin.gating import Gate
    from dlbench.plugin.options import Settings

session_key = pytest.StashKey["RunSession"]()

ATTRIBUTE = "dlbench"
"""The attribute of a test report on which records travel, from an xdist worker too.

Not `user_properties`: those land in JUnit's XML and pile up over reruns.
"""


STOP = "dlbench_stop"
"""The attribute of a test report that says that a marker is wrong, and stops the session."""

TO_THE_END = (
    pytest.ExitCode.OK,
    pytest.ExitCode.TESTS_FAILED,
    pytest.ExitCode.NO_TESTS_COLLECTED,
)
"""Exit codes of a run that went as far as it was asked to."""

WITH_SUMMARY = (*TO_THE_END, pytest.ExitCode.INTERRUPTED, pytest.ExitCode.USAGE_ERROR)
"""Exit codes with which pytest writes its closing summary."""


class Cargo(TypedDict):
    """What a test report carries; builtins only, since xdist carries nothing else."""

    records: list[Record]
    figures: list[Figure]
    module: str
    texts: Module
    position: int
    """The test's place among those collected: xdist brings reports back in any order."""


class RunSession:
    """Gathers what the tests report; on an xdist worker it gathers for nobody."""

    def __init__(self, config: pytest.Config, settings: Settings, gate: Gate) -> None:
        self.config = config
        self.settings = settings
        self.gate = gate
        self.is_worker = hasattr(config, "workerinput")
        self.problems: list[str] = []
        """What went wrong at the end, in sentences."""
        self.page: Path | None = None
        self.saved: list[Path] = []
        """What was saved here because pytest-benchmark is off."""
        self._complete = False
        self._collected = 0
        self._stopped = False
        self._interrupted = False
        self._left_out: Counter[str] = Counter()
        self._cargo: dict[str, Cargo] = {}
        self._outcomes: dict[str, str] = {}
        self._started = datetime.now().astimezone()
        self._start = time.monotonic()

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Keep what a report carries; a rerun's records replace the earlier ones."""
        self._stopped = self._stopped or hasattr(report, STOP)
        cargo: Cargo | None = getattr(report, ATTRIBUTE, None)
        if cargo is not None:
            self._cargo[report.nodeid] = cargo
        outcome = outcome_of(report)
        by_subtest = self._outcomes.get(report.nodeid) == "failed"
        if outcome != "passed" or (report.when == "call" and not by_subtest):
            self._outcomes[report.nodeid] = outcome

    @property
    def records(self) -> list[Record]:
        """Every record, in the order in which the tests were collected."""
        return [record for cargo in self._in_order() for record in cargo["records"]]

    def _in_order(self) -> list[Cargo]:
        return sorted(self._cargo.values(), key=lambda cargo: cargo["position"])

    @property
    def used(self) -> bool:
        """Whether any test used one of the fixtures."""
        return bool(self._cargo)

    def run(self) -> Run:
        """Return all that is known of this run."""
        from dlbench.history.environment import commit
        from dlbench.history.run import Run

        session: Session = {
            "started": self._started.isoformat(timespec="seconds"),
            "duration": round(time.monotonic() - self._start, 3),
            "command": shlex.join(["pytest", *self.config.invocation_params.args]),
            "seeds": len(self.settings.seeds),
            "quick": self.settings.quick,
            "counts": dict(Counter(self._outcomes.values()) + self._left_out),
            "complete": self._complete,
            "commit": commit(self.config.rootpath),
        }
        if self.gate.suite is not None:
            session["gate"] = {
                "false_alarm": self.settings.false_alarm,
                "missing": [case for case, _ in self.gate.missing],
            }
        return Run(
            records=self.records,
            session=session,
            introduction=self._introduction(),
            modules={cargo["module"]: cargo["texts"] for cargo in self._in_order()},
            figures=[figure for cargo in self._in_order() for figure in cargo["figures"]],
        )

    def _introduction(self) -> str:
        """Return the README.md beside the modules, where they lie in one folder that has one."""
        root = self.config.rootpath
        folders = {root.joinpath(cargo["module"]).parent for cargo in self._cargo.values()}
        if len(folders) != 1:
            return ""
        readme = folders.pop() / "README.md"
        try:
            return readme.read_text(encoding="utf-8", errors="replace")
        except OSError:
            return ""  # there is none, or it may not be read

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> Generator[None, None, None]:
        """Write `run.json` and the page; what cannot be written is told, and fails the session."""
        self._collected = session.testscollected
        self._complete = len(self._outcomes) >= self._collected
        # However a test was left out, by -k, in the ini file or by a hook: who prunes must know.
        self._left_out["deselected"] = self.gate.collected.count - session.testscollected
        ended = session.exitstatus in TO_THE_END and not self._stopped
        if self.used and not self.is_worker:
            self._settle_gate(ended=ended)
            self._write_summary()
            if self.settings.report is not None:
                self._write(self.settings.report, page=ended)
                if self._interrupted and session.exitstatus == pytest.ExitCode.OK:
                    session.exitstatus = pytest.ExitCode.INTERRUPTED
        if self._stopped and not self.is_worker:
            session.exitstatus = pytest.ExitCode.USAGE_ERROR
        saves = self.used and not self.is_worker and saving.is_asked_for(self.config)
        if saves and saving.is_left_to_us(self.config):
            self._save()
        if self.problems and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED
        if session.exitstatus not in WITH_SUMMARY:
            self._tell_problems()
        with saving.turn_to_save(self.config) if saves else nullcontext():
            return (yield)

    def _tell_problems(self) -> None:
        """Write the problems here, where pytest writes no closing summary to hold them."""
        reporter = self.config.pluginmanager.get_plugin("terminalreporter")
        if reporter is not None and self.problems:
            reporter.ensure_newline()
            for problem in self.problems:
                reporter.write_line(problem)

    def _save(self) -> None:
        """Save the run where pytest-benchmark is off; what cannot be saved is told."""
        try:
            with saving.turn_to_save(self.config):
                self.saved = saving.save(self.config)
        except OSError as error:
            self.problems.append(f"the run could not be saved: {error}")

    def _settle_gate(self, *, ended: bool) -> None:
        if not ended and self.gate.active:
            self.problems.append(
                f"stopped before its end, after {len(self._outcomes)} of {self._collected} tests: "
                "the verdicts are of those alone"
            )
        try:
            self.problems += self.gate.settle(self.records, ended=ended)
            if self.settings.accept and not ended:
                self.problems.append("interrupted: nothing was accepted")
            elif self.settings.accept:
                self.gate.accept(self.records)
                if self.gate.acceptance and (refused := self.gate.acceptance.refused):
                    self.problems.append(f"{len(refused)} of the cases were refused, see above")
        except DlbenchError as error:
            self.problems.append(str(error))

    def _write_summary(self) -> None:
        """Write the verdicts as Markdown where that is asked for, and where GitHub shows them."""
        text = markdown(self.gate, self.records, self.problems)
        if not text:
            return
        try:
            if self.settings.summary is not None:
                self.settings.summary.parent.mkdir(parents=True, exist_ok=True)
                self.settings.summary.write_text(text, encoding="utf-8")
            if shown := os.environ.get("GITHUB_STEP_SUMMARY"):
                with Path(shown).open("a", encoding="utf-8") as file:
                    file.write(text)
        except OSError as error:
            what = f"{error.filename}: {error.strerror}" if error.filename else str(error)
            self.problems.append(f"the summary could not be written: {what}")

    def _write(self, folder: Path, *, page: bool) -> None:
        """Write `run.json`, and the page unless somebody waits for the end of an interrupted run.

        Who interrupts the drawing alone learns no less of the tests.
        """
        from dlbench.history.run import write_run
        from dlbench.report import write_report

        told = f"the report could not be written to {from_here(self.config, folder)}"
        try:
            run = self.run()
            write_run(run, folder / "run.json")
            if page:
                progress = Progress(self.config)
                with suppress(KeyboardInterrupt), progress.of("writing the report", "sections"):
                    self.page = write_report(
                        run, folder, on_progress=lambda done, total, _: progress.update(done, total)
                    )
            if self.page is None:
                self._interrupted = True
                file = from_here(self.config, folder / "run.json")
                self.problems.append(
                    f"interrupted: no page was drawn; dlbench report {file} draws it"
                )
        except OSError as error:
            self.problems.append(f"{told}: {error.strerror or error}")
        except Exception:  # noqa: BLE001 - no defect of a report may hide what the tests found
            self.problems.append(f"{told}\n{traceback.format_exc()}")

    @pytest.hookimpl(trylast=True)
    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Write the closing table."""
        reporter = terminalreporter
        width = shutil.get_terminal_size().columns
        lines = [] if self.is_worker else summary_lines(self, width, color=reporter.hasmarkup)
        if lines:
            reporter.write_sep("=", "dlbench")
        lines += [f"saved without timings: {from_here(self.config, path)}" for path in self.saved]
        for line in lines:  # one by one: pytest writes a text that the terminal's encoding lacks
            reporter.write_line(line)  # in escapes, line ends too

    @pytest.hookimpl(optionalhook=True)
    def pytest_benchmark_update_json(self, output_json: dict[str, Any]) -> None:
        """Put the session and the modules' texts at the top of pytest-benchmark's file."""
        if self.used:
            from dlbench.history.record import KEY

            output_json[KEY] = self.run().header()
            saving.completed(output_json, self.records)


def outcome_of(report: pytest.TestReport) -> str:
    """Return what became of a test's phase: passed, failed, error, skipped, xfailed, xpassed."""
    if hasattr(report, "wasxfail"):
        return "xfailed" if report.skipped else "xpassed"
    if report.failed:
        return "failed" if report.when == "call" else "error"
    return str(report.outcome)


def first_line(report: pytest.TestReport) -> str | None:
    """Return the first line of why a test failed, or None where it did not."""
    crash: Any = getattr(report.longrepr, "reprcrash", None)
    text = getattr(crash, "message", None) or (str(report.longrepr) if report.failed else "")
    return next((line.strip() for line in text.splitlines() if line.strip()), None)
