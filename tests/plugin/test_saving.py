"""Runs are saved whole, small and each under its own number, where pytest-benchmark is off too."""

from __future__ import annotations

import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest

from dlbench.history import load, read_run
from dlbench.history.naming import saved_runs

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.conftest import Folder, Suite

TESTS = """
    @pytest.mark.parametrize("rate", [5.0, 0.0])
    def test_rate(convergence, rate):
        runs = convergence(build, **LEARNS | {"learning_rate": rate})
        assert runs.regime == "converged"

    def test_counts(parameters):
        assert parameters(build).unique == 6
"""

ONE = """
    def test_loop(convergence):
        convergence.record(loop)
"""


def commanded(folder: Path, *arguments: str) -> str:
    """Return what one of pytest-benchmark's own commands prints."""
    done = subprocess.run(
        [sys.executable, "-m", "pytest_benchmark", *arguments],
        cwd=folder, capture_output=True, text=True, check=True, timeout=60,
    )  # fmt: skip
    return done.stdout + done.stderr


@pytest.fixture(scope="module", params=["--benchmark-disable", "-n2"])
def off(request: pytest.FixtureRequest, new_folder: Callable[[], Folder]) -> tuple[Folder, str]:
    """A suite that was run with pytest-benchmark off, saved by name and as JSON."""
    folder = new_folder()
    folder.write(TESTS)
    done = folder.run_fresh(request.param, "--benchmark-save=mine", "--benchmark-json=out/a.json")
    assert "1 failed, 2 passed" in done.stdout
    return folder, done.stdout


def test_a_run_without_timings_is_saved_all_the_same(off: tuple[Folder, str]) -> None:
    """In pytest-benchmark's folder, under its number and the name; and as JSON; both are told."""
    folder, output = off
    (saved,) = saved_runs(folder.path / ".benchmarks")
    assert (saved.number, saved.name) == (1, "mine")
    assert f"saved without timings: {saved.path.relative_to(folder.path)}" in output
    assert "saved without timings: out/a.json" in output
    for path in (saved.path, folder.path / "out" / "a.json"):
        run = read_run(path)
        assert [(record["case"].split("::")[1], record["outcome"]) for record in run.records] == [
            ("test_rate[5.0]", "passed"), ("test_rate[0.0]", "failed"), ("test_counts", "passed"),
        ]  # fmt: skip
        assert all(record["timing"] is None for record in run.records)
        assert run.session is not None
        assert run.session["complete"]


def test_it_has_pytest_benchmarks_shape(off: tuple[Folder, str]) -> None:
    """Every field that pytest-benchmark writes is there; that nothing was timed is said in three."""
    folder, _ = off
    document = json.loads((folder.path / "out" / "a.json").read_bytes())
    assert {"machine_info", "commit_info", "benchmarks", "datetime", "version"} < document.keys()
    assert document["machine_info"]["node"]
    first = document["benchmarks"][0]
    assert first.keys() == {
        "group", "name", "fullname", "params", "param", "extra_info", "options", "stats",
    }  # fmt: skip
    assert (first["name"], first["params"], first["param"]) == (
        "test_rate[5.0]",
        {"rate": 5.0},
        "5.0",
    )
    assert (first["group"], first["stats"]["rounds"], first["stats"]["outliers"]) == (
        "not timed", 0, "not timed",
    )  # fmt: skip


def test_pytest_benchmarks_own_commands_read_it(off: tuple[Folder, str]) -> None:
    """`list` names it; `compare` shows its cases in a table of their own, beside a timed run's."""
    folder, _ = off
    assert "0001_mine.json" in commanded(folder.path, "list")
    folder.run_fresh("--benchmark-save=timed")
    table = commanded(folder.path, "compare")
    assert "benchmark 'not timed': 3 tests" in table
    assert "test_rate[5.0] (0001_mine)" in table
    assert "test_rate[5.0] (0002_timed)" in table
    assert "nan" not in table
    commanded(folder.path, "compare", "--csv=table.csv", "--sort=name", "--group-by=name")
    (folder.path / ".benchmarks").rename(folder.path / "kept")
    (folder.path / "kept").rename(folder.path / ".benchmarks")
    frame = load(folder.path / ".benchmarks")
    assert list(frame["run"].unique()) == ["0001_mine", "0002_timed"]


def test_nothing_is_saved_unasked(suite: Suite) -> None:
    """Without an option, or without a test that uses dlbench, no file is written."""
    suite.write(ONE)
    suite.run("--benchmark-disable")
    assert saved_runs(suite.path / ".benchmarks") == []
    suite.write("def test_plain():\n    pass", name="test_tiny.py", head="")
    suite.run("--benchmark-disable", "--benchmark-save=x")
    assert saved_runs(suite.path / ".benchmarks") == []


