"""What the first test with dlbench leaves in memory is set aside, and given back at the end."""

from __future__ import annotations

import pytest

TEST = """\
import gc

import pytest

COUNTS = []

@pytest.fixture(autouse=True)
def count():
    COUNTS.append(gc.get_freeze_count())

def test_first(convergence):
    import keras
    convergence.record(train=lambda seed: {"loss": [1.0, 0.5]}, seeds=1)

def test_second():
    before, after = COUNTS
    assert ASSERTED
"""

CONFTEST = """\
import gc
import pytest

@pytest.hookimpl(trylast=True)
def pytest_unconfigure(config):
    print("frozen at the end:", gc.get_freeze_count() > 0)
"""


INTERRUPTED = """\
def test_without():
    STEP

def test_with(convergence):
    raise KeyboardInterrupt
"""

LEAVING = """\
import atexit
import gc

atexit.register(lambda: print("set aside:", gc.get_freeze_count() > 10_000))
"""


def last_line(pytester: pytest.Pytester, asserted: str, conftest: str = CONFTEST) -> str:
    """Run the tests in a process of their own; return the last line."""
    pytester.makeconftest(conftest)
    pytester.makepyfile(TEST.replace("ASSERTED", asserted))
    result = pytester.runpytest_subprocess()
    result.assert_outcomes(passed=2)
    return str(result.outlines[-1])


def test_it_is_set_aside_and_given_back(pytester: pytest.Pytester) -> None:
    """From the end of the first test that trains to the end of the session."""
    last = last_line(pytester, "before == 0 and after > 10_000")
    assert last == "frozen at the end: False"


def test_what_somebody_else_froze_is_left_alone(pytester: pytest.Pytester) -> None:
    """Nothing is set aside beside it: to thaw ours would thaw theirs."""
    last = last_line(pytester, "0 < after <= before", CONFTEST + "\ngc.freeze()\n")
    assert last == "frozen at the end: True"


@pytest.mark.parametrize(("step", "found"), [("pass", True), ("raise KeyboardInterrupt", False)])
def test_python_takes_leave_at_once(pytester: pytest.Pytester, step: str, found: bool) -> None:
    """What a process ends with is not searched for cycles, where a test with dlbench is interrupted."""
    pytester.makeconftest(LEAVING)
    pytester.makepyfile(INTERRUPTED.replace("STEP", step))
    result = pytester.runpytest_subprocess()
    assert result.ret == pytest.ExitCode.INTERRUPTED
    assert result.outlines[-1] == f"set aside: {found}"
