"""`dlbench report` by a saved run's name."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from dlbench import cli

if TYPE_CHECKING:
    from collections.abc import Callable

    from dlbench.history.run import Run

    Save = Callable[..., Path]


@pytest.fixture
def folders(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[tuple[int, Path]]:
    """How many records a report was asked for, and where."""
    asked: list[tuple[int, Path]] = []

    def write(run: Run, folder: Path, on_progress: object = None) -> Path:
        asked.append((len(run.records), folder))
        return folder / "index.html"

    monkeypatch.setattr("dlbench.report.write_report", write)
    monkeypatch.chdir(tmp_path)
    return asked


@pytest.mark.parametrize("name", ["2", "nightly", "0002_nightly", "latest"])
def test_a_saved_run_by_name(save: Save, folders: list[tuple[int, Path]], name: str) -> None:
    """A number, a name or `latest` is enough; the report is written to ./report."""
    save(1)
    save(2, "nightly")
    assert cli.main(["report", name]) == 0
    assert folders == [(1, Path("report"))]


@pytest.mark.usefixtures("folders")
def test_a_name_that_means_several_is_bad_input(
    save: Save, capsys: pytest.CaptureFixture[str]
) -> None:
    """They are listed, a line each, with exit code 2."""
    paths = [save(number) for number in (1, 2)]
    assert cli.main(["report", "x"]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "dlbench: 'x' means 2 saved runs; name one by its path:"
    assert [Path(line.strip()).name for line in lines[1:]] == [path.name for path in paths]