def test_the_storage_option_and_autosave(suite: Suite) -> None:
    """Another folder, and pytest-benchmark's own name: commit and time."""
    suite.write(ONE)
    for storage in ("file://there", "there"):
        suite.run("--benchmark-disable", "--benchmark-autosave", f"--benchmark-storage={storage}")
    first, second = saved_runs(suite.path / "there")
    assert [first.number, second.number] == [1, 2]
    assert first.name.startswith("unversioned_20")


def test_a_folder_that_cannot_be_written_is_told(suite: Suite) -> None:
    """What the system refuses is a sentence in the summary, and the session fails."""
    suite.write(ONE)
    (suite.path / "out").write_text("a file")
    ran = suite.run("--benchmark-disable", "--benchmark-json=out/a.json")
    assert "the run could not be saved: " in ran.output
    assert ran.result.ret == pytest.ExitCode.TESTS_FAILED
    assert "Traceback" not in ran.output


def test_a_full_disk_is_told(new_folder: Callable[[], Folder]) -> None:
    """Where no file may grow, the sentence says so, and nothing is left behind."""
    folder = new_folder()
    folder.write(
        """
    import resource, signal

    def test_loop(convergence):
        convergence.record(loop)
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
    """
    )
    done = folder.run_fresh("--benchmark-disable", "--benchmark-save=x")
    assert "the run could not be saved: [Errno 27] File too large" in done.stdout
    assert "1 passed" in done.stdout
    assert done.returncode == 1
    assert list((folder.path / ".benchmarks").rglob("*.json")) == []


def test_an_interrupted_run_keeps_its_cases(suite: Suite) -> None:
    """Ctrl-C in the second test: the first one's case is saved, in a run that is not complete."""
    suite.write(
        ONE
        + """
    def test_stop(convergence):
        raise KeyboardInterrupt
    """
    )
    for option in ("--benchmark-disable", "--benchmark-save-data"):
        suite.run(option, "--benchmark-save=x")
        run = read_run(saved_runs(suite.path / ".benchmarks")[-1].path)
        assert [(record["test"], record["outcome"]) for record in run.records] == [
            ("test_loop", "passed")
        ]
        assert run.session is not None
        assert not run.session["complete"]


def test_a_case_whose_timing_was_interrupted_is_kept(suite: Suite) -> None:
    """pytest-benchmark leaves it out of its file; it is added, and marked."""
    suite.write(
        ONE
        + """
    def test_stop(convergence, monkeypatch):
        from dlbench.plugin.case import Case

        def stop(*args, **more):
            raise KeyboardInterrupt
        convergence.record(loop)
        monkeypatch.setattr("dlbench.plugin.fixtures.train", stop, raising=False)
        raise KeyboardInterrupt
    """
    )
    suite.run("--benchmark-save=x")
    document = json.loads(saved_runs(suite.path / ".benchmarks")[0].path.read_bytes())
    assert [one["name"] for one in document["benchmarks"]] == ["test_loop", "test_stop"]


def test_two_sessions_at_once_both_survive(new_folder: Callable[[], Folder]) -> None:
    """Two sessions that end at the same time, one of them timed, have two numbers."""
    folder = new_folder()
    folder.write(ONE)
    arguments: list[tuple[str, ...]] = [("--benchmark-disable",), ()]
    with ThreadPoolExecutor(2) as pool:
        done = list(
            pool.map(lambda more: folder.run_fresh("--benchmark-save=same", *more), arguments)
        )
    assert [one.returncode for one in done] == [0, 0]
    runs = saved_runs(folder.path / ".benchmarks")
    assert [(one.number, one.name) for one in runs] == [(n, "same") for n in (1, 2)]
    for one in runs:
        assert len(read_run(one.path).records) == 1


def test_other_plugins_may_add_to_the_file(suite: Suite) -> None:
    """pytest-benchmark's hooks are called as it calls them."""
    suite.write(ONE)
    suite.write_conftest(
        """
        def pytest_benchmark_update_json(config, benchmarks, output_json):
            output_json["theirs"] = 1

        def pytest_benchmark_update_machine_info(config, machine_info):
            machine_info["gpu"] = "none"
        """
    )
    suite.run("--benchmark-disable", "--benchmark-json=a.json")
    document: dict[str, Any] = json.loads((suite.path / "a.json").read_bytes())
    assert document["theirs"] == 1
    assert document["machine_info"]["gpu"] == "none"
