"""`--dlbench-report`: where the page and `run.json` go, and what stops them."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

import pytest

from dlbench.history.run import read_run

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import Folder, Suite

LOOP = """
    def test_loop(convergence):
        convergence.record(loop, seeds=2)
"""


def files(folder: Path) -> list[str]:
    """Return what lies in a folder and below, Python's own caches left out."""
    return sorted(
        str(path.relative_to(folder))
        for path in folder.rglob("*")
        if path.is_file() and path.suffix != ".pyc"
    )


@pytest.mark.usefixtures("stub_report")
@pytest.mark.parametrize(
    ("ini", "arguments", "folder"),
    [
        ("", [], None),
        ("", ["--dlbench-report"], "report"),
        ("", ["--dlbench-report=out/deep"], "out/deep"),
        ("", ["test_tiny.py", "--dlbench-report"], "report"),
        ("", ["--dlbench-report", "out"], "out"),
        ("dlbench_report = site", [], "site"),
        ("dlbench_report = site", ["--dlbench-report=out"], "out"),
        ("dlbench_report = site", ["--dlbench-report="], None),
    ],
)
def test_where_it_goes(suite: Suite, ini: str, arguments: list[str], folder: str | None) -> None:
    """Unasked nothing is written; the command line wins; the end says where the page lies."""
    suite.pytester.makeini(f"[pytest]\n{ini}\n")
    suite.write(LOOP)
    ran = suite.run(*arguments)
    ran.result.assert_outcomes(passed=1)
    written = [f"{folder}/index.html", f"{folder}/run.json"] if folder else []
    assert files(suite.path) == sorted(["test_tiny.py", "tox.ini", *written])
    assert (f"report: {folder}/index.html" in ran.result.outlines) is (folder is not None)
    header = next(line for line in ran.result.outlines if line.startswith("dlbench: keras"))
    assert header.endswith(f"report in {folder}/" if folder else "seeds")


@pytest.mark.usefixtures("stub_report")
def test_the_option_counts_from_here_and_the_ini_key_from_the_root(
    suite: Suite, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As pytest's own options do: what is typed is seen from the folder it is typed in."""
    suite.pytester.makeini("[pytest]\ndlbench_report = site\n")
    suite.write(LOOP, name="sub/test_tiny.py")
    monkeypatch.chdir(suite.path / "sub")
    suite.run()
    suite.run("--dlbench-report=out")
    assert (suite.path / "site" / "run.json").is_file()
    assert (suite.path / "sub" / "out" / "run.json").is_file()


@pytest.mark.usefixtures("stub_report")
def test_the_run_is_left_beside_the_page(suite: Suite) -> None:
    """`run.json` holds all there is to know, in strict JSON, and our reader reads it."""
    suite.path.joinpath("README.md").write_text("# Questions", encoding="utf-8")
    suite.write(LOOP)
    suite.run("--dlbench-report", "--benchmark-disable")
    path = suite.path / "report" / "run.json"

    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is no JSON")

    json.loads(path.read_text(encoding="utf-8"), parse_constant=refuse)
    run = read_run(path)
    (record,) = run.records
    assert record["outcome"] == "passed"
    assert run.introduction == "# Questions"
    assert run.session is not None
    assert run.session["complete"]
    assert run.session["command"].startswith("pytest ")
    assert "--dlbench-report" in run.session["command"]


@pytest.mark.usefixtures("stub_report")
def test_a_suite_without_our_fixtures_leaves_no_report(suite: Suite) -> None:
    """The option, or the ini key, writes nothing where there is nothing to report."""
    suite.write("def test_plain(): pass")
    ran = suite.run("--dlbench-report")
    ran.result.assert_outcomes(passed=1)
    assert files(suite.path) == ["test_tiny.py"]
    assert "dlbench:" not in ran.output


@pytest.mark.parametrize(
    "arguments",
    [
        ["--dlbench-report", "tests"],
        ["--dlbench-report", "tests/test_tiny.py"],
        ["--dlbench-report", "tests/test_tiny.py::test_loop"],
        ["--dlbench-report", "."],
        ["--dlbench-report=tests"],
    ],
    ids=" ".join,
)
def test_a_test_path_is_not_taken_for_the_folder(suite: Suite, arguments: list[str]) -> None:
    """`pytest --dlbench-report tests` means something else: it is said how to write it."""
    suite.write(LOOP, name="tests/test_tiny.py")
    result = suite.pytester.runpytest_inprocess(*arguments)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["ERROR: --dlbench-report: *is no folder for a report*"])
    assert files(suite.path) == ["tests/test_tiny.py"]


