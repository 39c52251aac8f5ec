"""What the plugin does in other people's runs: nothing; and with every option of pytest: as expected."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from dlbench.history.run import read_run
from tests.conftest import HEAVY

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import Folder, Suite

QUIET = ("-p", "no:cacheprovider", "-p", "no:hypothesispytest")

LOADED = f"""
import json
import sys

import pytest


@pytest.hookimpl(trylast=True)
def pytest_unconfigure(config):
    ours = [name for name in sys.modules if name.split(".")[0] == "dlbench"]
    heavy = [name for name in {HEAVY!r} if name in sys.modules]
    print("loaded:", json.dumps([ours, heavy]))
"""
"""A conftest.py that prints, at the very end, which of our modules and of the heavy ones are loaded."""

LOOPS = """
    @pytest.mark.parametrize("case", range(3))
    def test_case(convergence, case):
        convergence.record(loop, seeds=1)
        assert case != 1

    def test_plain():
        pass
"""


def loaded(output: str) -> tuple[set[str], list[str]]:
    """Return which of our modules, and which heavy ones, a run had loaded at its end."""
    match = re.search(r"^loaded: (.*)$", output, re.MULTILINE)
    assert match is not None
    ours, heavy = json.loads(match[1])
    return set(ours), heavy


def files(folder: Path) -> dict[str, bytes]:
    """Return every file in a folder and below, with its content."""
    found = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in found}


def test_another_suite_pays_nothing(folder: Folder) -> None:
    """No heavy import, no file, no word, no environment variable that was not asked for.

    The report is on in the ini file, as in a repository that has benchmarks elsewhere.
    """
    folder.write_conftest(LOADED)
    folder.path.joinpath("pytest.ini").write_text(
        "[pytest]\ndlbench_report = report\naddopts = --strict-config -W error\n", encoding="utf-8"
    )
    folder.write("def test_one(): pass", name="test_one.py", head="")
    home = folder.path.parent / "home"
    home.mkdir()
    before = files(folder.path)
    done = folder.run_fresh(PYTHONDONTWRITEBYTECODE="1", HOME=str(home))
    assert "1 passed" in done.stdout
    assert "dlbench:" not in done.stdout
    assert "= dlbench =" not in done.stdout
    ours, heavy = loaded(done.stdout)
    assert heavy == []
    assert ours == {
        "dlbench",
        "dlbench.backend",
        "dlbench.engines",
        "dlbench.errors",
        "dlbench.gate",
        "dlbench.plain",
    } | {name for name in ours if name.startswith("dlbench.plugin")}
    assert files(folder.path) == before
    assert files(home) == {}


def test_collect_only_trains_nothing_and_loads_nothing(folder: Folder) -> None:
    """`--collect-only` names the cases; PyTorch and Keras stay where they are."""
    folder.write_conftest(LOADED)
    folder.write(
        """
        import pytest

        @pytest.mark.parametrize("rate", [0.1, 1.0])
        def test_rate(convergence, parameters, workload, rate):
            raise SystemError("was run")
        """,
        head="",
    )
    done = folder.run_fresh("--collect-only", "-q", "--dlbench-report")
    assert done.returncode == 0
    assert "test_tiny.py::test_rate[0.1]\ntest_tiny.py::test_rate[1.0]" in done.stdout
    assert "dlbench:" not in done.stdout  # other programs read these lines
    assert loaded(done.stdout)[1] == []
    assert not folder.path.joinpath("report").exists()


def test_keras_may_be_imported_first(folder: Folder) -> None:
    """With no variable and no keras.json, a conftest.py or test that imports keras gets PyTorch."""
    folder.write_conftest("import keras\n")
    folder.write("""
        def test_backend(convergence):
            assert keras.backend.backend() == "torch"
            convergence(build, **LEARNS)
    """)
    done = folder.run_fresh("-W", "error")
    assert "1 passed" in done.stdout, done.stdout + done.stderr


@pytest.mark.parametrize("backend", ["jax", "tensorflow", "troch"])
def test_another_backend_is_an_error_with_its_remedy(folder: Folder, backend: str) -> None:
    """Our fixtures say what to set; tests that do not use them are not touched."""
    folder.write(
        """
        def build():
            raise SystemError("the model was built")

        def test_trained(convergence):
            convergence(build, data=([[1.0]], [1.0]), loss="mse")

        def test_counted(parameters):
            parameters(build)

        def test_default(convergence, workload):
            pass

        def test_plain():
            pass
        """,
        head="",
    )
    done = folder.run_fresh("--tb=line", KERAS_BACKEND=backend)
    assert "2 failed, 1 passed, 1 error" in done.stdout
    told = re.findall(r"test_tiny.py::(\w+) - dlbench.errors.BackendError: ", done.stdout)
    assert told == ["test_trained", "test_counted", "test_default"]
    full = "Before anything imports keras, set the environment variable KERAS_BACKEND=torch"
    assert done.stdout.count(full) >= 2
    assert "the model was built" not in done.stdout


def test_the_ini_key_chooses_the_backend(folder: Folder) -> None:
    """`dlbench_keras_backend` sets the variable where it is not set, and only there."""
    folder.path.joinpath("pytest.ini").write_text(
        "[pytest]\ndlbench_keras_backend = mine\n", encoding="utf-8"
    )
    folder.write(
        """
        import os

        def test_set():
            print("backend:", os.environ["KERAS_BACKEND"])
        """,
        head="",
    )
    assert "backend: mine" in folder.run_fresh("-s").stdout
    assert "backend: other" in folder.run_fresh("-s", KERAS_BACKEND="other").stdout


def test_without_the_plugin_the_fixture_is_missed_by_name(suite: Suite) -> None:
    """`-p no:dlbench` turns it off: pytest says which fixture is not there."""
    suite.write(LOOPS)
    result = suite.pytester.runpytest_inprocess("-p", "no:dlbench")
    result.assert_outcomes(errors=3, passed=1)
    result.stdout.fnmatch_lines(["*fixture 'convergence' not found"])
    assert "dlbench:" not in str(result.stdout)


def test_without_pytest_benchmark_the_fixture_is_missed_by_name(suite: Suite) -> None:
    """`-p no:benchmark` takes away what ours stand on, and pytest says so."""
    suite.write(LOOPS)
    ran = suite.run("-p", "no:benchmark")
    ran.result.assert_outcomes(errors=3, passed=1)
    ran.result.stdout.fnmatch_lines(["*fixture 'benchmark' not found"])


def test_the_fixtures_teach_themselves(suite: Suite) -> None:
    """`pytest --fixtures -v` shows each of ours with an example."""
    result = suite.pytester.runpytest_inprocess("--fixtures", "-v", *QUIET)
    text = str(result.stdout)
    for name, example in (
        ("convergence", "runs = convergence(build, data=((x, y), (x_val, y_val))"),
        ("parameters", "assert table.unique == 61_706"),
        ("workload", "Override it in your conftest.py"),
    ):
        assert re.search(rf"^{name}\b.* -- ", text, re.MULTILINE)
        assert example in text


def test_help_tells_every_option_and_ini_key(suite: Suite) -> None:
    """`pytest --help` has a section of ours; every option but to accept is an ini key too."""
    text = str(suite.pytester.runpytest_inprocess("--help").stdout)
    assert "training benchmarks (dlbench):" in text
    options = set(re.findall(r"^  --dlbench-([a-z]+)", text, re.MULTILINE))
    keys = set(re.findall(r"^  dlbench_([a-z_]+) \(", text, re.MULTILINE))
    assert {"seeds", "quick", "workload", "report"} <= options
    assert keys == options - {"accept"} | {"keras_backend", "false_alarm"}


ALL = {"passed": 3, "failed": 1}
OPTIONS: dict[str, tuple[dict[str, int] | None, list[int]]] = {
    "": (ALL, [0, 1, 2]),
    "-k 2": ({"passed": 1, "deselected": 3}, [2]),
    "-x": ({"passed": 1, "failed": 1}, [0, 1]),
    "test_tiny.py::test_case[2]": ({"passed": 1}, [2]),
    "--deselect test_tiny.py::test_case[1]": ({"passed": 3, "deselected": 1}, [0, 2]),
    "--benchmark-only": ({"passed": 2, "failed": 1, "skipped": 1}, [0, 1, 2]),
    "--benchmark-skip": ({"passed": 1, "skipped": 3}, []),
    "--benchmark-disable": (ALL, [0, 1, 2]),
    "--setup-only": ({}, []),
    "--setup-plan": ({}, []),
    "-p no:terminal": (None, [0, 1, 2]),
    **dict.fromkeys(["-s", "-v", "-q", "-qq", "--no-summary", "--tb=no"], (ALL, [0, 1, 2])),
    **dict.fromkeys(["--strict-markers --strict-config", "-W error"], (ALL, [0, 1, 2])),
}


@pytest.mark.parametrize("arguments", OPTIONS)
def test_pytests_own_options(suite: Suite, arguments: str) -> None:
    """Which cases train is pytest's and pytest-benchmark's to say, and how much is written."""
    suite.write(LOOPS)
    outcomes, cases = OPTIONS[arguments]
    ran = suite.run(*arguments.split())
    if outcomes is not None and arguments != "-qq":
        ran.result.assert_outcomes(**outcomes)
    assert [record["params"]["case"] for record in ran.records] == cases
    timed = [record["timing"] is not None for record in ran.records]
    assert timed == [arguments != "--benchmark-disable"] * len(cases)
    assert "INTERNALERROR" not in ran.output


def test_a_table_at_the_very_end(suite: Suite) -> None:
    """The table comes after pytest-benchmark's and after the failures."""
    suite.write(LOOPS)
    lines = suite.run().result.outlines
    table = next(i for i, line in enumerate(lines) if line.startswith("case  "))
    benchmark = next(i for i, line in enumerate(lines) if " benchmark: 3 tests " in line)
    failures = next(i for i, line in enumerate(lines) if " FAILURES " in line)
    assert failures < benchmark < table
    assert lines[table - 1].strip("=") == " dlbench "


