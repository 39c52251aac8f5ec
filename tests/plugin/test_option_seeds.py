"""`--dlbench-seeds`: how many seeds, or which."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

import pytest

from dlbench.plugin.options import DEFAULT_SEEDS, MOST_SEEDS, seed_range

if TYPE_CHECKING:
    from tests.conftest import Suite

LOOP = """
    def test_loop(convergence):
        convergence.record(loop)
"""

WRONG = ["", "0", "-1", "x", "1.5", "5-3", "3-", "-3", "1-2-3", "²", "9" * 5000]
TOO_MANY = [str(MOST_SEEDS + 1), "0-100000", "4294967295-4294967296", "99999999999999999999"]


@pytest.mark.parametrize(
    ("text", "seeds"),
    [
        ("1", range(1)),
        ("16", range(16)),
        (" 3 ", range(3)),
        ("100-115", range(100, 116)),
        ("7-7", range(7, 8)),
        ("4294967295-4294967295", range(2**32 - 1, 2**32)),
        (str(MOST_SEEDS), range(MOST_SEEDS)),
    ],
)
def test_a_number_or_a_range(text: str, seeds: range) -> None:
    """`16` stands for 0 to 15, `100-115` for those."""
    assert seed_range(text) == seeds


@pytest.mark.parametrize("text", WRONG + TOO_MANY, ids=lambda text: text[:20] or "nothing")
def test_anything_else_is_refused(text: str) -> None:
    """No seed, no number, or more than can be meant: said with both forms."""
    with pytest.raises(argparse.ArgumentTypeError, match="or a range such as 100-115"):
        seed_range(text)


@pytest.mark.parametrize(
    ("ini", "option", "seeds"),
    [
        ("", [], range(DEFAULT_SEEDS)),
        ("dlbench_seeds = 2", [], range(2)),
        ("dlbench_seeds = 10-12", [], range(10, 13)),
        ("", ["--dlbench-seeds=3"], range(3)),
        ("dlbench_seeds = 2", ["--dlbench-seeds", "20-21"], range(20, 22)),
    ],
)
def test_the_command_line_wins_over_the_ini_file(
    suite: Suite, ini: str, option: list[str], seeds: range
) -> None:
    """Seeds come from the option, else from the ini key, else there are 16."""
    suite.pytester.makeini(f"[pytest]\n{ini}\n")
    suite.write(LOOP)
    ran = suite.run(*option)
    ran.result.assert_outcomes(passed=1)
    assert ran.record["runs"]["seeds"] == list(seeds)


def test_what_was_overridden_is_told(suite: Suite) -> None:
    """The end says which of the ini file's settings did not count; the same again is no override."""
    suite.pytester.makeini("[pytest]\ndlbench_seeds = 2\n")
    suite.write(LOOP)
    told = "the command line overrides dlbench_seeds=2"
    assert told in suite.run("--dlbench-seeds=3").result.outlines
    assert told not in suite.run("--dlbench-seeds=2").result.outlines
    assert told not in suite.run().result.outlines


def test_a_case_that_names_its_seeds_keeps_them(suite: Suite) -> None:
    """`seeds=` in the test is stronger than the option."""
    suite.write("""
        def test_loop(convergence):
            convergence.record(loop, seeds=[5])
    """)
    assert suite.run("--dlbench-seeds=3").record["runs"]["seeds"] == [5]


def test_the_header_says_which_seeds(suite: Suite) -> None:
    """How many, and from where if not from 0."""
    suite.write(LOOP)
    suite.run("--dlbench-seeds=1").result.stdout.fnmatch_lines(["dlbench: keras on torch*, 1 seed"])
    ran = suite.run("--dlbench-seeds=20-21")
    ran.result.stdout.fnmatch_lines(["dlbench: keras on torch*, 2 seeds from 20"])


@pytest.mark.parametrize("where", ["option", "ini"])
def test_a_wrong_value_stops_before_collection(suite: Suite, where: str) -> None:
    """A typo ends the run with exit code 4 and the forms that are understood."""
    suite.write("raise SystemError('collected')")
    if where == "ini":
        suite.pytester.makeini("[pytest]\ndlbench_seeds = many\n")
    result = suite.pytester.runpytest_inprocess(
        *(["--dlbench-seeds=many"] if where == "option" else [])
    )
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*seeds must be a number from 1 to 100000 or a range*'many'*"])
    assert "collected" not in str(result.stdout)
