"""The notebook's door: what is written is executed by a real kernel, and shows what pytest shows."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from textwrap import dedent
from typing import TYPE_CHECKING, Any

import pytest

from dlbench.history import read_run
from dlbench.report.notebooks import write_notebooks

if TYPE_CHECKING:
    from pathlib import Path

MODULE = dedent('''\
    """
    # Small steps

    A loss of $L$ falls."""

    import numpy as np
    import pytest
    from matplotlib.figure import Figure

    from small_parts import build

    RATES = [0.01, 0.1]
    X = np.linspace(-1, 1, 20)[:, None]
    DATA = {"data": ((X, X), (X, X)), "loss": "mse", "batch_size": 5, "steps": 8}


    @pytest.mark.parametrize("learning_rate", RATES)
    def test_rate(convergence, slope, learning_rate):
        """The loss falls."""
        runs = convergence(build, learning_rate=learning_rate, **DATA)
        assert slope == 2  # from conftest.py
        assert learning_rate < 0.05


    class TestPicture:
        """A test in a class that hands in a figure."""

        @pytest.fixture(autouse=True)
        def around(self):
            yield

        def test_picture(self, convergence):
            figure = Figure(figsize=(1, 1))
            figure.subplots().plot([1, 2])
            convergence.figure(figure, "A line that rises")


    def test_silent():
        assert Path("benchmarks/test_small.py").is_file()  # from the repository's root


    from pathlib import Path

    DISCUSSION = "It fell."
''')
PARTS = dedent("""\
    import keras

    def build():
        return keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
""")
EXECUTE = dedent("""\
    import sys
    import nbformat
    from nbclient import NotebookClient

    path, out = sys.argv[1:]
    document = nbformat.read(path, as_version=4)
    beside = {"metadata": {"path": path.rsplit("/", 1)[0]}}
    NotebookClient(document, timeout=300, resources=beside).execute()
    nbformat.write(document, out)
""")


def fresh() -> dict[str, str]:
    """Return the environment of a process that knows nothing of this one."""
    left_out = ("COV_", "PYTEST_", "KERAS_BACKEND")
    return {name: value for name, value in os.environ.items() if not name.startswith(left_out)}


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository with a benchmark module, run once, and its notebook in the report's folder."""
    root = tmp_path_factory.mktemp("repository")
    suite = root / "benchmarks"
    suite.mkdir()
    (root / "pytest.ini").write_text(
        "[pytest]\naddopts = -n 2 --strict-markers\nfilterwarnings = error\ndlbench_report = report\n"
    )
    (suite / "conftest.py").write_text("import pytest\n\n@pytest.fixture\ndef slope(): return 2\n")
    (suite / "small_parts.py").write_text(PARTS)
    (suite / "test_small.py").write_text(MODULE)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-n0", "-q", "--dlbench-seeds=2", "-W", "default"],
        cwd=root, env=fresh(), capture_output=True, text=True, check=False, timeout=300,
    )  # fmt: skip
    assert "1 failed, 3 passed" in done.stdout, done.stdout + done.stderr
    write_notebooks(read_run(root / "report" / "run.json"), root / "report" / "notebooks", [suite])
    return root


@pytest.fixture(scope="module")
def executed(repository: Path) -> dict[str, Any]:
    """By the code of a cell what it put out, once a kernel has executed all, in order."""
    path, out = repository / "report" / "notebooks" / "small.ipynb", repository / "done.ipynb"
    subprocess.run(
        [sys.executable, "-c", EXECUTE, path, out],
        env=fresh(), capture_output=True, text=True, check=True, timeout=300,
    )  # fmt: skip
    document = json.loads(out.read_text(encoding="utf-8"))
    code = [cell for cell in document["cells"] if cell["cell_type"] == "code"]
    return {"".join(cell["source"]): cell["outputs"] for cell in code}


def shown(outputs: list[dict[str, Any]], kind: str) -> list[str]:
    """Return what a cell displayed of one kind."""
    return ["".join(output["data"][kind]) for output in outputs if kind in output.get("data", {})]


def printed(outputs: list[dict[str, Any]]) -> str:
    """Return what a cell printed, without colours."""
    text = "".join("".join(output["text"]) for output in outputs if "text" in output)
    return re.sub(r"\x1b\[[0-9;]*m", "", text)


