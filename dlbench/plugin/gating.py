"""The gate while tests run: each record's verdict right after the test's body, the rest at the end.

A verdict falls inside the test's call, so that it fails like any assertion: for `-x`, `--lf`, JUnit,
reruns and pytest-xdist. What no single test can know (cases that are missing, the suite as a whole)
is settled when all are done; accepting, too.
"""

from __future__ import annotations

import os
from functools import cached_property
from typing import TYPE_CHECKING

import pytest
from _pytest.skipping import evaluate_xfail_marks

from dlbench.errors import BaselineError, GateError
from dlbench.plugin.case import case_key
from dlbench.plugin.collected import Collected, tests_of
from dlbench.plugin.marker import check_curves, check_markers, rules_of, said_of_gates
from dlbench.plugin.session import STOP

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable

    from dlbench.gate.accepting import Acceptance
    from dlbench.gate.baseline import Baseline
    from dlbench.gate.rules import Rules
    from dlbench.gate.suite import Suite
    from dlbench.gate.verdict import Verdict
    from dlbench.history.record import Record
    from dlbench.plain import Plain
    from dlbench.plugin.case import Case
    from dlbench.plugin.options import Settings


body_passed = pytest.StashKey[bool]()
"""Whether a test's own body passed, whatever the gate says of it."""

STOPS = "the marker convergence of a test is wrong, see above"
"""What pytest says when it stops for that."""


