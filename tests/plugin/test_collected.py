"""Which cases are missing: only those whose file was collected whole, and that nothing held back."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.plugin.loops import HEAD, ONE, TWO, accepted

if TYPE_CHECKING:
    from tests.conftest import Suite

DROPS = """
    import pytest

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection_modifyitems(items):
        items[:] = [item for item in items if "[b]" not in item.name]
"""

WRAPS = DROPS.replace("tryfirst=True", "tryfirst=True, wrapper=True").replace(
    "not in item.name]", "not in item.name]\n        return (yield)"
)


@pytest.mark.parametrize("conftest", [DROPS, WRAPS])
def test_what_a_conftest_drops_is_not_missing(suite: Suite, conftest: str) -> None:
    """However early its hook comes: the test is there, and accept keeps its entry."""
    accepted(suite, TWO)
    before = suite.path.joinpath("baselines/test_tiny.json").read_bytes()
    suite.write_conftest(conftest)
    ran = suite.run()
    ran.result.assert_outcomes(passed=1)
    assert ran.result.ret == 0
    assert suite.run("--dlbench-accept").result.ret == 0
    assert suite.path.joinpath("baselines/test_tiny.json").read_bytes() == before


@pytest.mark.parametrize("stacked", [False, True])
def test_an_empty_parametrization_misses_nothing(suite: Suite, stacked: bool) -> None:
    """A list that is empty here, such as of devices, may be full elsewhere: its cases stay."""
    more = '@pytest.mark.parametrize("_more", ["x-y", "z"])' if stacked else ""
    tests = (
        ONE.replace("loop", "other")
        + more
        + TWO.replace(
            "convergence, name", "convergence, name, _more" if stacked else "convergence, name"
        )
    )
    accepted(suite, tests)
    before = suite.path.joinpath("baselines/test_tiny.json").read_bytes()
    suite.write(tests.replace('["a", "b"]', "[]"), head=HEAD)
    ran = suite.run()
    ran.result.assert_outcomes(passed=1, skipped=2 if stacked else 1)
    assert ran.result.ret == 0, ran.output
    assert suite.run("--dlbench-accept").result.ret == 0
    assert suite.path.joinpath("baselines/test_tiny.json").read_bytes() == before


def test_a_missing_case_is_named_by_its_path(suite: Suite) -> None:
    """Two folders may have files of one name."""
    for folder in ("a", "b"):
        suite.write(TWO, name=f"{folder}/test_tiny.py", head=HEAD)
    assert suite.run("--dlbench-accept", "--import-mode=importlib").result.ret == 0
    suite.write(TWO.replace('"a", "b"', '"a"'), name="b/test_tiny.py", head=HEAD)
    ran = suite.run("--import-mode=importlib", "--dlbench-summary=out.md")
    assert ran.result.ret == 1
    ran.result.stdout.fnmatch_lines(
        ["  missing * b/test_tiny.py::test_loop[[]b]", "b/test_tiny.py::test_loop[[]b]: missing: *"]
    )
    assert "| b/test\\_tiny.py::test\\_loop\\[b\\] |" in suite.path.joinpath("out.md").read_text()


@pytest.mark.parametrize(
    "tests",
    [
        "@pytest.mark.skip" + TWO,
        TWO.replace("    convergence", "    pytest.skip()\n    convergence"),
        "pytest.skip(allow_module_level=True)\n" + TWO,
    ],
)
def test_what_is_skipped_is_not_missing(suite: Suite, tests: str) -> None:
    """Nobody knows what a test that was skipped would have recorded."""
    accepted(suite, TWO)
    before = suite.path.joinpath("baselines/test_tiny.json").read_bytes()
    suite.write(ONE, name="test_other.py", head=HEAD)
    suite.write(tests, head=HEAD)
    ran = suite.run("--dlbench-accept")
    assert ran.result.ret == 0, ran.output
    assert "1 new" in ran.output
    assert "missing:" not in ran.output
    assert "removed" not in ran.output
    assert suite.path.joinpath("baselines/test_tiny.json").read_bytes() == before


@pytest.mark.parametrize("conftest", ["", DROPS])
def test_a_run_says_how_many_tests_were_left_out(suite: Suite, conftest: str) -> None:
    """Wherever that was said: `dlbench accept --prune` must not take their cases for gone."""
    suite.write(TWO, head=HEAD)
    suite.write_conftest(conftest)
    if not conftest:
        suite.path.joinpath("pytest.ini").write_text("[pytest]\naddopts = -k a]\n")
    session = suite.run().session.run().session
    assert session is not None
    assert session["counts"] == {"passed": 1, "deselected": 1}
    assert session["complete"]
