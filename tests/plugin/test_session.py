"""What a run gathers: outcomes, reruns, the run's header, and what could not be written."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from dlbench.plugin.session import first_line, outcome_of

if TYPE_CHECKING:
    from tests.conftest import Suite


def test_every_outcome_reaches_the_record(suite: Suite) -> None:
    """A record says what became of its test, a late error and an expected failure too."""
    suite.write("""
        @pytest.fixture
        def breaks():
            yield
            raise OSError("at the end")

        def test_passes(convergence):
            convergence.record(loop)

        def test_fails(convergence):
            convergence.record(loop)
            assert False, "a reason"

        def test_raises(convergence):
            convergence.record(loop)
            raise OSError("by itself")

        def test_teardown(convergence, breaks):
            convergence.record(loop)

        def test_skips(convergence):
            convergence.record(loop)
            pytest.skip("enough seen")

        @pytest.mark.xfail(reason="known")
        def test_expected(convergence):
            convergence.record(loop)
            assert False

        @pytest.mark.xfail(reason="mended", strict=False)
        def test_unexpected(convergence):
            convergence.record(loop)

        @pytest.mark.xfail(reason="crashes", run=False)
        def test_not_run(convergence):
            convergence.record(loop)

        def test_plain():
            pass
    """)
    ran = suite.run()
    ran.result.assert_outcomes(passed=3, failed=2, errors=1, skipped=1, xfailed=2, xpassed=1)
    outcomes = {record["test"]: (record["outcome"], record["message"]) for record in ran.records}
    assert outcomes == {
        "test_passes": ("passed", None),
        "test_fails": ("failed", "AssertionError: a reason"),
        "test_raises": ("failed", "OSError: by itself"),
        "test_teardown": ("error", "OSError: at the end"),
        "test_skips": ("skipped", None),
        "test_expected": ("xfailed", "assert False"),
        "test_unexpected": ("xpassed", None),
    }
    session = ran.session.run().session
    assert session is not None
    assert session["counts"] == {
        "passed": 2,
        "failed": 2,
        "error": 1,
        "skipped": 1,
        "xfailed": 2,
        "xpassed": 1,
    }
    assert session["complete"]


def test_an_error_in_a_later_fixture_is_the_only_one(suite: Suite) -> None:
    """Where another fixture fails after ours was made, nothing warns that ours was not used."""
    suite.write("""
        @pytest.fixture
        def breaks():
            raise OSError("before")

        def test_setup(convergence, breaks):
            convergence.record(loop)
    """)
    ran = suite.run("-W", "error")
    ran.result.assert_outcomes(errors=1)
    assert ran.records == []


def test_a_rerun_replaces_what_came_before(suite: Suite) -> None:
    """With pytest-rerunfailures the last run of a test is its record, alone, in the file too."""
    suite.write("""
        tries = []

        def test_again(convergence):
            tries.append(1)
            convergence.record(lambda seed: {"loss": [1.0, 1.0 / len(tries)]}, seeds=1)
            assert len(tries) == 3
    """)
    ran = suite.run("--reruns=3", "--benchmark-json=out.json", "-W", "error")
    ran.result.assert_outcomes(passed=1)
    assert ran.record["outcome"] == "passed"
    assert ran.record["metrics"]["final_loss"] == pytest.approx([1 / 3])

    from dlbench.history.run import read_run

    (saved,) = read_run(suite.path / "out.json").records
    assert saved["metrics"]["final_loss"] == pytest.approx([1 / 3])  # type: ignore[index]
    assert ran.session.run().session["counts"] == {"passed": 1}  # type: ignore[index]


def test_subtests_leave_the_last_word_to_the_test(suite: Suite) -> None:
    """A failing subtest fails its test's record, a passing one after it does not mend it."""
    suite.write("""
        def test_parts(convergence, subtests):
            convergence.record(loop)
            for value in (1, 2, 3):
                with subtests.test(value=value):
                    assert value != 2
    """)
    ran = suite.run()
    assert ran.record["outcome"] == "failed"
    assert len(ran.records) == 1


@pytest.mark.parametrize(
    ("arguments", "complete"),
    [([], True), (["-x"], False), (["--maxfail=3"], True), (["-k", "0 or 2"], True)],
    ids=["all", "-x", "maxfail", "-k"],
)
def test_a_run_that_stopped_early_says_so(
    suite: Suite, arguments: list[str], *, complete: bool
) -> None:
    """`-x` leaves tests out, and the run is marked; tests that were not asked for are not missed."""
    suite.write("""
        @pytest.mark.parametrize("case", range(3))
        def test_case(convergence, case):
            convergence.record(loop)
            assert case != 1
    """)
    session = suite.run(*arguments).session.run().session
    assert session is not None
    assert session["complete"] is complete


def test_last_failed_runs_only_those(suite: Suite) -> None:
    """`--lf` after a failure trains the failed case alone."""
    suite.write("""
        @pytest.mark.parametrize("case", range(3))
        def test_case(convergence, case):
            convergence.record(loop)
            assert case != 1
    """)
    suite.run("-p", "cacheprovider")
    ran = suite.run("-p", "cacheprovider", "--lf")
    ran.result.assert_outcomes(failed=1)
    assert ran.record["params"] == {"case": 1}


