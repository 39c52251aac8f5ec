"""The bounds that a test asserts, as its assertions hold or fail: each into its record.

That an assertion holds, pytest tells by a hook, where the ini key `enable_assertion_pass_hook` is on;
of one that fails, the traceback tells. Without the key, and under `--assert=plain`, only the latter is
known. A test runs as it did in any case.
"""

from __future__ import annotations

import ast
import linecache
import sys
from collections import ChainMap, Counter
from contextlib import contextmanager
from functools import lru_cache
from typing import TYPE_CHECKING

import pytest

from dlbench.plugin.asserted import Scope, bounds_in
from dlbench.plugin.case import Case, case_key

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from types import FrameType

NAME = "dlbench-bounds"

REWRITTEN = "@pytest_ar"
"""A name in every module whose assertions pytest has rewritten."""


@contextmanager
def listening(item: pytest.Item) -> Iterator[None]:
    """Hear of the assertions of a test that trains.

    Of no other test: for each assertion that somebody hears of, pytest writes an explanation first.
    """
    plugins = item.config.pluginmanager
    if "convergence" not in getattr(item, "fixturenames", ()) or plugins.has_plugin(NAME):
        yield
        return
    plugins.register(Listener(), NAME)
    try:
        yield
    finally:
        plugins.unregister(name=NAME)


class Listener:
    """Hears of each assertion that holds."""

    @pytest.hookimpl
    def pytest_assertion_pass(self, item: pytest.Item, lineno: int) -> None:
        """Note the bounds in it."""
        case = item.stash.get(case_key, None)
        frame: FrameType | None = sys._getframe(1)  # noqa: SLF001 - whose names are asked for
        while frame and not (frame.f_lineno == lineno and REWRITTEN in frame.f_globals):
            frame = frame.f_back
        if case and frame:
            note(case, frame, lineno, held=True)


def note_failed(case: Case, call: pytest.CallInfo[None]) -> None:
    """Note the bounds in the assertion that a test failed at."""
    if call.when == "call" and call.excinfo and isinstance(call.excinfo.value, AssertionError):
        place = call.excinfo.tb
        while place.tb_next:
            place = place.tb_next
        note(case, place.tb_frame, place.tb_lineno, held=False)


def note(case: Case, frame: FrameType, line: int, *, held: bool) -> None:
    """Put the bounds that are asserted in a line into the records of the runs they are on."""
    if not case.runs:
        return
    try:
        linecache.checkcache(frame.f_code.co_filename)
        text = "".join(linecache.getlines(frame.f_code.co_filename, frame.f_globals))
        if (found := _at(_assertions(text), line)) is None:
            return
        test, written = found
        names = ChainMap(frame.f_locals, frame.f_globals)
        scope = Scope(names, written, known=lambda one: any(one is runs for _, runs in case.runs))
        for runs, bound in bounds_in(test, scope, held=held):
            case.keep_bound(runs, bound)
    except Exception:  # noqa: BLE001 - whatever a test's names hold, it ends as it would have
        return


_Assertions = list[tuple[range, ast.expr, dict[str, ast.expr]]]


def _at(assertions: _Assertions, line: int) -> tuple[ast.expr, Mapping[str, ast.expr]] | None:
    return next(((test, written) for lines, test, written in assertions if line in lines), None)


@lru_cache(maxsize=8)
def _assertions(text: str) -> _Assertions:
    """Return a file's assertions: their lines, what is asserted, how the names in it were assigned."""
    found: dict[range, tuple[ast.expr, dict[str, ast.expr]]] = {}
    for function in ast.walk(ast.parse(text)):  # outer ones first: the innermost has the last word
        if isinstance(function, (ast.FunctionDef, ast.AsyncFunctionDef)):
            written = _written(function)
            for part in ast.walk(function):
                if isinstance(part, ast.Assert):
                    lines = range(part.lineno, (part.end_lineno or part.lineno) + 1)
                    found[lines] = part.test, written
    return [(lines, *rest) for lines, rest in found.items()]


def _written(function: ast.FunctionDef | ast.AsyncFunctionDef) -> dict[str, ast.expr]:
    """Return the names that a function assigns once, alone, each with what it is assigned."""
    parts = list(ast.walk(function))
    stores = [
        one.id for one in parts if isinstance(one, ast.Name) and isinstance(one.ctx, ast.Store)
    ]
    taken = [one.arg for one in parts if isinstance(one, ast.arg)]
    times = Counter(stores + taken)
    return {
        target.id: part.value
        for part in parts
        if isinstance(part, ast.Assign)
        for target in part.targets
        if isinstance(target, ast.Name) and times[target.id] == 1
    }
