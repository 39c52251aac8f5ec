"""A report as it lies on the disk."""

from __future__ import annotations

import base64
import math
import re
import subprocess
import sys
import warnings
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

import pandas as pd
import pytest

from dlbench.gate.sides import compared, side_of
from dlbench.report import write_report
from dlbench.report.comparison import MOST_OVERLAYS, MOST_ROWS
from dlbench.report.writing import FURTHER

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from dlbench.history.record import Record
    from dlbench.history.run import Run

PNG = base64.b64encode(b"\x89PNG\r\n\x1a\n" + bytes(20)).decode()


@pytest.fixture(scope="module")
def written(suite: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The suite's report, written with warnings as errors."""
    folder = tmp_path_factory.mktemp("report")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert write_report(suite, folder) == folder / "index.html"
    return folder


def test_the_page_is_whole_and_bounded(written: Path) -> None:
    """The page carries its figures and stays far below ten megabytes."""
    html = (written / "index.html").read_text(encoding="utf-8")
    assert html.endswith("</html>")
    assert html.count("<img ") > 15
    assert "no room left" not in html
    assert len(html) < 5e6


def test_every_figure_lies_beside_the_page(written: Path) -> None:
    """Each figure that was drawn is there as PNG, SVG and CSV; nothing else is."""
    html = (written / "index.html").read_text(encoding="utf-8")
    files = [path for path in (written / "figures").iterdir() if not path.name.startswith(".")]
    stems = {path.stem for path in files if path.suffix == ".svg"}
    assert len(stems) > 14
    assert stems == {path.stem for path in files if path.suffix == ".csv"}
    assert {path.stem for path in files if path.suffix == ".png"} - stems == {
        "test_activations-test_depth-relu-1-moons"
    }
    for path in files:
        assert f'href="figures/{path.name}"' in html
    assert sorted(path.name for path in written.iterdir()) == ["figures", "index.html"]


def test_what_a_test_handed_in_is_shown(written: Path) -> None:
    """A figure from a test stands in the section of its case, with its caption."""
    html = (written / "index.html").read_text(encoding="utf-8")
    section = html.split(">Depth: moons</h3>")[1].split("</section>")[0]
    assert 'alt="The boundary that relu draws"' in section
    assert html.count("The boundary that relu draws") == 2


def test_progress_counts_the_studies(
    trained: Callable[..., Record], run_of: Callable[..., Run], tmp_path: Path
) -> None:
    """Progress is told before each study, and before the page."""
    told: list[tuple[int, int, str]] = []
    records = [trained("test_a", {}), trained("test_b", {})]
    write_report(run_of(records), tmp_path, on_progress=lambda *step: told.append(step))
    assert told == [(0, 2, "A"), (1, 2, "B"), (2, 2, "index.html")]


def test_a_run_against_another(
    trained: Callable[..., Record], run_of: Callable[..., Run], tmp_path: Path
) -> None:
    """Effects of all cases in one figure, curves of the first few; the data are the verdicts'."""
    runs = [
        run_of([trained("test_a", {"x": x}, rate=rate * (1 + x / 100)) for x in range(8)])
        for rate in (0.01, 0.012)
    ]
    sides = side_of(runs[1], "0001 old", "old"), side_of(runs[0], "b", "b")
    found, told = compared(*sides, lambda _: True, 0.01), list[tuple[int, int, str]]()
    page = write_report(
        runs[0], tmp_path, against=found, on_progress=lambda *step: told.append(step)
    )
    assert told == [(0, 1, "against 0001 old"), (0, 1, "A"), (1, 1, "index.html")]
    html = page.read_text(encoding="utf-8")
    section = html.partition('<section id="against"')[2].partition("</section>")[0]
    assert section.count("<img ") == 1 + MOST_OVERLAYS
    assert 'alt="Effects against 0001 old: 8 cases worse beyond the margin' in section
    data = pd.read_csv(tmp_path / "figures" / "against-forest.csv")
    losses = data[data["gate"] == "training_loss"].set_index("case")["effect"]
    assert losses.to_dict() == pytest.approx(
        {row.case: 100 * math.expm1(row.effect or math.nan) for row in found.rows}
    )


def test_many_cases_against_another_stay_one_figure(
    trained: Callable[..., Record], run_of: Callable[..., Run], tmp_path: Path
) -> None:
    """Of 200 cases the drawing has a bounded size, and its data have them all."""
    runs = [
        run_of([trained("test_a", {"x": x}, rate=rate, points=3) for x in range(200)])
        for rate in (0.01, 0.0101)
    ]
    sides = side_of(runs[1], "old", "old"), side_of(runs[0], "b", "b")
    write_report(runs[0], tmp_path, against=compared(*sides, lambda _: True, 0.01))
    assert (tmp_path / "figures" / "against-forest.svg").stat().st_size < FURTHER
    data = pd.read_csv(tmp_path / "figures" / "against-forest.csv")
    assert data["case"].nunique() == 200
    html = (tmp_path / "index.html").read_text(encoding="utf-8")
    assert f"{200 - MOST_ROWS} further cases" in html


def test_a_second_report_replaces_the_first(
    trained: Callable[..., Record], run_of: Callable[..., Run], tmp_path: Path
) -> None:
    """Figures of the first report go, a file of the reader's own stays."""
    write_report(run_of([trained("test_a", {})]), tmp_path)
    (tmp_path / "figures" / "my notes.csv").write_text("1")
    write_report(run_of([trained("test_b", {})]), tmp_path)
    names = {path.name for path in (tmp_path / "figures").iterdir()}
    assert "my notes.csv" in names
    assert not [name for name in names if "-a-" in name]
    assert [name for name in names if "-b-" in name]


@pytest.mark.parametrize(
    ("case", "heading"),
    [("test_rates.py::test_a[2]", "A"), ("test_rates.py::TestB::test_other_one[x-1]", "Other one")],
)
def test_a_figure_finds_its_section(
    trained: Callable[..., Record],
    run_of: Callable[..., Run],
    tmp_path: Path,
    case: str,
    heading: str,
) -> None:
    """A figure of a case without a record stands in its test's study, else under its test's name."""
    record = trained("test_a", {"x": 1}, module="test_rates.py")
    figure = {"case": case, "module": "test_rates.py", "caption": "mine", "png": PNG}
    html = write_report(run_of([record], figures=[figure]), tmp_path).read_text(encoding="utf-8")
    before = html.split('alt="mine"')[0]
    assert re.findall("<h3[^>]*>(.*?)</h3>", before)[-1] == heading


def test_a_broken_picture_is_a_sentence(run_of: Callable[..., Run], tmp_path: Path) -> None:
    """A figure that is no PNG is named on the page, and the report is written."""
    figure = {"case": "a.py::t", "module": "a.py", "caption": "x", "png": "bm90IGEgcG5n"}
    html = write_report(run_of([], figures=[figure]), tmp_path).read_text(encoding="utf-8")
    assert "is no PNG" in html
    assert "<img" not in html


@pytest.mark.parametrize(
    "name",
    ["$\\frac{$", "a $x$ b $y$", "學習率", "🚀\n\t\x00\x1b[31m", "</svg><script>", "x" * 300, ""],
)
def test_any_name_can_be_drawn(
    trained: Callable[..., Record], run_of: Callable[..., Run], tmp_path: Path, name: str
) -> None:
    """No name of a parameter or a value stops a figure, or breaks its file."""
    records = [trained("test_a", {name: value, "y": y}) for value in (name, "b") for y in (1, 2)]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        write_report(run_of(records), tmp_path)
    drawings = list((tmp_path / "figures").glob("*.svg"))
    assert len(drawings) == 3
    for path in drawings:
        assert ET.fromstring(path.read_bytes()).tag.endswith("svg")  # noqa: S314 - ours


def test_an_empty_run_leaves_only_its_page(run_of: Callable[..., Run], tmp_path: Path) -> None:
    """Without figures there is no folder for them."""
    write_report(run_of([]), tmp_path / "deep" / "report")
    assert [path.name for path in (tmp_path / "deep" / "report").iterdir()] == ["index.html"]


@pytest.mark.parametrize(
    ("module", "heavy"),
    [
        ("dlbench.report", {"matplotlib", "pandas", "numpy", "torch", "keras"}),
        ("dlbench.report.writing", {"torch", "keras", "tensorflow"}),
    ],
)
def test_what_an_import_draws_in(module: str, heavy: set[str]) -> None:
    """The facade costs nothing, and a report is written where nothing can train."""
    code = f"import sys, {module}; print(sorted({heavy!r} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