def test_records_are_in_the_order_of_collection(suite: Suite) -> None:
    """Whatever order reports come in, a module's records stand as it reads."""
    suite.write("""
        def test_b(convergence):
            convergence.record(loop)

        def test_a(convergence):
            convergence.record(loop)
    """)
    session = suite.run().session
    session._cargo = dict(reversed(session._cargo.items()))
    assert [record["test"] for record in session.records] == ["test_b", "test_a"]


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"README.md": "# Of the root"}, "# Of the root"),
        ({}, ""),
        ({"README.md": b"caf\xe9"}, "caf\N{REPLACEMENT CHARACTER}"),
        ({"README.md/file": "a folder"}, ""),
        ({"README.md": "# Of one", "other/test_other.py": "def test(convergence): pass"}, ""),
    ],
    ids=["beside", "none", "not UTF-8", "a folder", "two folders"],
)
def test_the_readme_beside_the_modules_introduces_them(
    suite: Suite, files: dict[str, str | bytes], expected: str
) -> None:
    """Where all modules lie in one folder with a README.md, that is the introduction."""
    suite.write("def test_one(convergence): convergence.record(loop)")
    for name, content in files.items():
        path = suite.path / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    assert suite.run().session.run().introduction == expected


def test_what_travels_is_made_of_builtins(suite: Suite) -> None:
    """pytest-xdist carries builtins alone: one NumPy number would end its session."""
    suite.write("""
        @pytest.mark.parametrize("rate", [np.float32(0.5)], ids=["half"])
        def test_both(parameters, convergence, rate):
            parameters(build)
            convergence(build, name="trained", **LEARNS | {"learning_rate": rate})
    """)
    ran = suite.run()
    ran.result.assert_outcomes(passed=1)
    (cargo,) = ran.session._cargo.values()
    assert kinds(cargo) <= {dict, list, str, int, float, bool, type(None)}


def kinds(value: object) -> set[type]:
    """Return the types of everything within a value."""
    found: set[type] = {type(value)}
    if isinstance(value, dict):
        return found.union(*(kinds(part) for pair in value.items() for part in pair))
    return found.union(*map(kinds, value)) if isinstance(value, list) else found


def report(**fields: object) -> pytest.TestReport:
    """Return a report of a test's call."""
    values: dict[str, object] = {
        "nodeid": "test.py::test",
        "location": ("test.py", 0, "test"),
        "keywords": {},
        "outcome": "passed",
        "longrepr": None,
        "when": "call",
    }
    made = pytest.TestReport(**values | fields)  # type: ignore[arg-type]
    if "wasxfail" in fields:
        made.wasxfail = str(fields["wasxfail"])
    return made


@pytest.mark.parametrize(
    ("fields", "outcome"),
    [
        ({}, "passed"),
        ({"outcome": "failed"}, "failed"),
        ({"outcome": "failed", "when": "setup"}, "error"),
        ({"outcome": "failed", "when": "teardown"}, "error"),
        ({"outcome": "skipped"}, "skipped"),
        ({"outcome": "skipped", "wasxfail": "why"}, "xfailed"),
        ({"wasxfail": "why"}, "xpassed"),
    ],
    ids=str,
)
def test_outcome_of(fields: dict[str, object], outcome: str) -> None:
    """One word for what became of a test."""
    assert outcome_of(report(**fields)) == outcome


def test_first_line_of_any_traceback() -> None:
    """The first line that says something, of whatever form pytest made of the error."""
    assert first_line(report()) is None
    assert first_line(report(outcome="skipped", longrepr=("f.py", 1, "Skipped: no"))) is None
    assert first_line(report(outcome="failed", longrepr="\n\n  KeyError: 'x'\nmore")) == (
        "KeyError: 'x'"
    )
    assert first_line(report(outcome="failed", longrepr="")) is None


@pytest.mark.parametrize("style", ["auto", "long", "short", "line", "native", "no"])
def test_the_reason_is_kept_in_every_traceback_style(suite: Suite, style: str) -> None:
    """`--tb` changes what the terminal shows, not what the record says."""
    suite.write("""
        def test_raises(convergence):
            convergence.record(loop)
            raise OSError("by itself")
    """)
    assert suite.run(f"--tb={style}").record["message"] == "OSError: by itself"


def test_what_only_the_whole_run_shows_of_the_gate_is_kept(suite: Suite) -> None:
    """The missing cases by their ids, and the error rate; nothing where nothing was compared."""
    text = """
        @pytest.mark.parametrize("case", ["a", "b"])
        def test_loop(convergence, case):
            convergence.record(loop, seeds=5)
    """
    suite.write(text, name="deep/test_tiny.py")
    suite.run("--dlbench-accept")
    suite.write(text.replace('"a", "b"', '"a"'), name="deep/test_tiny.py")
    told = [suite.run(*arguments).session.run().session for arguments in ((), ("-k", "b"))]
    told.append(suite.run("--dlbench-gate=off").session.run().session)
    assert [session and session.get("gate") for session in told] == [
        {"false_alarm": 0.01, "missing": ["deep/test_tiny.py::test_loop[b]"]},
        None,
        None,
    ]