def test_everything_together_warns_of_nothing(suite: Suite) -> None:
    """All fixtures in one test, with warnings as errors."""
    suite.write("""
        from matplotlib import pyplot as plt

        def test_all(convergence, parameters, workload):
            parameters(build)
            convergence(build, name="trained", **LEARNS)
            convergence.record(loop, name="loop")
            convergence.figure(plt.figure(), "Empty.")
    """)
    ran = suite.run("-W", "error")
    ran.result.assert_outcomes(passed=1)
    assert "warning" not in ran.output


@pytest.mark.usefixtures("stub_report")
@pytest.mark.parametrize("at", [0, 1])
def test_ctrl_c_keeps_what_was_done(suite: Suite, at: int) -> None:
    """Cases before it are in every file, and that the run is not complete, whatever was timed."""
    suite.write(f"""
        def test_first(convergence):
            convergence.record(loop, seeds=1)

        def test_interrupted(convergence):
            def train(seed):
                if seed == {at}:
                    raise KeyboardInterrupt
                return loop(seed)
            convergence.record(train, seeds=2)

        def test_never(convergence):
            convergence.record(loop, seeds=1)
    """)
    ran = suite.run("--dlbench-report", "--benchmark-json=out.json")
    assert ran.result.ret == pytest.ExitCode.INTERRUPTED
    for name in ("report/run.json", "out.json"):
        run = read_run(suite.path / name)
        assert [record["test"] for record in run.records] == ["test_first"]
        assert run.session is not None
        assert run.session["complete"] is False
        assert run.session["counts"] == {"passed": 1}
    assert "interrupted: no page was drawn; dlbench report report/run.json draws it" in ran.output
    assert not suite.path.joinpath("report/index.html").exists()
    accepting = suite.run("--dlbench-accept")
    assert "interrupted: nothing was accepted" in accepting.output
    assert not suite.path.joinpath("baselines").exists()