BLOCKED = """
    def test_loop(convergence):
        convergence.record(loop, seeds=2)
        assert {holds}
"""


def test_a_folder_that_cannot_be_made_stops_the_run(suite: Suite) -> None:
    """Nothing is trained whose report has no place."""
    suite.path.joinpath("out").write_text("a file", encoding="utf-8")
    suite.write(BLOCKED.format(holds=True))
    result = suite.pytester.runpytest_inprocess("--dlbench-report=out/report")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(
        ["ERROR: --dlbench-report: 'out/report' cannot be made: *out is no folder"]
    )
    assert files(suite.path) == ["out", "test_tiny.py"]


@pytest.mark.parametrize("holds", [True, False])
def test_a_report_that_cannot_be_written_fails_the_run_in_a_sentence(
    suite: Suite, *, holds: bool
) -> None:
    """What the tests found is told all the same; that the report is missing is not overlooked."""
    block = "    import pathlib; pathlib.Path('out').write_text('a file')\n"
    suite.write(block + BLOCKED.format(holds=holds))
    ran = suite.run("--dlbench-report=out/report")
    ran.result.assert_outcomes(passed=int(holds), failed=int(not holds))
    assert ran.result.ret == pytest.ExitCode.TESTS_FAILED
    ran.result.stdout.fnmatch_lines(
        ["the report could not be written to out/report: Not a directory"]
    )
    assert "Traceback" not in ran.output
    assert suite.path.joinpath("out").read_text(encoding="utf-8") == "a file"


def test_a_defect_of_the_page_hides_no_result(
    suite: Suite, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where drawing the page fails, the tests' results, the table and `run.json` are there."""

    def write(run: object, folder: Path, on_progress: object = None) -> Path:
        raise ZeroDivisionError("in a figure")

    monkeypatch.setattr("dlbench.report.write_report", write)
    suite.write(BLOCKED.format(holds=False))
    ran = suite.run("--dlbench-report", "--benchmark-json=out.json")
    ran.result.assert_outcomes(failed=1)
    assert ran.result.ret == pytest.ExitCode.TESTS_FAILED
    ran.result.stdout.fnmatch_lines(
        [
            "*assert False*",
            "case * regime *",
            "the report could not be written to report",
            "ZeroDivisionError: in a figure",
        ]
    )
    assert len(read_run(suite.path / "report" / "run.json").records) == 1
    assert len(read_run(suite.path / "out.json").records) == 1


def test_an_old_run_survives_one_that_cannot_be_written(
    suite: Suite, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full disk leaves the last run as it was, and no half file."""
    suite.path.joinpath("report").mkdir()
    suite.path.joinpath("report", "run.json").write_text("the last", encoding="utf-8")

    def full(handle: int) -> None:
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr(os, "fsync", full)
    suite.write(LOOP)
    ran = suite.run("--dlbench-report")
    assert ran.result.ret == pytest.ExitCode.TESTS_FAILED
    assert "the report could not be written to report: No space left on device" in ran.output
    assert files(suite.path / "report") == ["run.json"]
    assert suite.path.joinpath("report", "run.json").read_text(encoding="utf-8") == "the last"


def test_the_page_of_a_real_run(folder: Folder) -> None:
    """From training to a page that holds its theory, its case and its discussion."""
    folder.write("""
        @pytest.mark.parametrize("learning_rate", [5.0, 0.0])
        def test_rate(convergence, learning_rate):
            convergence(build, **LEARNS | {"learning_rate": learning_rate})
    """)
    done = folder.run_fresh("--dlbench-report", "-W", "error")
    assert done.returncode == 0, done.stdout + done.stderr
    page = (folder.path / "report" / "index.html").read_text(encoding="utf-8")
    for text in ("A tiny analysis", "Two classes that a line parts.", "A line is enough."):
        assert text in page
    assert "report: report/index.html" in done.stdout


def test_ctrl_c_while_the_page_is_drawn(suite: Suite, monkeypatch: pytest.MonkeyPatch) -> None:
    """The tests have ended: what they found is told and kept, and how the page is drawn after all."""

    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("dlbench.report.write_report", interrupted)
    suite.write(LOOP)
    ran = suite.run("--dlbench-report")
    ran.result.assert_outcomes(passed=1)
    assert ran.result.ret == pytest.ExitCode.INTERRUPTED
    assert "interrupted: no page was drawn; dlbench report report/run.json draws it" in ran.output
    assert files(suite.path) == ["report/run.json", "test_tiny.py"]
    session = read_run(suite.path / "report" / "run.json").session
    assert session is not None
    assert session["complete"] is True
