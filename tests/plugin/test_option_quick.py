"""`--dlbench-quick`: a first look, in which bounds are shown and fail nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.conftest import Suite


def test_few_seeds_and_short_runs(suite: Suite) -> None:
    """Three seeds, and no run makes more than 200 updates; a shorter one stays as it is."""
    suite.write("""
        def test_long(convergence):
            how = {"steps": 10**6, "seeds": None, "probes": ["distance"]}
            runs = convergence(build, **LEARNS | how)
            assert runs.points[-1] == 200
            assert list(runs.curves)[-1] == "probe_distance"

        def test_short(convergence):
            runs = convergence(build, **LEARNS | {"seeds": None})
            assert runs.points[-1] == 5

        def test_loop(convergence):
            assert convergence.record(loop).seeds == (0, 1, 2)

        def test_own_seeds(convergence):
            assert convergence(build, **LEARNS | {"seeds": 5}).seeds == (0, 1, 2)
            assert convergence.record(loop, seeds=[7, 8, 9, 5], name="loop").seeds == (7, 8, 9)
            assert convergence.record(loop, seeds=[4], name="one").seeds == (4,)
    """)
    ran = suite.run("--dlbench-quick", "--benchmark-disable")
    ran.result.assert_outcomes(passed=4)
    assert "would not have held" not in ran.output
    assert [record["runs"]["seeds"] for record in ran.records[:3]] == [[0, 1, 2]] * 3
    assert {record["bounds"] for record in ran.records} == {"off"}
    ran.result.stdout.fnmatch_lines(
        [
            "dlbench: keras on torch*, 3 seeds",
            "dlbench: a quick look: up to 200 updates a run, two cases a test, bounds off",
        ]
    )


def test_seeds_can_still_be_chosen(suite: Suite) -> None:
    """`--dlbench-seeds` beside it counts."""
    suite.write("def test_loop(convergence): convergence.record(loop)")
    ran = suite.run("--dlbench-quick", "--dlbench-seeds=1")
    assert ran.record["runs"]["seeds"] == [0]


def test_first_and_last_case_of_each_test(suite: Suite) -> None:
    """A parametrized test keeps two cases, a marked one none; what is not ours is left alone."""
    suite.write(
        """
        @pytest.mark.parametrize("i", range(7))
        def test_seven(convergence, i):
            convergence.record(loop)

        @pytest.mark.parametrize("i", range(2))
        def test_two(convergence, i):
            convergence.record(loop)

        class TestOne:
            @pytest.mark.parametrize("i", range(4))
            def test_seven(self, convergence, i):
                convergence.record(loop)

        @pytest.mark.parametrize("i", range(4))
        def test_counts(parameters, i):
            pass

        @pytest.mark.convergence(quick=False)
        def test_long(convergence):
            raise AssertionError

        @pytest.mark.convergence(quick=False)
        class TestLong:
            def test_long(self, parameters):
                raise AssertionError

            @pytest.mark.convergence(quick=True)
            def test_short(self, parameters):
                pass

        @pytest.mark.parametrize("i", range(4))
        def test_plain(i):
            pass
    """,
        name="brackets[1]/test_tiny.py",
    )
    ran = suite.run("--dlbench-quick")
    ran.result.assert_outcomes(passed=2 + 2 + 2 + 2 + 1 + 4, deselected=5 + 2 + 2 + 2)
    kept = [record["case"].split("::", 1)[1] for record in ran.records]
    assert kept == [
        *("test_seven[0]", "test_seven[6]"),
        *("test_two[0]", "test_two[1]"),
        *("TestOne::test_seven[0]", "TestOne::test_seven[3]"),
    ]


def test_a_marked_test_is_left_out_whatever_its_fixtures(suite: Suite) -> None:
    """`quick=False` on a whole module drops its tests that use no fixture of ours, too."""
    suite.write("""
        pytestmark = pytest.mark.convergence(quick=False)

        @pytest.mark.parametrize("i", range(3))
        def test_plain(i):
            raise AssertionError

        def test_long(convergence):
            raise AssertionError

        @pytest.mark.convergence(quick=True)
        def test_short():
            pass
    """)
    suite.run("--dlbench-quick").result.assert_outcomes(passed=1, deselected=4)
    suite.run().result.assert_outcomes(passed=1, failed=4)


def test_bounds_are_shown_and_fail_nothing(suite: Suite) -> None:
    """An assertion that does not hold is told at the end; the test passes."""
    suite.write("""
        def test_bound(convergence):
            convergence.record(loop)
            assert 1 > 2, "a bound"

        def test_counted(parameters):
            parameters(build)
            assert 1 > 2, "exact"

        def test_plain():
            assert 1 > 2, "of another suite"
    """)
    ran = suite.run("--dlbench-quick")
    ran.result.assert_outcomes(passed=1, failed=2)
    trained, counted = ran.records
    assert (trained["outcome"], trained["bounds"]) == ("passed", "off")
    assert trained["message"].startswith("a bound")
    assert (counted["outcome"], counted["bounds"]) == ("failed", "enforced")
    ran.result.stdout.fnmatch_lines(
        [
            "bounds are off (--dlbench-quick): assertions were tried, and fail no test",
            "  would not have held: test_tiny.py::test_bound: a bound*",
        ]
    )


def test_bounds_of_unittest_are_no_different(suite: Suite) -> None:
    """A TestCase keeps its failures to itself at first; they fail nothing either."""
    suite.write("""
        import unittest

        class TestCase(unittest.TestCase):
            @pytest.fixture(autouse=True)
            def take(self, convergence):
                self.convergence = convergence

            def test_bound(self):
                self.convergence.record(loop)
                self.assertEqual(1, 2)
    """)
    ran = suite.run("--dlbench-quick")
    ran.result.assert_outcomes(passed=1)
    assert "would not have held: test_tiny.py::TestCase::test_bound: 1 != 2" in ran.output


def test_errors_still_fail(suite: Suite) -> None:
    """Only assertions are let through: a mistake is a mistake, and no bound."""
    suite.write("""
        def test_mistake(convergence):
            convergence.record(loop)
            raise KeyError("a mistake")
    """)
    ran = suite.run("--dlbench-quick")
    ran.result.assert_outcomes(failed=1)
    assert "would not have held" not in ran.output


def test_an_expected_failure_stays_one(suite: Suite) -> None:
    """A bound that is known not to hold fails as expected: letting it through would be an XPASS."""
    suite.write("""
        @pytest.mark.xfail(strict=True)
        def test_known(convergence):
            convergence.record(loop)
            assert False
    """)
    suite.run("--dlbench-quick").result.assert_outcomes(xfailed=1)


@pytest.mark.parametrize(("ini", "bounds"), [("true", "off"), ("false", "enforced")])
def test_as_an_ini_key(suite: Suite, ini: str, bounds: str) -> None:
    """`dlbench_quick = true` does the same."""
    suite.pytester.makeini(f"[pytest]\ndlbench_quick = {ini}\n")
    suite.write("def test_loop(convergence): convergence.record(loop)")
    assert suite.run().record["bounds"] == bounds
