"""pytest-xdist: cases train on workers, and their records come back."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from dlbench.history.run import read_run

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.conftest import Folder

TESTS = """
    from matplotlib import pyplot as plt
    from dlbench import Workload

    @pytest.mark.parametrize("rate", [np.float32(5.0), np.float64(0.0)], ids=["fast", "none"])
    def test_rate(convergence, rate):
        runs = convergence(build, **LEARNS | {"learning_rate": rate})
        convergence.figure(plt.figure(), "Nothing yet.")
        assert runs.regime == "converged"

    def test_counts(parameters):
        assert parameters(build).unique == 6

    def test_loop(convergence):
        convergence.record(loop)

    def test_workload(convergence, workload):
        convergence.record(loop)

    def test_plain():
        pass
"""


@pytest.fixture(scope="module")
def distributed(new_folder: Callable[[], Folder]) -> tuple[Folder, str]:
    """A suite that was run on two workers, and what it wrote on the terminal."""
    folder = new_folder()
    folder.write(TESTS)
    folder.write_conftest()
    done = folder.run_fresh(
        "-n2",
        "--dlbench-report",
        "--dlbench-seeds=2",
        "--dlbench-workload=no.py:where",
        "--junitxml=junit.xml",
    )
    return folder, done.stdout + done.stderr


def test_cases_train_and_assert_without_timing(distributed: tuple[Folder, str]) -> None:
    """Everything is as in one process, but timed; the table says why."""
    _, output = distributed
    assert "1 failed, 4 passed, 1 error" in output
    assert (
        "no timing: pytest-benchmark is off (--benchmark-disable, or pytest-xdist's -n)" in output
    )
    assert "assert 'stalled' == 'converged'" in output
    assert "dlbench: runs by seed" in output
    assert "INTERNALERROR" not in output


def test_records_come_back_in_order(distributed: tuple[Folder, str]) -> None:
    """Records, figures and texts cross as builtins, and stand in the order of collection."""
    folder, _ = distributed
    run = read_run(folder.path / "report" / "run.json")
    assert [(record["case"].split("::")[1], record["outcome"]) for record in run.records] == [
        ("test_rate[fast]", "passed"),
        ("test_rate[none]", "failed"),
        ("test_counts", "passed"),
        ("test_loop", "passed"),
    ]
    assert all(record["timing"] is None for record in run.records)
    assert run.records[0]["params"] == {"rate": 5.0}
    assert [figure["caption"] for figure in run.figures] == ["Nothing yet."] * 2
    assert run.modules["test_tiny.py"]["discussion"] == "A line is enough."
    assert run.session is not None
    assert run.session["complete"]
    assert run.session["counts"] == {"passed": 4, "failed": 1, "error": 1}


def test_the_page_is_written_once_by_the_controller(distributed: tuple[Folder, str]) -> None:
    """Workers write nothing; the page and the run lie where they always do."""
    folder, output = distributed
    assert output.count("report: report/index.html") == 1
    assert (folder.path / "report" / "index.html").is_file()


def test_a_worker_tells_a_typo_by_its_fixture(distributed: tuple[Folder, str]) -> None:
    """pytest-xdist takes a worker's usage error for a crash: only the tests that ask fail."""
    _, output = distributed
    assert "ERROR test_tiny.py::test_workload - dlbench.errors.NotFoundError: there is" in output


def test_junit_xml_holds_no_record(distributed: tuple[Folder, str]) -> None:
    """What travels between processes does not land in the XML."""
    folder, _ = distributed
    text = (folder.path / "junit.xml").read_text(encoding="utf-8")
    assert 'name="test_rate[fast]"' in text
    for word in ("<properties>", "final_loss", "mean_log_loss", "curves"):
        assert word not in text
