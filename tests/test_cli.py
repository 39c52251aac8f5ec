"""The command line: what it prints, and how it ends."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from dlbench import cli
from dlbench.history.run import Run, write_run

if TYPE_CHECKING:
    from collections.abc import Sequence

MODELS = """
import keras


def build():
    return keras.Sequential([keras.Input((2,)), keras.layers.Dense(3), keras.layers.Dense(1)])


built = build()
number = 3


def nothing():
    pass


def unbuilt():
    return keras.Sequential([keras.layers.Dense(3)])
"""

RECORD: dict[str, Any] = {
    "kind": "loop",
    "case": "bench/test_a.py::test_a",
    "name": None,
    "module": "bench/test_a.py",
    "test": "test_a",
    "params": {},
    "outcome": "passed",
    "message": None,
    "bounds": "enforced",
    "runs": None,
    "metrics": None,
    "parameters": None,
    "timing": None,
    "environment": {},
    "duration": 1.0,
}


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder to work in, with a file of models."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "100")
    tmp_path.joinpath("models.py").write_text(MODELS, encoding="utf-8")
    return tmp_path


@pytest.fixture
def pages(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Run, Path]]:
    """The runs that a report was asked for, and where."""
    asked: list[tuple[Run, Path]] = []

    def write(run: Run, folder: Path, **others: object) -> Path:
        del others
        asked.append((run, folder))
        return folder / "index.html"

    monkeypatch.setattr("dlbench.report.write_report", write)
    return asked


def fresh(arguments: Sequence[str], **more: Any) -> subprocess.CompletedProcess[str]:
    """Run the command in a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "dlbench.cli", *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        **more,
    )


