"""The saved file: pytest-benchmark's own, in strict JSON, with our records under one key."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from dlbench.history.packing import by_place, dictionary_of, unpack
from dlbench.history.run import read_run

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.conftest import Folder, Suite

TESTS = """
    @pytest.mark.parametrize("rate", [5.0, 0.1])
    def test_rate(convergence, rate):
        runs = convergence(build, **LEARNS | {"learning_rate": rate})
        assert runs.final("loss").max() < (1 if rate > 1 else 0)

    def test_diverges(convergence):
        def linear():
            return keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
        runs = convergence(linear, data=(x * 1e3, y), loss="mse", learning_rate=1e9, steps=20,
                           seeds=2)
        assert runs.regime == "diverged"

    def test_counts(parameters):
        assert parameters(build).unique == 6

    def test_loop(convergence):
        convergence.record(loop, seeds=2)
        convergence.record(loop, seeds=2, name="again")
"""

RECORD = {
    *("kind", "case", "name", "module", "test", "params", "outcome", "message", "bounds", "runs"),
    *("metrics", "parameters", "timing", "environment", "duration"),
}


def strict(text: str) -> Any:
    """Return what the text holds, if it is strict JSON."""

    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is no JSON")

    return json.loads(text, parse_constant=refuse)


@pytest.fixture(scope="module")
def saved(new_folder: Callable[[], Folder]) -> Folder:
    """A suite that was run, saved, and told to JUnit, in a process of its own."""
    folder = new_folder()
    folder.write(TESTS)
    done = folder.run_fresh(
        "--benchmark-json=out.json", "--benchmark-autosave", "--junitxml=junit.xml"
    )
    assert "1 failed, 4 passed" in done.stdout
    return folder


@pytest.fixture(scope="module")
def document(saved: Folder) -> dict[str, Any]:
    """What `--benchmark-json` wrote, its records unpacked."""
    loaded: dict[str, Any] = strict((saved.path / "out.json").read_text(encoding="utf-8"))
    header = loaded["dlbench"]
    for benchmark in loaded["benchmarks"]:
        ours = benchmark["extra_info"]["dlbench"]
        packed, dictionary = ours["records"], dictionary_of(header)
        ours["records"] = [unpack(record, by_place(header), dictionary) for record in packed]
    return loaded


def test_the_file_is_strict_json_though_a_run_diverged(
    saved: Folder, document: dict[str, Any]
) -> None:
    """Neither file holds NaN or Infinity; what is not finite is null beside its regime."""
    (autosaved,) = (saved.path / ".benchmarks").glob("*/*.json")
    strict(autosaved.read_text(encoding="utf-8"))
    (diverged,) = records(document, "test_diverges")
    assert diverged["metrics"]["regime"] == ["diverged", "diverged"]
    assert diverged["metrics"]["final_loss"] == [None, None]
    assert diverged["metrics"]["mean_log_loss"] == [None, None]


def records(document: dict[str, Any], name: str) -> list[dict[str, Any]]:
    """Return a benchmark's records."""
    (benchmark,) = (one for one in document["benchmarks"] if one["name"] == name)
    found: list[dict[str, Any]] = benchmark["extra_info"]["dlbench"]["records"]
    return found


def test_every_case_has_one_key_with_a_schema_number(document: dict[str, Any]) -> None:
    """`extra_info` holds "dlbench" alone, in it a schema number and the test's records."""
    names = [benchmark["name"] for benchmark in document["benchmarks"]]
    expected = ["test_rate[5.0]", "test_rate[0.1]", "test_diverges", "test_counts", "test_loop"]
    assert names == expected
    for benchmark in document["benchmarks"]:
        assert benchmark["extra_info"].keys() == {"dlbench"}
        assert benchmark["extra_info"]["dlbench"]["schema"] == 3
        for record in benchmark["extra_info"]["dlbench"]["records"]:
            assert record.keys() - {"gate", "asserted"} == RECORD
            assert record["case"] == benchmark["fullname"]
            assert record["environment"]["backend"] == "torch"
    assert [one["name"] for one in records(document, "test_loop")] == [None, "again"]


