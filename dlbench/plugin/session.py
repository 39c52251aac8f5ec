"""What a pytest run gathers: records and figures as they arrive, and the report at its end."""

from __future__ import annotations

import shlex
import shutil
import time
from collections import Counter
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypedDict

import pytest

from dlbench.plugin.summary import summary_lines

if TYPE_CHECKING:
    from pathlib import Path

    from dlbench.history.record import Record
    from dlbench.history.run import Figure, Module, Run
    from dlbench.plugin.options import Settings

session_key = pytest.StashKey["RunSession"]()

ATTRIBUTE = "dlbench"
"""The attribute of a test report on which records travel, from an xdist worker too.

Not `user_properties`: those land in JUnit's XML and pile up over reruns.
"""


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

    def __init__(self, config: pytest.Config, settings: Settings) -> None:
        self.config = config
        self.settings = settings
        self.is_worker = hasattr(config, "workerinput")
        self.problems: list[str] = []
        """What went wrong at the end, in sentences."""
        self.page: Path | None = None
        self._cargo: dict[str, Cargo] = {}
        self._outcomes: dict[str, str] = {}
        self._started = datetime.now().astimezone()
        self._start = time.monotonic()

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Keep what a report carries; a rerun's records replace the earlier ones."""
        cargo: Cargo | None = getattr(report, ATTRIBUTE, None)
        if cargo is not None:
            self._cargo[report.nodeid] = cargo
        outcome = outcome_of(report)
        if report.when == "call" or outcome in {"error", "skipped"}:
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

    def run(self, exit_status: int) -> Run:
        """Return all that is known of this run."""
        from dlbench.history.environment import commit
        from dlbench.history.run import Run

        ended = (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED)
        limited = bool(self.config.getoption("maxfail", 0)) and "failed" in self._outcomes.values()
        return Run(
            records=self.records,
            session={
                "started": self._started.isoformat(timespec="seconds"),
                "duration": round(time.monotonic() - self._start, 3),
                "command": shlex.join(["pytest", *self.config.invocation_params.args]),
                "seeds": len(self.settings.seeds),
                "quick": self.settings.quick,
                "counts": dict(Counter(self._outcomes.values())),
                "complete": exit_status in ended and not limited,
                "commit": commit(self.config.rootpath),
            },
            introduction=self._introduction(),
            modules={cargo["module"]: cargo["texts"] for cargo in self._in_order()},
            figures=[figure for cargo in self._in_order() for figure in cargo["figures"]],
        )

    def _introduction(self) -> str:
        """Return the README.md beside the modules, where they all lie in one folder that has one."""
        folders = {self.config.rootpath.joinpath(cargo["module"]).parent for cargo in self._cargo.values()}
        readme = folders.pop() / "README.md"
        return readme.read_text(encoding="utf-8") if not folders and readme.is_file() else ""

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self, exitstatus: int) -> None:
        """Write `run.json` and the page; what cannot be written is told, and loses nothing else."""
        folder = self.settings.report
        if self.is_worker or folder is None or not self.used:
            return
        from dlbench.history.run import write_run
        from dlbench.report import write_report

        run = self.run(exitstatus)
        try:
            write_run(run, folder / "run.json")
            self.page = write_report(run, folder)
        except OSError as error:
            self.problems.append(
                f"the report could not be written to {folder}: {error.strerror or error}"
            )

    @pytest.hookimpl(trylast=True)
    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Write the closing table."""
        reporter = terminalreporter
        width = shutil.get_terminal_size().columns
        lines = [] if self.is_worker else summary_lines(self, width, color=reporter.hasmarkup)
        if lines:
            reporter.section("dlbench")
            reporter.write("\n".join(lines) + "\n")

    @pytest.hookimpl(optionalhook=True)
    def pytest_benchmark_update_json(self, output_json: dict[str, Any]) -> None:
        """Put the session and the modules' texts into pytest-benchmark's file, beside the records."""
        if self.used:
            from dlbench.history.record import KEY

            output_json[KEY] = self.run(pytest.ExitCode.OK).header()


def outcome_of(report: pytest.TestReport) -> str:
    """Return the one word for a test's phase: passed, failed, error, skipped, xfailed or xpassed."""
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