def test_without_a_command_it_helps(capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 2, and a help that teaches by examples."""
    assert cli.main([]) == 2
    out = capsys.readouterr().out
    for example in ("dlbench params keras.applications:ResNet50", "dlbench report report/run.json"):
        assert example in out
    assert "exit codes: 0 done, 2 bad input" in out


@pytest.mark.parametrize("command", [[], ["params"], ["report"]], ids=str)
def test_help(command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """`--help` of each command is a success."""
    with pytest.raises(SystemExit) as ended:
        cli.main([*command, "--help"])
    assert ended.value.code == 0
    assert capsys.readouterr().out.startswith("usage: dlbench")


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    """`--version` says the installed one."""
    with pytest.raises(SystemExit) as ended:
        cli.main(["--version"])
    assert ended.value.code == 0
    assert capsys.readouterr().out == f"dlbench {version('dlbench')}\n"


@pytest.mark.parametrize("arguments", [["train"], ["params"], ["report"], ["params", "a", "b"]])
def test_a_wrong_command_line_is_bad_input(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """Argparse's own exit code is ours."""
    with pytest.raises(SystemExit) as ended:
        cli.main(arguments)
    assert ended.value.code == 2
    assert "usage: dlbench" in capsys.readouterr().err


@pytest.mark.parametrize("spec", ["models.py:build", "models.py:built", "models:build"])
def test_params_prints_a_line_a_layer(
    spec: str, here: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file or a module, a builder or a model: name, layers, and the totals."""
    monkeypatch.delitem(sys.modules, "models", raising=False)
    assert cli.main(["params", spec]) == 0
    captured = capsys.readouterr()
    lines = captured.out.splitlines()
    for formula in ("(2 + 1) x 3", "(3 + 1) x 1"):
        assert any(line.startswith("dense") and formula in line for line in lines)
    assert any(line.split()[:3] == ["unique", "parameters", "13"] for line in lines)
    assert captured.err == ""


def test_params_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    """`--json` prints the table as strict JSON; an optimizer's variables are counted on request."""
    assert cli.main(["params", "models.py:build", "--json", "--optimizer", "adam"]) == 0

    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is no JSON")

    table = json.loads(capsys.readouterr().out, parse_constant=refuse)
    assert table["unique"] == 13
    assert table["optimizer"] == 2 * 13 + 2
    assert [row["name"] for row in table["rows"]][-2:] == ["dense", "dense_1"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["models.py"], "expected FILE.py:NAME or package.module:NAME, got 'models.py'"),
        (["nowhere.py:build"], "there is no file"),
        (["models.py:biuld"], "did you mean build"),
        (["no.such:build"], "there is no module 'no'"),
        (["models.py:number"], "expected a keras.Model or a function that builds one, got int"),
        (["models.py:nothing"], "nothing() must return a keras.Model, got NoneType"),
        (["models.py:unbuilt"], "is not built"),
        (["models.py:build", "--optimizer", "adm"], "unknown optimizer 'adm'"),
    ],
    ids=str,
)
def test_a_wrong_spec_is_one_line(
    arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """What cannot be counted is said in a line on the error stream, with exit code 2."""
    assert cli.main(["params", *arguments]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("dlbench: ")
    assert captured.err.count("\n") == 1
    assert words in captured.err


def test_params_by_itself_in_a_fresh_process(here: Path) -> None:
    """`python -m dlbench.cli` needs no environment variable and no keras.json."""
    environment = {name: value for name, value in os.environ.items() if "KERAS" not in name}
    done = fresh(
        ["params", "models.py:build", "--json"],
        env=environment | {"KERAS_HOME": str(here / "keras")},
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout)["unique"] == 13


def test_another_backend_is_one_line(here: Path) -> None:
    """With KERAS_BACKEND=jax the remedy is named, without a traceback."""
    done = fresh(["params", "models.py:build"], env=os.environ | {"KERAS_BACKEND": "jax"})
    assert done.returncode == 2
    assert "set the environment variable KERAS_BACKEND=torch" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_closed_pipe_ends_it_quietly() -> None:
    """`dlbench params … | head -1` leaves no complaint, neither of ours nor of Python's."""
    command = [sys.executable, "-m", "dlbench.cli", "params", "models.py:build"]
    read, write = os.pipe()
    os.close(read)
    try:
        done = subprocess.run(
            command, stdout=write, stderr=subprocess.PIPE, text=True, check=False, timeout=60
        )
    finally:
        os.close(write)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    ("file", "arguments", "folder"),
    [
        ("out/run.json", [], "out"),
        ("run.json", [], "."),
        ("0001_saved.json", [], "report"),
        ("out/run.json", ["--to", "there"], "there"),
        ("0001_saved.json", ["--to", "a/b"], "a/b"),
    ],
)
def test_report_writes_the_page_again(
    file: str,
    arguments: list[str],
    folder: str,
    pages: list[tuple[Run, Path]],
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Beside a `run.json`, else into `report`, or where `--to` says; the path is printed."""
    write_run(Run(records=[RECORD]), Path(file))  # type: ignore[list-item]
    assert cli.main(["report", file, *arguments]) == 0
    ((run, where),) = pages
    assert where == Path(folder)
    assert [record["case"] for record in run.records] == ["bench/test_a.py::test_a"]
    assert capsys.readouterr().out == f"{Path(folder) / 'index.html'}\n"


@pytest.mark.usefixtures("pages")
def test_report_opens_the_page_on_request(monkeypatch: pytest.MonkeyPatch, here: Path) -> None:
    """`--open` hands the page's address to the browser."""
    opened: list[str] = []
    monkeypatch.setattr("webbrowser.open", opened.append)
    write_run(Run(records=[RECORD]), Path("run.json"))  # type: ignore[list-item]
    assert cli.main(["report", "run.json", "--open"]) == 0
    assert opened == [(here / "index.html").as_uri()]


UNREADABLE: dict[str, tuple[bytes | None, str]] = {
    "missing": (None, "cannot be read: No such file or directory"),
    "empty": (b"", "Expecting value"),
    "truncated": (b'{"benchmarks": [{"fullname"', "line 1"),
    "not UTF-8": (b"\xff\xfe\x00{", "saved.json: "),
    "another list": (b"[1, 2]", "this is no saved run"),
    "another document": (b'{"name": "package.json"}', "this is no saved run"),
    "no case of ours": (b'{"benchmarks": [{"fullname": "a", "extra_info": {}}]}', "no case of"),
    "deep": (b"[" * 100_000, "saved.json: "),
    "newer": (b'{"benchmarks": [], "dlbench": {"schema": 99}}', "pip install --upgrade dlbench"),
    "half a record": (
        b'{"benchmarks": [{"extra_info": {"dlbench": {"schema": 1, "records": [{}]}}}]}',
        "a record lacks",
    ),
}


@pytest.mark.parametrize(("content", "words"), UNREADABLE.values(), ids=UNREADABLE)
def test_a_file_that_is_no_run_is_one_line(
    content: bytes | None,
    words: str,
    pages: list[tuple[Run, Path]],
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Missing, truncated, foreign or newer: a sentence that names the file, and exit code 2."""
    if content is not None:
        Path("saved.json").write_bytes(content)
    assert cli.main(["report", "saved.json"]) == 2
    captured = capsys.readouterr()
    assert captured.err.startswith("dlbench: saved.json: ")
    assert captured.err.count("\n") == 1
    assert words in captured.err
    assert captured.out == ""
    assert pages == []


def test_a_folder_is_no_run(capsys: pytest.CaptureFixture[str], here: Path) -> None:
    """A folder's name instead of the file in it: one line."""
    here.joinpath("report").mkdir()
    assert cli.main(["report", "report"]) == 2
    assert capsys.readouterr().err.startswith("dlbench: report: ")


@pytest.mark.parametrize(
    ("error", "code", "told"),
    [
        (
            OSError(28, "No space left on device", "out/index.html"),
            2,
            "dlbench: out/index.html: No space left on device\n",
        ),
        (OSError("something else"), 2, "dlbench: something else\n"),
        (KeyboardInterrupt(), 130, "\ndlbench: interrupted\n"),
    ],
)
def test_a_page_that_is_not_written_is_one_line(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    error: BaseException,
    code: int,
    told: str,
) -> None:
    """What the system refuses is told with the place, where it names one; Ctrl-C without a traceback."""

    def write(run: Run, folder: Path, **others: object) -> Path:
        raise error

    monkeypatch.setattr("dlbench.report.write_report", write)
    write_run(Run(records=[RECORD]), Path("run.json"))  # type: ignore[list-item]
    assert cli.main(["report", "run.json"]) == code
    assert capsys.readouterr().err == told


def test_help_imports_nothing_heavy() -> None:
    """`dlbench --help` answers at once: PyTorch, Keras and NumPy stay where they are."""
    code = (
        "import sys, contextlib\nfrom dlbench.cli import main\n"
        "with contextlib.suppress(SystemExit): main(['--help'])\n"
        "print('heavy:', [n for n in ('torch', 'keras', 'numpy', 'rich') if n in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert "heavy: []" in done.stdout
