"""Ctrl-C in a training ends the session soon, and says where in the test it was."""

from __future__ import annotations

import pytest

TEST = """\
import keras

def interrupt(**arguments):
    raise KeyboardInterrupt

def test_it(convergence):
    convergence.record(train=lambda seed: interrupt())  # here

def test_own():
    interrupt()  # there
"""


def line_of(word: str) -> int:
    """Return the number of the line with a remark."""
    return next(n for n, line in enumerate(TEST.splitlines(), start=1) if word in line)


def test_the_line_of_the_test_is_named(pytester: pytest.Pytester) -> None:
    """What is printed is the call of the fixture, not a frame deep inside of a training."""
    path = pytester.makepyfile(TEST)
    result = pytester.runpytest_subprocess("-k", "test_it")
    assert result.ret == pytest.ExitCode.INTERRUPTED
    result.stdout.fnmatch_lines([f"*{path.name}:{line_of('here')}: KeyboardInterrupt"])


def test_the_whole_trace_is_there_when_asked_for(pytester: pytest.Pytester) -> None:
    """With --full-trace every frame is told, down to the one that was interrupted."""
    path = pytester.makepyfile(TEST)
    result = pytester.runpytest_subprocess("-k", "test_it", "--full-trace")
    result.stdout.fnmatch_lines([f"*{path.name}:{line_of('raise')}: KeyboardInterrupt"])


def test_other_tests_are_left_alone(pytester: pytest.Pytester) -> None:
    """An interrupt outside of dlbench is told as pytest tells it."""
    path = pytester.makepyfile(TEST)
    result = pytester.runpytest_subprocess("-k", "test_own")
    result.stdout.fnmatch_lines([f"*{path.name}:{line_of('raise')}: KeyboardInterrupt"])