def test_the_outcome_rides_along(document: dict[str, Any]) -> None:
    """A failed test's record is saved as that, with the first line of why."""
    (failed,) = records(document, "test_rate[0.1]")
    (passed,) = records(document, "test_rate[5.0]")
    assert failed["outcome"] == "failed"
    assert failed["message"].startswith("AssertionError: assert ")
    assert failed["params"] == {"rate": 0.1}
    assert (passed["outcome"], passed["message"]) == ("passed", None)


def test_curves_are_compact(document: dict[str, Any]) -> None:
    """Each curve is one string: the file is indented, and a number a line would fill it."""
    for benchmark in document["benchmarks"]:
        for record in benchmark["extra_info"]["dlbench"]["records"]:
            curves = (record["runs"] or {"curves": {}})["curves"]
            assert all(isinstance(curve, str) for curve in curves.values())
            assert bool(curves) == (record["kind"] != "parameters")


def test_the_run_stands_at_the_top(document: dict[str, Any]) -> None:
    """Session and texts are kept once, beside pytest-benchmark's own fields."""
    header = document["dlbench"]
    assert header["schema"] == 3
    assert header["session"]["command"].startswith("pytest ")
    assert header["session"]["counts"] == {"passed": 4, "failed": 1}
    assert header["session"]["complete"] is True
    assert header["modules"]["test_tiny.py"] == {
        "theory": "# A tiny analysis\n\nTwo classes that a line parts.",
        "discussion": "A line is enough.",
    }


def test_our_own_reader_reads_it(saved: Folder) -> None:
    """The file can be handed to `dlbench report`."""
    run = read_run(saved.path / "out.json")
    assert len(run.records) == 6
    assert run.session is not None


@pytest.mark.parametrize("command", [["list"], ["compare"], ["compare", "--csv=table.csv"]])
def test_pytest_benchmarks_own_commands_read_it(saved: Folder, command: list[str]) -> None:
    """Its files stay what they are for every tool that reads them."""
    done = subprocess.run(
        [sys.executable, "-m", "pytest_benchmark", *command],
        cwd=saved.path,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    expected = ".json" if command == ["list"] else "test_rate[5.0]"
    assert expected in done.stdout + done.stderr


def test_junit_xml_holds_no_record(saved: Folder) -> None:
    """Records travel on an attribute of the report, not among its properties."""
    text = (saved.path / "junit.xml").read_text(encoding="utf-8")
    assert 'name="test_rate[5.0]"' in text
    assert "<properties>" not in text
    for word in ("final_loss", "mean_log_loss", "experiment", "curves"):
        assert word not in text


def test_a_second_run_is_bit_identical(saved: Folder) -> None:
    """A fresh process trains the same curves from the same weights, to the last bit."""
    first = read_run(saved.path / "out.json").records
    saved.run_fresh("--benchmark-json=second.json")
    second = read_run(saved.path / "second.json").records
    assert [record["runs"] for record in first] == [record["runs"] for record in second]
    assert [record["metrics"] for record in first] == [record["metrics"] for record in second]
    assert first[0]["runs"] is not None


def test_a_name_from_a_fixture_is_kept_as_text(suite: Suite) -> None:
    """A parameter that is no plain value is recorded by its name, or by its type's."""
    suite.write("""
        class Thing:
            name = "by name"

        @pytest.mark.parametrize("what", [Thing(), build, object(), (1, 2.5), None], ids=range(5))
        def test_what(convergence, what):
            convergence.record(loop)
    """)
    ran = suite.run()
    ran.result.assert_outcomes(passed=5)
    whats = [record["params"]["what"] for record in ran.records]
    assert whats == ["by name", "build", "object", [1, 2.5], None]