def test_it_executes_as_written(executed: dict[str, Any]) -> None:
    """No cell raises; conftest.py and the module beside the file are found, the seeds are the run's."""
    outputs = executed["rate = play(test_rate)\nrate"]
    (table,) = shown(outputs, "text/markdown")
    assert table.startswith("1 of 2 tests passed and 1 failed")
    assert table.count("\n| 0.") == 2
    assert "learning\\_rate" not in table
    assert "- benchmarks/test\\_small.py::test\\_rate\\[0.1\\] failed: " in table
    assert "assert learning_rate < 0.05" in printed(outputs)
    assert "1 failed, 1 passed" in printed(outputs)
    assert "stalled: no better" not in printed(outputs)  # the closing table of a terminal


def test_it_shows_what_the_run_showed(executed: dict[str, Any], repository: Path) -> None:
    """As many pictures with the same words, and a table of the same medians."""
    path = repository / "report" / "notebooks" / "small.ipynb"
    document = json.loads(path.read_text(encoding="utf-8"))
    before = {cell["source"]: cell.get("outputs", []) for cell in document["cells"]}
    for code in ("rate.show()", "picture.show()"):
        assert shown(executed[code], "text/markdown") == shown(before[code], "text/markdown")
        assert len(shown(executed[code], "image/png")) == len(shown(before[code], "image/png")) > 0
    medians = [
        [line.split("|")[1:5] for line in table.splitlines() if line.startswith("| 0.")]
        for outputs in (executed, before)
        for table in shown(outputs["rate = play(test_rate)\nrate"], "text/markdown")
    ]
    assert medians[0] == medians[1]


def test_a_class_and_a_test_without_numbers_are_played(executed: dict[str, Any]) -> None:
    """Both pass, in the folder that the run was started in."""
    assert "1 passed" in printed(executed["picture = play(TestPicture)\npicture"])
    assert shown(executed["play(test_silent)"], "text/plain")[0].startswith("The one test passed")


def test_a_reader_can_go_on(executed: dict[str, Any]) -> None:
    """The last cell draws the tidy curves by what varies."""
    (last,) = [outputs for code, outputs in executed.items() if "sns.relplot" in code]
    assert len(shown(last, "image/png")) == 1


def test_nothing_else_is_written(executed: dict[str, Any], repository: Path) -> None:
    """Neither a report nor a cache: the run's own report stands as it was."""
    assert executed
    files = {path.name for path in repository.rglob("*") if path.is_file()}
    assert not [name for name in files if name.endswith(".json") and name != "run.json"]
    assert sorted(path.name for path in (repository / "report").iterdir()) == [
        "figures", "index.html", "notebooks", "run.json",
    ]  # fmt: skip
    run = read_run(repository / "report" / "run.json")
    assert run.session is not None
    assert run.session["counts"] == {"passed": 3, "failed": 1}


def test_away_from_its_repository(tmp_path: Path) -> None:
    """Without the file the tests are played all the same; what pytest cannot play is an error."""
    code = dedent("""\
        from dlbench.notebook import player

        play = player("benchmarks/test_gone.py", "--dlbench-seeds=2")

        def test_here(convergence):
            loop = lambda seed: {"loss": [1.0, 0.5 + seed, 0.25], "step": [0, 10, 20]}
            runs = convergence.record(loop, workload="halves")
            assert runs.final("loss").max() == 0.25

        def test_unwanted():
            raise AssertionError("only what is named is played")

        here = play(test_here)
        print(repr(here), sorted(here.curves["step"].unique()), list(here.seeds["seed"]))
        for wrong in ((), (lambda: None,)):
            try:
                play(*wrong)
            except LookupError as error:
                print("refused:", error)
    """)
    (tmp_path / "cells.py").write_text(code)
    done = subprocess.run(
        [sys.executable, "cells.py"],
        cwd=tmp_path, env=fresh(), capture_output=True, text=True, check=True, timeout=300,
    )  # fmt: skip
    assert "The one test passed" in done.stdout
    assert "[0.0, 10.0, 20.0] [0, 1]" in done.stdout.replace("np.float64(", "").replace(")", "")
    assert done.stdout.count("refused: pytest did not play") == 2
    assert [path.name for path in tmp_path.iterdir()] == ["cells.py"]