class Gate:
    """Judges the records of one pytest run; registered as a plugin beside the session."""

    def __init__(self, config: pytest.Config, settings: Settings) -> None:
        self.root = config.rootpath
        self.settings = settings
        self.ci = os.environ.get("CI", "").lower() == "true"
        self.collected = Collected(config)
        self.suite: Suite | None = None
        self.acceptance: Acceptance | None = None
        self.missing: list[tuple[str, Verdict]] = []
        """The cases that are missing, each by its id from the root folder on."""
        self._wrong = ""
        """What is wrong with a marker, found where collection could not stop the session."""

    @cached_property
    def baseline(self) -> Baseline:
        """The accepted entries, by module."""
        from dlbench.gate.baseline import Baseline

        return Baseline(self.root, self.settings.baseline)

    @property
    def active(self) -> bool:
        """Whether there is anything to compare with: a baseline, and no word against it."""
        if self.settings.gate == "off" or self.settings.quick:
            return False
        return self.settings.baseline is not None or self.baseline.exists(self.collected.modules)

    def check(self, modules: Iterable[str]) -> None:
        """Read the baselines of these modules, so that a damaged one stops the run here.

        Raises:
            BaselineError: a file cannot be read, or the configured folder holds none for any
                module; it names the file and the remedy.
        """
        if self.settings.gate == "off" or self.settings.quick:
            return
        names = list(modules)
        for name in names:
            self.baseline.entries(name)
        configured = self.settings.baseline is not None and not self.settings.accept
        if names and configured and not self.baseline.modules():
            raise BaselineError(
                f"{self.settings.baseline} holds no file of any module, so every case would pass as new; "
                f"that of {names[0]} is {self.baseline.path_of(names[0])}. --dlbench-accept makes it, "
                "--dlbench-gate=off goes without"
            )

    def fails(self, verdict: Verdict) -> bool:
        """Return whether a verdict fails its case, as this run was started; none under an accept."""
        from dlbench.gate.suite import fails

        settings = self.settings
        if settings.accept:
            return False
        return fails(verdict.degree, settings.gate, ci=self.ci, expect=settings.expect)

    # ---- a test

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(
        self, config: pytest.Config, items: list[pytest.Item]
    ) -> None:
        """Check what markers say of curves; on a worker of pytest-xdist all that they say.

        Raises:
            pytest.UsageError: what is wrong; a worker keeps it, for it would count as a crash.
        """
        try:
            if is_worker := hasattr(config, "workerinput"):
                check_markers(items)
            if not config.option.collectonly:
                self._check_curves(items)
        except pytest.UsageError as error:
            if not is_worker:
                raise
            self._wrong = str(error)

    def _check_curves(self, items: Iterable[pytest.Item]) -> None:
        """Check the curves that markers name against those that their tests were accepted with."""
        settings = self.settings
        if settings.accept or settings.quick or settings.gate == "off":
            return
        for item in items:
            if not said_of_gates(item):
                continue
            from dlbench.gate.entry import key_of

            module, test = item.nodeid.split("::", 1)[0], key_of(item.nodeid, None)
            try:
                entries = self.baseline.entries(module)
            except BaselineError:
                continue  # said where it is needed
            known = {
                curve
                for key, entry in entries.items()
                if test in tests_of(key)
                for curve in entry.values
            }
            check_curves(item, known)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        """Stop the session at its first test where a worker found a marker that is wrong.

        Raises:
            pytest.UsageError: it names the marker's test.
        """
        item.stash[body_passed] = False  # a rerun begins anew
        if self._wrong:
            item.session.shouldstop = STOPS
            raise pytest.UsageError(self._wrong)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Stop the session where a marker speaks of a curve that its case does not have.

        Only a case that is called shows its curves. The report says so: a worker has no other voice.
        """
        report = yield
        if call.excinfo and call.excinfo.errisinstance(GateError) and case_key in item.stash:
            item.session.shouldstop = STOPS
        if item.session.shouldstop == STOPS:
            setattr(report, STOP, True)
        return report

    @pytest.hookimpl(wrapper=True, trylast=True)
    def pytest_runtest_call(self, item: pytest.Item) -> Generator[None, None, None]:
        """Judge what a test recorded, once its body passed."""
        yield
        item.stash[body_passed] = True
        self._judge(item)

    @pytest.hookimpl(wrapper=True, trylast=True)
    def pytest_runtest_teardown(self, item: pytest.Item) -> Generator[None, None, None]:
        """Judge what a fixture recorded after its test had passed; what is worse is an error."""
        yield
        if item.stash.get(body_passed, False) and case_key in item.stash:
            self._judge(item)
            case = item.stash[case_key]
            for record in case.records:
                if record["outcome"] == "interrupted":  # the report that says more has gone by
                    record["outcome"] = "failed" if case.failed else "passed"

    def _judge(self, item: pytest.Item) -> None:
        """Give each of a test's records that has none its verdict.

        Raises:
            pytest.fail.Exception: a verdict that fails in this mode.
            GateError: the test's marker speaks of what the case does not have.
        """
        case = item.stash.get(case_key, None)
        if case is None or not case.enforces_bounds or _may_fail(item):
            return
        from dlbench.gate.wording import sentence

        rules, failures = rules_of(item), []
        for record in [record for record in case.records if not record.get("gate")]:
            gate: dict[str, Plain] = {"rules": said_of_gates(item)}
            record["gate"] = gate
            self._check(record, rules)
            if self.active:
                verdict = self._verdict(case, record, rules)
                gate["verdict"] = verdict.to_builtins()
                if self.fails(verdict):
                    failures.append(sentence(verdict, expected=self.settings.expect or ""))
            if self.settings.accept:
                case.measure_rounding(record)
        if failures:
            pytest.fail("\n".join(failures), pytrace=False)

    def _check(self, record: Record, rules: Rules) -> None:
        """Check a test's rules against a loop's curves, which nobody knew before it ran.

        Raises:
            GateError: a curve that there is not, or whose direction nobody knows.
        """
        from dlbench.gate.entry import entry_of

        if record["kind"] == "loop" and self.settings.gate != "off":
            entry = entry_of(record)
            rules.check(entry.values, entry.higher_is_better)

    def _verdict(self, case: Case, record: Record, rules: Rules) -> Verdict:
        """Return a record's verdict, after training more seeds where they would decide it."""
        from dlbench.gate.entry import entry_of, key_of
        from dlbench.gate.judging import compare, wants_more
        from dlbench.gate.verdict import unknown_case

        accepted = self.baseline.entries(case.module).get(key_of(record["case"], record["name"]))
        if accepted is None:
            return unknown_case(entry_of(record))
        new = entry_of(record, floor=accepted.floor)
        rest = [seed for seed in accepted.seeds if seed not in new.seeds]
        verdict = compare(accepted, new, rules, look="first" if rest else "last")
        if rest and wants_more(verdict, accepted, new):
            case.train_further(record, rest)
            new = entry_of(record, floor=accepted.floor)
            verdict = compare(accepted, new, rules, look="last")
        return verdict

    # ---- the end

    def settle(self, records: Iterable[Record], *, ended: bool = True) -> list[str]:
        """Judge what only the whole run shows; return what fails it, in sentences.

        Args:
            records: of the whole run; the verdicts ride on them.
            ended: whether the run came to its end; else what it lacks is not missing.
        """
        from dlbench.gate.recorded import verdict_in
        from dlbench.gate.suite import judge_suite
        from dlbench.gate.wording import sentence, suite_lines

        if not self.active:
            return []
        records = list(records)
        verdicts = [verdict for record in records if (verdict := verdict_in(record))]
        present = self.collected.present(records, self.baseline.entries) if ended else {}
        for module in sorted(present):
            self.missing += self._missing(module, present[module])
        missing = [verdict for _, verdict in self.missing]
        self.suite = judge_suite([*verdicts, *missing], alpha=self.settings.false_alarm)
        if self.settings.accept:
            return []
        failed = [
            f"{case}: {sentence(verdict)}" for case, verdict in self.missing if self.fails(verdict)
        ]
        if self.suite.worse:
            failed += [line for line in suite_lines(self.suite) if line.startswith("worse")]
        return failed

    def _missing(self, module: str, present: set[str]) -> list[tuple[str, Verdict]]:
        from dlbench.gate.accepting import is_gone
        from dlbench.gate.drift import case_of
        from dlbench.gate.verdict import missing

        return [
            (case_of(entry), missing(entry))
            for key, entry in self.baseline.entries(module).items()
            if is_gone((module, key), {module: present})
        ]

    def accept(self, records: Iterable[Record]) -> None:
        """Make this run's records the baseline.

        Raises:
            BaselineError: nothing could be accepted, or a file cannot be read or written.
        """
        from dlbench.gate.accepting import accept, acceptable
        from dlbench.gate.recorded import entry_in, rules_by_case

        records = list(records)
        taken = [record for record in records if acceptable(record) is None and record.get("gate")]
        self.acceptance = accept(
            self.baseline,
            [entry_in(record) for record in taken],
            false_alarm=self.settings.false_alarm,
            rules=rules_by_case(taken),
            whole=self.collected.present(records, self.baseline.entries),
            drift=self.settings.accept == "drift",
        )


def _may_fail(item: pytest.Item) -> bool:
    """Return whether a test is marked to fail: what it records is no promise.

    pytest's own answer: a condition may be a text, and one of several markers may hold.
    """
    if getattr(item.config.option, "runxfail", False):
        return False
    return evaluate_xfail_marks(item) is not None
