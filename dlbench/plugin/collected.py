"""Which tests there are, selected or not: what a case that is missing is told by."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from dlbench.history.record import Record

EMPTY = "NOTSET"
"""What pytest calls a parameter whose list is empty."""

OUTPUT = "dlbench_collected"
"""The key in an xdist worker's output: the controller sees no tests itself."""


class Collected:
    """The ids of the tests in each module that was collected whole; registered as a plugin."""

    def __init__(self, config: pytest.Config) -> None:
        self.config = config
        self._tests: dict[str, list[str]] = {}
        self._whole = not _picks_single_tests(config)

    @property
    def modules(self) -> list[str]:
        """The paths of the modules that were collected, whole or not."""
        return list(self._tests)

    @property
    def count(self) -> int:
        """How many tests there are, selected or not."""
        return sum(map(len, self._tests.values()))

    def pytest_itemcollected(self, item: pytest.Item) -> None:
        """Note a test as it is found: before any hook can deselect or drop it."""
        self._tests.setdefault(item.nodeid.split("::", 1)[0], []).append(item.nodeid)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Note that something could not be collected: what it holds is not missing."""
        if report.failed:
            self._whole = False

    def pytest_sessionfinish(self) -> None:
        """Hand over what a worker of pytest-xdist collected."""
        if hasattr(self.config, "workeroutput"):
            self.config.workeroutput[OUTPUT] = {"tests": self._tests, "whole": self._whole}

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        """Take over what a worker collected; all collect the same."""
        found = getattr(node, "workeroutput", {}).get(OUTPUT)
        if found is not None:
            self._tests = found["tests"]
            self._whole = self._whole and found["whole"]

    def present(
        self, records: Iterable[Record], accepted: Callable[[str], Iterable[str]]
    ) -> dict[str, set[str]]:
        """Return the cases that are still there, by module that was collected whole.

        Of a test that passed they are its records; of any other all that was accepted of it, since
        nobody knows what it would have recorded. Where a list of parameters is empty, such as that
        of the devices here, every case of the test is there.

        Args:
            records: of this run.
            accepted: returns the keys that a module has in the baseline.
        """
        from dlbench.gate.entry import key_of

        if not self._whole:
            return {}
        keys = {record["case"]: set[str]() for record in records if record["outcome"] == "passed"}
        for record in records:
            if record["case"] in keys:
                keys[record["case"]].add(key_of(record["case"], record["name"]))
        found = {}
        for module, tests in self._tests.items():
            there = set[str]().union(*(keys.get(test, ()) for test in tests))
            unseen = {key_of(test, None) for test in tests if test not in keys}
            open_ended = tuple(_function(test) + "[" for test in unseen if _is_empty(test))
            found[module] = there | {
                key
                for key in accepted(module)
                if tests_of(key) & unseen or key.startswith(open_ended)
            }
        return found


def tests_of(key: str) -> set[str]:
    """Return what a key's test may be: up to a ` name=`, which a test's own id may hold, too."""
    parts = key.split(" name=")
    return {" name=".join(parts[: count + 1]) for count in range(len(parts))}


def _function(test: str) -> str:
    """Return a test's id without its parameters; a folder's or file's name may have brackets too."""
    path, separator, rest = test.partition("::")
    return path + separator + rest.partition("[")[0]


def _is_empty(test: str) -> bool:
    """Return whether a test stands for an empty list of parameters."""
    parameters = test.partition("::")[2].partition("[")[2].removesuffix("]")
    return EMPTY in parameters.split("-")


def _picks_single_tests(config: pytest.Config) -> bool:
    """Return whether the command line leaves out tests before they are collected."""
    option = config.option
    narrow = any(getattr(option, name, False) for name in ("lf", "stepwise", "last_failed"))
    return narrow or any("::" in str(argument) for argument in config.args)
