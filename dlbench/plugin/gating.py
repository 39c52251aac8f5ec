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

from dlbench.errors import BaselineError
from dlbench.plugin.case import case_key
from dlbench.plugin.collected import Collected
from dlbench.plugin.marker import rules_of, said_of_gates

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


class Gate:
    """Judges the records of one pytest run; registered as a plugin beside the session."""

    def __init__(self, config: pytest.Config, settings: Settings) -> None:
        self.root = config.rootpath
        self.settings = settings
        self.ci = os.environ.get("CI", "").lower() == "true"
        self.collected = Collected(config)
        self.suite: Suite | None = None
        self.acceptance: Acceptance | None = None
        self.missing: list[Verdict] = []

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
        """Return whether a verdict fails its case, as this run was started."""
        from dlbench.gate.suite import fails

        settings = self.settings
        return fails(verdict.degree, settings.gate, ci=self.ci, expect=settings.expect)

    # ---- a test

    @pytest.hookimpl(wrapper=True, trylast=True)
    def pytest_runtest_call(self, item: pytest.Item) -> Generator[None, None, None]:
        """Judge what a test recorded, once its body passed."""
        yield
        case = item.stash.get(case_key, None)
        if case is not None and case.enforces_bounds and not _may_fail(item):
            self._judge(case)

    def _judge(self, case: Case) -> None:
        """Give each of a test's records its verdict.

        Raises:
            pytest.fail.Exception: a verdict that fails in this mode.
        """
        from dlbench.gate.wording import sentence

        rules, failures = rules_of(case.item), []
        for record in case.records:
            gate: dict[str, Plain] = {"rules": said_of_gates(case.item)}
            record["gate"] = gate
            if self.active:
                verdict = self._verdict(case, record, rules)
                gate["verdict"] = verdict.to_builtins()
                if self.fails(verdict):
                    failures.append(sentence(verdict, expected=self.settings.expect or ""))
            if self.settings.accept:
                case.measure_rounding(record)
        if failures and not self.settings.accept:
            pytest.fail("\n".join(failures), pytrace=False)

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

    def settle(self, records: Iterable[Record]) -> list[str]:
        """Judge what only the whole run shows; return what fails it, in sentences.

        Args:
            records: of the whole run; the verdicts ride on them.
        """
        from dlbench.gate.recorded import verdict_in
        from dlbench.gate.suite import judge_suite
        from dlbench.gate.wording import sentence, suite_lines

        if not self.active:
            return []
        records = list(records)
        verdicts = [verdict for record in records if (verdict := verdict_in(record))]
        present = self.collected.present(records, self.baseline.entries)
        for module in sorted(present):
            self.missing += self._missing(module, present[module])
        self.suite = judge_suite([*verdicts, *self.missing], alpha=self.settings.false_alarm)
        if self.settings.accept:
            return []
        failed = [
            f"{verdict.key}: {sentence(verdict)}" for verdict in self.missing if self.fails(verdict)
        ]
        if self.suite.worse:
            failed += [line for line in suite_lines(self.suite) if line.startswith("worse")]
        return failed

    def _missing(self, module: str, present: set[str]) -> list[Verdict]:
        from dlbench.gate.accepting import is_gone
        from dlbench.gate.verdict import missing

        return [
            missing(entry)
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
