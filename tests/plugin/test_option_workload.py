"""`--dlbench-workload`: the suite's analyses on the reader's own model and data."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.conftest import Suite

MINE = """
from dlbench import Workload

workload = Workload(name="mine", model=build, **{
    key: LEARNS[key] for key in ("data", "loss", "metrics", "target")
})


def made():
    return workload


def broken():
    raise ZeroDivisionError("inside")


number = 3
"""

TESTS = """
    HOW = {"learning_rate": 5.0, "batch_size": "full", "steps": 2, "seeds": 1}

    def test_theirs(convergence, workload):
        runs = convergence(workload, **HOW)
        assert runs.experiment["workload"] == "another"

    def test_own(convergence):
        convergence.record(loop)
        assert 1 > 2
"""


@pytest.mark.parametrize("spec", ["mine.py:workload", "mine.py:made", "./mine.py:workload"])
def test_the_fixture_returns_it_and_its_bounds_are_off(suite: Suite, spec: str) -> None:
    """A workload or a function that makes one; bounds hold where the test does not use it."""
    suite.write(MINE, name="mine.py")
    suite.write(TESTS)
    ran = suite.run(f"--dlbench-workload={spec}", "--benchmark-disable")
    ran.result.assert_outcomes(passed=1, failed=1)
    theirs, own = ran.records
    assert theirs["runs"]["experiment"]["workload"] == "mine"
    assert (theirs["bounds"], own["bounds"]) == ("off", "enforced")
    ran.result.stdout.fnmatch_lines(
        [
            f"dlbench: workload {spec}; bounds and gate of tests that use it are off",
            "bounds are off (--dlbench-workload): assertions were tried, and fail no test",
            "  would not have held: test_tiny.py::test_theirs: assert 'mine' == 'another'*",
        ]
    )


WRONG = {
    "nowhere.py:workload": "there is no file",
    "mine.py:wrokload": "did you mean workload",
    "mine.py": "expected FILE.py:NAME",
    "mine.py:number": "must be a dlbench.Workload",
    "no.such.module:name": "there is no module 'no'",
}


@pytest.mark.parametrize(("spec", "words"), WRONG.items(), ids=WRONG)
def test_a_typo_stops_the_run_before_it_trains(suite: Suite, spec: str, words: str) -> None:
    """Exit code 4 and a sentence that says what the name leads to; no test is begun."""
    suite.write(MINE, name="mine.py")
    suite.write(TESTS)
    ran = suite.run(f"--dlbench-workload={spec}")
    assert ran.result.ret == pytest.ExitCode.USAGE_ERROR
    assert f"ERROR: --dlbench-workload={spec}: " in ran.output
    assert words in ran.output
    assert "Traceback" not in ran.output
    assert ran.records == []


def test_nobody_loads_it_where_no_test_asks_for_it(suite: Suite) -> None:
    """A suite without the `workload` fixture is not stopped by the option."""
    suite.write("def test_own(convergence): convergence.record(loop)")
    suite.run("--dlbench-workload=nowhere.py:workload").result.assert_outcomes(passed=1)


def test_without_it_the_fixture_is_the_digits(suite: Suite) -> None:
    """By default the analyses train scikit-learn's digits, and a conftest.py may say otherwise."""
    suite.write("""
        def test_default(workload):
            assert "digits" in workload.name
            assert len(workload.data.train) == 1437
    """)
    suite.run().result.assert_outcomes(passed=1)
    suite.pytester.makeconftest("""
        import pytest

        @pytest.fixture
        def workload():
            return "another"
    """)
    ran = suite.run()
    ran.result.assert_outcomes(failed=1)
    assert "AttributeError: 'str' object has no attribute 'name'" in ran.output


def test_as_an_ini_key(suite: Suite) -> None:
    """`dlbench_workload` does the same, and the command line wins over it."""
    suite.pytester.makeini("[pytest]\ndlbench_workload = nowhere.py:workload\n")
    suite.write(MINE, name="mine.py")
    suite.write(TESTS)
    assert suite.run().result.ret == pytest.ExitCode.USAGE_ERROR
    ran = suite.run("--dlbench-workload=mine.py:made", "-k", "theirs", "--benchmark-disable")
    ran.result.assert_outcomes(passed=1, deselected=1)
    told = "the command line overrides dlbench_workload=nowhere.py:workload"
    assert told in ran.result.outlines