AT_ONCE = """
from dlbench.plugin import progress

progress.PLAIN_INTERVAL = 0.0
"""
"""A conftest.py that shows every update."""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no signals for process groups")
def test_ctrl_c_ends_a_training(folder: Folder) -> None:
    """A signal in the middle of Keras' updates ends the run; the earlier case is kept."""
    folder.write_conftest(AT_ONCE)
    folder.write("""
        def test_first(convergence):
            convergence.record(loop, seeds=1)

        def test_long(convergence):
            convergence(build, **LEARNS | {"steps": 10**5})
    """)
    with subprocess.Popen(
        [sys.executable, "-m", "pytest", *QUIET, "--dlbench-report", "--dlbench-engine=fit"],
        cwd=folder.path,
        env=folder.environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
        # A shell's background ignores the signal, and so would its children.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509 - one thread
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if re.match(r"test_long: .* of [0-9,]+ updates", line):
                os.killpg(process.pid, signal.SIGINT)
                break
        rest, _ = process.communicate(timeout=60)
    assert process.returncode == pytest.ExitCode.INTERRUPTED
    assert "KeyboardInterrupt" in rest
    assert "Traceback" not in rest
    assert "test_tiny.py::test_first" in rest  # the table
    run = read_run(folder.path / "report" / "run.json")
    assert [record["test"] for record in run.records] == ["test_first"]
