"""`dlbench history`: every saved run in order, what changed, and what is wrong with a run."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from dlbench import cli

if TYPE_CHECKING:
    from collections.abc import Callable

    Save = Callable[..., Path]
    Made = tuple[Callable[..., dict[str, Any]], Callable[..., dict[str, Any]]]

CASE = "bench/test_a.py::test_b[1]"
HOSTILE = "a.py::test_x[<img src=x onerror=alert(1)>|**b**`c`\x1b[31m\x07\x9b2J\u202e../../etc/passwd[red]]"


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Work in an empty folder, 80 columns wide."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")


@pytest.fixture
def eight(save: Save, made: Made) -> list[Path]:
    """Eight runs: the third failed, the fourth is partial, the fifth dirty, 5 % worse from the sixth."""
    return [
        save(
            day, "nightly",
            records=[made[0](CASE, 16, 0.05 if day >= 6 else 0.0,
                             outcome="failed" if day == 3 else "passed")],
            started=f"2026-01-{day:02}T10:00:00+00:00", complete=day != 4, quick=False,
            commit={"id": f"{day:02}" * 20, "branch": "main", "dirty": day == 5},
        )
        for day in range(1, 9)
    ]  # fmt: skip


def ran(*arguments: str, code: int = 0) -> None:
    """Run the command in this process."""
    assert cli.main(["history", *arguments]) == code


@pytest.mark.usefixtures("eight")
def test_a_row_a_run(capsys: pytest.CaptureFixture[str]) -> None:
    """In 80 columns: value and quartiles, marks, and the change at its run."""
    ran("test_b")
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "test_a.py::test_b[1]: mean_log_loss, 16 seeds"
    rows = {line[:4]: line for line in lines if line[:4].isdigit()}
    assert list(rows) == [f"{day:04}" for day in range(1, 9)]
    assert rows["0001"].split() == [
        "0001", "2026-01-01", "10:00", "0101010101", "0.575", "0.530", "–", "0.620",
    ]  # fmt: skip
    assert "failed" in rows["0003"]
    assert "partial" in rows["0004"]
    assert "0505050505+" in rows["0005"]
    assert "dirty" in rows["0005"]
    assert "changed +5.13 %" in rows["0006"]
    assert rows["0007"].rstrip().endswith("0.670")
    assert max(map(len, lines)) <= 80


@pytest.mark.usefixtures("eight")
def test_without_a_case_a_line_a_case(save: Save, made: Made, capsys: Any) -> None:
    """Of each case the last value and the last change, named by its commit."""
    for day in (11, 12):
        save(day, records=[made[0]("c.py::test_d", 16, 0.0)], started="2026-02-01T00:00:00+00:00")
    ran()
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["case", "runs", "mean_log_loss", "last", "change"]
    words = " ".join(lines[1:3]).split()
    assert words[:4] == ["test_a.py::test_b[1]", "8", "0.625", "+5.13"]
    assert "worse:" in words
    assert "0606060606" in words
    assert any(line.startswith("c.py::test_d") for line in lines)
    assert max(map(len, lines)) <= 80


@pytest.mark.usefixtures("eight")
def test_metrics_are_asked_for_by_name(capsys: pytest.CaptureFixture[str]) -> None:
    """One table a metric; a time with its unit; one that nobody has is bad input."""
    ran("test_b", "--metric", "step_seconds", "--metric", "steps_to_target")
    out = capsys.readouterr().out
    assert "test_a.py::test_b[1]: step_seconds\n" in out
    assert out.count(" 2 ms") == 8
    assert "test_a.py::test_b[1]: steps_to_target, 16 seeds\n" in out
    ran("--metric", "accuracy", code=2)
    assert "no metric accuracy; the runs have mean_log_loss" in capsys.readouterr().err


@pytest.mark.usefixtures("eight")
def test_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    """Strict JSON: runs by column, changes by row."""
    ran("--format", "json")

    def refuse(constant: str) -> None:
        raise AssertionError(constant)

    (trend,) = json.loads(capsys.readouterr().out, parse_constant=refuse)
    assert (trend["case"], trend["metric"], len(trend["runs"])) == (CASE, "mean_log_loss", 8)
    assert trend["runs"][2]["outcome"] == "failed"
    assert trend["runs"][3]["complete"] is False
    (change,) = trend["changes"]
    assert (change["row"], change["run"], change["level"]) == (5, "0006_nightly", True)
    assert trend["runs"][5]["time"] == "2026-01-06T10:00:00+00:00"


@pytest.mark.usefixtures("eight")
def test_as_csv(capsys: pytest.CaptureFixture[str]) -> None:
    """One table with a row a run, in which a change stands at its run."""
    ran("--format", "csv")
    rows = list(csv.DictReader(capsys.readouterr().out.splitlines()))
    assert [row["changed"] for row in rows] == ["False"] * 5 + ["True"] + ["False"] * 2
    assert rows[5]["where"] == "commit 0606060606"
    assert float(rows[0]["median"]) == 0.575


@pytest.mark.usefixtures("eight")
def test_as_markdown(capsys: pytest.CaptureFixture[str]) -> None:
    """A table that GitHub shows: as many cells in each row as in the head."""
    ran("test_b", "--format", "markdown", "--by", "torch")
    lines = capsys.readouterr().out.splitlines()
    table = [line for line in lines if line.startswith("|")]
    assert len(table) == 10
    assert {line.count("|") for line in table} == {8}
    assert "| torch |" in table[0]


@pytest.mark.parametrize("form", ["table", "markdown", "json", "csv"])
def test_names_are_harmless(
    save: Save, made: Made, capsys: pytest.CaptureFixture[str], form: str, tmp_path: Path
) -> None:
    """No terminal's escape, no markup and no HTML of a saved file is more than text; no path leads out."""
    for day in (1, 2):
        save(day, records=[made[0](HOSTILE, 16, 0.0, name="\x1b]0;x\x07", outcome="\x1b[2J")],
             commit={"id": "\x1b[5m", "branch": "<b>", "dirty": False})  # fmt: skip
    ran("test_x", "--format", form, "--plot", "figures")
    captured = capsys.readouterr()
    for text in (captured.out, captured.err):
        assert {sign for sign in text if not sign.isprintable()} <= {"\n"}
    if form == "markdown":
        assert "<img" not in captured.out.replace("\\<img", "")
        assert {line.replace("\\|", "").count("|") for line in captured.out.splitlines()
                if line.startswith("|")} == {7}  # fmt: skip
    if form == "table":
        assert "[red]" in captured.out
    for path in Path("figures").rglob("*"):
        assert path.resolve().parent == tmp_path / "figures"
        assert path.name.isascii()


