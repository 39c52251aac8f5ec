"""`dlbench report` by a saved run's name."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from dlbench import cli

if TYPE_CHECKING:
    from collections.abc import Callable

    from dlbench.history.run import Run

    Save = Callable[..., Path]

CASE = "bench/test_a.py::test_b[1]"


@pytest.fixture
def folders(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[tuple[int, Path]]:
    """How many records a report was asked for, and where."""
    asked: list[tuple[int, Path]] = []

    def write(run: Run, folder: Path, **others: object) -> Path:
        del others
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


@pytest.fixture
def page(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., str]:
    """A function that writes a run's report against another, and returns the page."""
    monkeypatch.chdir(tmp_path)

    def write(*arguments: str) -> str:
        assert cli.main(["report", *arguments, "--to", "out"]) == 0
        return Path("out", "index.html").read_text(encoding="utf-8")

    return write


def test_against_a_saved_run(save: Save, page: Callable[..., str]) -> None:
    """Its name in a heading, the verdicts of the gate, and both runs' curves over each other."""
    save(1, "old")
    save(2, "new", shift=0.05)
    html = page("new", "--against", "old")
    assert '<h2 id="against-title">Against 0001 old</h2>' in html
    assert "1 case is worse" in html
    assert (
        "That run was made at 2026-01-01 00:00:00+00:00 from commit c0ffee000000 on main." in html
    )
    assert "Curves of bench/test_a.py::test_b[1]: worse" in html


def test_against_itself(save: Save, page: Callable[..., str]) -> None:
    """Every case is identical, and there is nothing to draw."""
    save(1)
    html = page("1", "--against", "1")
    assert "1 case is the same (1 identical)." in html
    assert "1 case that did not change in a single bit" in html
    assert "<img" not in html.partition('id="against"')[2].partition("</section>")[0]


def test_against_the_baseline(
    save: Save, made: Any, page: Callable[..., str], capsys: pytest.CaptureFixture[str]
) -> None:
    """It keeps no curves, and the page says so; without one there is nothing to compare with."""
    gate: dict[str, Any] = {"gate": {"rules": {}}}
    path = save(1, records=[made[0](CASE, 16, 0.0, **gate)])
    assert cli.main(["report", "1", "--against", "baseline"]) == 2
    assert "nothing was accepted under" in capsys.readouterr().err
    path.parents[2].joinpath("bench").mkdir()
    path.parents[2].joinpath("bench", "test_a.py").write_text("", encoding="utf-8")
    assert cli.main(["accept", "1"]) == 0
    save(2, "new", shift=0.05)
    html = page("new", "--against", "baseline")
    assert "Against the baseline</h2>" in html
    assert "1 case is worse" in html
    assert "The baseline keeps a number a seed and no curves" in html


@pytest.mark.parametrize("form", ["markdown", "json"])
def test_the_other_forms_have_the_same_verdicts(
    save: Save, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any, form: str
) -> None:
    """Their summary is taken against the same run."""
    monkeypatch.chdir(tmp_path)
    save(1, "old")
    save(2, "new", shift=0.05)
    assert cli.main(["report", "new", "--against", "old", "--format", form]) == 0
    assert "Against 0001 old: 1 case is worse." in capsys.readouterr().out


@pytest.mark.usefixtures("folders")
def test_what_it_cannot_be_held_against(
    save: Save, made: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    """A name that means nothing, a damaged file, or a run of other cases is bad input."""
    save(1)
    save(2, "other", records=[made[0]("bench/test_z.py::test_z", 16, 0.0)])
    Path("broken.json").write_text("{", encoding="utf-8")
    for name, words in (
        ("nobody", "no saved run is meant by 'nobody'"),
        ("broken.json", "broken.json: "),
        ("other", "no case is on both sides: 0002 other has bench/test_z.py::test_z; "),
    ):
        assert cli.main(["report", "1", "--against", name]) == 2
        assert words in capsys.readouterr().err


def test_the_page_alone_can_be_opened(save: Save, capsys: pytest.CaptureFixture[str]) -> None:
    """`--open` beside another form is bad input, before anything is drawn."""
    path = save(1)
    assert cli.main(["report", str(path), "--format", "json", "--open"]) == 2
    assert "--format json makes none" in capsys.readouterr().err


def test_an_unknown_form_is_refused(save: Save, capsys: pytest.CaptureFixture[str]) -> None:
    """The message names the forms that there are."""
    with pytest.raises(SystemExit) as left:
        cli.main(["report", str(save(1)), "--format", "pdf"])
    assert left.value.code == 2
    assert "ipynb" in capsys.readouterr().err


@pytest.mark.parametrize(("form", "start"), [("markdown", "## "), ("json", '{\n "schema": 1,')])
def test_a_text_goes_to_standard_output_or_to_a_file(
    save: Save, tmp_path: Path, capsys: pytest.CaptureFixture[str], form: str, start: str
) -> None:
    """Without `--to` it is printed; with it the file has the same, and its path is printed."""
    path = save(1)
    assert cli.main(["report", str(path), "--format", form]) == 0
    text = capsys.readouterr().out
    assert text.startswith(start)
    to = tmp_path / "new" / "out"
    assert cli.main(["report", str(path), "--format", form, "--to", str(to)]) == 0
    assert capsys.readouterr().out == f"{to}\n"
    assert to.read_text(encoding="utf-8") == text


def test_notebooks_and_their_paths(
    save: Save, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A path a line; what somebody changed since is bad input with a remedy."""
    path = save(1)
    arguments = ["report", str(path), "--format", "ipynb", "--to", str(tmp_path / "notebooks")]
    assert cli.main(arguments) == 0
    written = [Path(line) for line in capsys.readouterr().out.splitlines()]
    assert written
    assert all(one.suffix == ".ipynb" and one.is_file() for one in written)
    written[0].write_text("mine", encoding="utf-8")
    assert cli.main(arguments) == 2
    assert "Rename it" in capsys.readouterr().err


def test_a_place_that_cannot_be_written_is_named(
    save: Save, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A file where a folder must be is a sentence, not a traceback."""
    path = save(1)
    (tmp_path / "file").write_text("")
    for form in ("markdown", "json", "ipynb"):
        to = tmp_path / "file" / "out"
        assert cli.main(["report", str(path), "--format", form, "--to", str(to)]) == 2
        assert "dlbench: " in capsys.readouterr().err


@pytest.mark.parametrize(
    ("form", "there", "message"),
    [
        ("markdown", "folder", "is a folder; --format markdown writes a file"),
        ("json", "folder", "is a folder; --format json writes a file"),
        ("html", "file", "is a file; --format html writes a folder"),
        ("ipynb", "file", "is a file; --format ipynb writes a folder"),
    ],
)
@pytest.mark.usefixtures("folders")
def test_a_target_of_the_wrong_kind_is_refused(
    save: Save, capsys: pytest.CaptureFixture[str], form: str, there: str, message: str
) -> None:
    """Nothing is written where a folder stands for a file, or a file for a folder."""
    save(1)
    target = Path("target")
    if there == "folder":
        target.mkdir()
    else:
        target.write_text("mine", encoding="utf-8")
    assert cli.main(["report", "1", "--format", form, "--to", "target"]) == 2
    assert message in capsys.readouterr().err
    assert target.is_dir() or target.read_text(encoding="utf-8") == "mine"
