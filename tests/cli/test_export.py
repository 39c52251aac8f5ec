"""`dlbench export`: saved runs as one tidy table in a file."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
import pytest

from dlbench import cli
from dlbench.history import load
from dlbench.history.frame import COLUMNS

if TYPE_CHECKING:
    from collections.abc import Callable

    Save = Callable[..., Path]
    Made = tuple[Callable[..., dict[str, Any]], Callable[..., dict[str, Any]]]


@pytest.fixture(autouse=True)
def three(save: Save, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Three saved runs, in the folder where the command is run."""
    monkeypatch.chdir(tmp_path)
    return [save(number, "x") for number in (1, 2, 3)]


def test_every_run_as_csv(capsys: pytest.CaptureFixture[str]) -> None:
    """All columns, all rows; what was written is said."""
    assert cli.main(["export", "--to", "out/runs.csv"]) == 0
    frame = pd.read_csv("out/runs.csv")
    assert list(frame.columns) == list(COLUMNS)
    assert frame["run"].nunique() == 3
    assert capsys.readouterr().out == f"out/runs.csv: {len(frame)} rows of 3 runs\n"


@pytest.mark.parametrize(
    ("arguments", "runs"),
    [(["2"], ["0002_x"]), (["1", "0003_x", "1"], ["0001_x", "0003_x"]), (["branch:main"], None),
     (["latest"], ["0003_x"]), (["0002*"], ["0002_x"])],
)  # fmt: skip
def test_named_runs(arguments: list[str], runs: list[str] | None) -> None:
    """Names as everywhere; one that means several means all of them here."""
    assert cli.main(["export", *arguments, "--to", "some.csv"]) == 0
    expected = runs or ["0001_x", "0002_x", "0003_x"]
    assert list(pd.read_csv("some.csv")["run"].unique()) == expected


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["77", "--to", "a.csv"], "no saved run is meant by '77'"),
        (["--to", "a.xlsx"], "a.xlsx: the file must end in .csv or .parquet"),
        (["--to", "a.csv", "-k", "zebra"], "no saved run has a case"),
        (["--to", "a.csv", "--storage", "empty"], "nothing is saved under empty"),
    ],
)
def test_bad_input(arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]) -> None:
    """One line, exit code 2, and no file."""
    assert cli.main(["export", *arguments]) == 2
    assert words in capsys.readouterr().err
    assert not Path("a.csv").exists()


def test_parquet_without_pyarrow_names_the_remedy(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What has to be installed is said."""
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    assert cli.main(["export", "--to", "a.parquet"]) == 2
    assert "Parquet needs pyarrow, which is not installed: pip install" in capsys.readouterr().err
    assert not Path("a.parquet").exists()


def test_parquet_comes_back_as_it_was(save: Save, made: Made) -> None:
    """Every value, and every column's type: whole numbers with gaps, times in UTC, categories."""
    pytest.importorskip("pyarrow")
    records = [made[0]("c.py::test_d", 2, 0.5, name=name) for name in (None, "second")]
    save(4, "x", records=records)
    assert cli.main(["export", "--to", "a.parquet"]) == 0
    frame = pd.read_parquet("a.parquet")
    pd.testing.assert_frame_equal(frame, load(), check_categorical=False)
    assert frame["seed"].dtype == "Int64"
    assert frame["time"].dt.tz is not None
    assert isinstance(frame["case"].dtype, pd.CategoricalDtype)