@pytest.mark.usefixtures("eight")
def test_figures(capsys: pytest.CaptureFixture[str]) -> None:
    """`--plot` draws a PNG and an SVG a table, and says where."""
    ran("--metric", "mean_log_loss", "--metric", "step_seconds", "--plot", "deep/figures")
    names = sorted(path.name for path in Path("deep/figures").iterdir())
    stem = "test_a-py-test_b-1"
    assert names == [f"{stem}-{metric}.{end}" for metric in ("mean_log_loss", "step_seconds")
                     for end in ("png", "svg")]  # fmt: skip
    assert Path("deep/figures", names[0]).read_bytes().startswith(b"\x89PNG")
    assert capsys.readouterr().err == "".join(f"deep/figures/{name}\n" for name in names[::2])


def test_broken_files_are_named_and_passed_over(
    eight: list[Path], capsys: pytest.CaptureFixture[str]
) -> None:
    """One line each on the error stream, and a count from the eleventh on; the exit code is 0."""
    for number in range(100, 113):
        eight[0].with_name(f"0{number}_x.json").write_text("{", encoding="utf-8")
    ran("test_b")
    captured = capsys.readouterr()
    lines = captured.err.splitlines()
    assert len(lines) == 11
    assert lines[0].startswith("dlbench: passed over .benchmarks/Linux-CPython-3.11-64bit/0100_x")
    assert lines[-1] == "dlbench: passed over 3 more files"
    assert "0008" in captured.out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "nothing is saved under .benchmarks; save with `pytest --benchmark-autosave`"),
        (["--storage", "elsewhere"], "nothing is saved under elsewhere"),
        (["--storage", "elasticsearch+https://h/"], "file://PATH"),
    ],
)
def test_nothing_saved_is_bad_input(
    arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """The remedy is named, with exit code 2."""
    ran(*arguments, code=2)
    assert words in capsys.readouterr().err


@pytest.mark.usefixtures("eight")
@pytest.mark.parametrize(
    ("arguments", "words"),
    [(["test_z"], "no saved run has a case"), (["-k", "b and ("], "is no expression"),
     (["-k", "not b"], "no saved run has a case")],
)  # fmt: skip
def test_no_such_case_is_bad_input(
    arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """A part of a test's id that no case has, or an expression that is none."""
    ran(*arguments, code=2)
    assert words in capsys.readouterr().err


@pytest.mark.usefixtures("eight")
@pytest.mark.parametrize("storage", [".benchmarks", "file://./.benchmarks",
                                     ".benchmarks/Linux-CPython-3.11-64bit"])  # fmt: skip
def test_where_runs_are_saved(storage: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A folder, as pytest-benchmark's option has it, or one machine's."""
    ran("test_b", "--storage", storage)
    assert "0008 2026" in capsys.readouterr().out


def test_help_teaches_by_examples(capsys: pytest.CaptureFixture[str]) -> None:
    """`--help` shows what people ask."""
    for command in ("history", "export"):
        with pytest.raises(SystemExit) as ended:
            cli.main([command, "--help"])
        assert ended.value.code == 0
        assert f"examples:\n  dlbench {command}" in capsys.readouterr().out


@pytest.mark.usefixtures("eight")
def test_in_a_fresh_process_without_keras() -> None:
    """Histories are read where nothing can train: neither PyTorch nor Keras is imported."""
    code = (
        "import sys\nfrom dlbench.cli import main\nmain(['history', 'test_b', '--plot', 'f'])\n"
        "print([name for name in ('torch', 'keras') if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.endswith("[]\n")
