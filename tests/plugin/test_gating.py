"""The gate at the edges of a run: ends before its end, records of a teardown, files of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.plugin.loops import HEAD, ONE, TWO, accepted, change, degree, words

if TYPE_CHECKING:
    from tests.conftest import Folder, Suite

LATE = """
@pytest.fixture
def late(convergence):
    yield
    convergence.record(trained(slower()), name="late")

def test_loop(convergence, late):
    convergence.record(trained(1.0))
"""

MISSPELT = """
    @pytest.mark.convergence(margin={"val_acuracy": 0.1})
    def test_it(convergence):
        convergence(build, **LEARNS | {"steps": 10**9})

    def test_next(convergence):
        convergence(build, **LEARNS)
"""


# ---- a metric that there is not


def test_a_misspelt_metric_stops_the_session(suite: Suite) -> None:
    """What curves a case has is known when it is called: nothing trains from there on."""
    suite.write(MISSPELT)
    ran = suite.run("--dlbench-accept")
    assert ran.result.ret == pytest.ExitCode.USAGE_ERROR
    ran.result.assert_outcomes(failed=1)
    assert "margin names 'val_acuracy', which this case does not have" in words(ran)
    assert "Did you mean 'val_accuracy'?" in words(ran)
    assert not ran.records
    assert not suite.path.joinpath("baselines").exists()


def test_a_misspelt_metric_of_a_loop_stops_the_session(suite: Suite) -> None:
    """With a baseline and without one: a loop's curves are known once it has run."""
    marked = '@pytest.mark.convergence(margin={"val_los": 0.1})' + ONE
    suite.write(marked + ONE.replace("loop", "other"), head=HEAD)
    for arguments in ([], ["--dlbench-accept"]):
        ran = suite.run(*arguments)
        assert ran.result.ret == pytest.ExitCode.USAGE_ERROR
        ran.result.assert_outcomes(failed=1)
        assert "margin names 'val_los', which this case does not have" in words(ran)
    suite.run("--dlbench-gate=off").result.assert_outcomes(passed=2)


@pytest.mark.parametrize(
    ("tests", "told"),
    [
        (MISSPELT, "margin names 'val_acuracy'"),
        (MISSPELT.replace("margin=", "margn="), "has no key 'margn'"),
    ],
)
def test_a_typo_stops_all_workers(folder: Folder, tests: str, told: str) -> None:
    """Under pytest-xdist too, whichever worker meets it: a usage error, and little is trained."""
    many = "\n".join(
        f"    def test_more_{i}(convergence):\n        convergence(build, **LEARNS)\n"
        for i in range(20)
    )
    folder.write(f"{tests}\n{many}")
    done = folder.run_fresh("-n", "2", "--dlbench-accept")
    assert done.returncode == pytest.ExitCode.USAGE_ERROR, done.stdout + done.stderr
    assert told in " ".join(done.stdout.split())
    assert "INTERNALERROR" not in done.stdout + done.stderr
    assert "20 passed" not in done.stdout
    assert not folder.path.joinpath("baselines").exists()


# ---- a record of a fixture's teardown


def test_a_record_of_a_teardown_is_judged(suite: Suite) -> None:
    """The test has passed by then: what got worse is its error, and the run is red."""
    ran = accepted(suite, LATE)
    ran.result.stdout.fnmatch_lines(["accepted: 2 added; *"])
    same = suite.run()
    assert [degree(record) for record in same.records] == ["identical"] * 2
    assert {record["outcome"] for record in same.records} == {"passed"}
    change(suite, 1.05)
    worse = suite.run()
    worse.result.assert_outcomes(passed=1, errors=1)
    assert worse.result.ret == 1
    worse.result.stdout.fnmatch_lines(["against the baseline: *1 worse*"])
    assert "worse: training loss over the run +5" in words(worse)


@pytest.mark.parametrize("body", ["assert False", "pytest.skip()", "pytest.xfail()"])
def test_a_record_of_a_teardown_is_not_judged_where_the_test_did_not_pass(
    suite: Suite, body: str
) -> None:
    """As with a record of its body; accept does not take it either."""
    accepted(suite, LATE)
    before = suite.path.joinpath("baselines/test_tiny.json").read_bytes()
    suite.write(f"{LATE}    {body}\n", head=HEAD)
    change(suite, 1.05)
    ran = suite.run()
    assert ran.result.parseoutcomes().get("errors") is None
    assert all("verdict" not in (record.get("gate") or {}) for record in ran.records)
    assert suite.run("--dlbench-accept").result.ret == 1
    assert suite.path.joinpath("baselines/test_tiny.json").read_bytes() == before


# ---- a module without a file


def test_a_new_module_alone_is_new(suite: Suite, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its verdict does not depend on whether its neighbours, which have files, are run too."""
    accepted(suite)
    suite.write(ONE, name="test_other.py", head=HEAD)
    ran = suite.run("test_other.py")
    ran.result.assert_outcomes(passed=1)
    assert "NO BASELINE" not in ran.output
    assert degree(ran.record) == "new"
    monkeypatch.setenv("CI", "true")
    suite.run("test_other.py").result.assert_outcomes(failed=1)
    assert suite.run("test_other.py", "--dlbench-accept").result.ret == 0
    suite.run("test_other.py").result.assert_outcomes(passed=1)


# ---- a run that ends before its end


@pytest.mark.parametrize("ending", ["raise KeyboardInterrupt", "pytest.exit('x', returncode=7)"])
def test_a_run_that_was_interrupted_accepts_nothing(suite: Suite, ending: str) -> None:
    """And shows what verdicts fell until then, on the terminal and as Markdown."""
    accepted(suite, TWO)
    before = suite.path.joinpath("baselines/test_tiny.json").read_bytes()
    change(suite, 1.05, "a")
    suite.write(f"{TWO}    if name == 'b': {ending}\n", head=HEAD)
    ran = suite.run("--dlbench-accept")
    assert ran.result.ret != 0
    assert "nothing was accepted" in ran.output
    assert suite.path.joinpath("baselines/test_tiny.json").read_bytes() == before
    ran = suite.run("--dlbench-summary=out.md")
    if "exit" not in ending:  # with a code of its own, pytest writes no closing summary
        ran.result.stdout.fnmatch_lines(["against the baseline: 1 worse"])
    assert "collected whole" not in words(ran)
    assert suite.path.joinpath("out.md").read_text(encoding="utf-8").startswith("### ❌")


def test_a_summary_of_an_interrupted_run_is_not_green(suite: Suite) -> None:
    """What ran was the same, and nobody knows the rest: the Markdown says how far it came."""
    accepted(suite, TWO)
    suite.write(f"{TWO}    if name == 'b': raise KeyboardInterrupt\n", head=HEAD)
    suite.run("--dlbench-summary=out.md")
    text = suite.path.joinpath("out.md").read_text(encoding="utf-8")
    assert text.startswith("### ❌")
    assert "stopped before its end, after 1 of 2 tests" in text


def test_an_internal_error_accepts_nothing(suite: Suite) -> None:
    """Nobody knows what it hides: exit code 3, the baseline as it was, and nothing is missing."""
    accepted(suite, TWO)
    before = suite.path.joinpath("baselines/test_tiny.json").read_bytes()
    change(suite, 1.05, "a")
    suite.write_conftest("""
        def pytest_runtest_logfinish(nodeid):
            if "[b]" in nodeid:
                raise RuntimeError("a plugin stumbled")
    """)
    ran = suite.run("--dlbench-accept")
    assert ran.result.ret == pytest.ExitCode.INTERNAL_ERROR
    assert "nothing was accepted" in ran.output
    assert "collected whole" not in words(ran)
    assert suite.path.joinpath("baselines/test_tiny.json").read_bytes() == before
