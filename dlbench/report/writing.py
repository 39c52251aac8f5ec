"""Writing a report: draw, render, and put the files in their places."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from dlbench.errors import RecordError
from dlbench.gate.wording import cell, clean
from dlbench.history.files import write_atomically
from dlbench.history.run import decode_png
from dlbench.report.analysis import analyses, test_of
from dlbench.report.comparison import MOST_ROWS, effects, gates_in_order, held
from dlbench.report.figures.forest import forest
from dlbench.report.figures.overlay import Both, overlay
from dlbench.report.formatting import shortened, test_name
from dlbench.report.page import CURVES, EFFECTS, page
from dlbench.report.pictures import BUDGET, Album, Picture
from dlbench.report.rendering import rendered, renderings
from dlbench.report.style import Palette, styled
from dlbench.report.summary import anchor_of, summarized

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dlbench.gate.sides import Compared
    from dlbench.history.run import Figure, Run
    from dlbench.report import Progress
    from dlbench.report.analysis import Analysis
    from dlbench.report.comparison import Against
    from dlbench.report.study import Study

FIGURES = "figures"
PAGE = "index.html"

FURTHER = 2**18
"""Bytes of pictures that a page may have more where a run is held against another."""


def write(
    run: Run, folder: Path, compared: Compared | None = None, on_progress: Progress | None = None
) -> Path:
    """Write the report of a run; see `dlbench.report.write_report`."""
    run, against = held(run, compared)
    found = analyses(run)
    with Album(folder / FIGURES, room=BUDGET + (FURTHER if against else 0)) as album:
        # Pictures that tests handed in come first: nothing else on the page can stand for them.
        handed_in = _handed_in(found, album)
        drawn = _drawn(found, against, album, on_progress or (lambda *_: None))
        html = page(summarized(run, found, against), {"drawn": drawn, "handed_in": handed_in})
        path = folder / PAGE
        write_atomically(path, html.encode())
    return path


def _drawn(
    found: Sequence[Analysis], against: Against | None, album: Album, tell: Progress
) -> dict[str, list[Picture]]:
    """Draw what was measured, and return the pictures by their places on the page."""
    studies = [study for analysis in found for study in analysis.studies]
    drawn = {}
    palette = Palette.of(studies)
    if against:
        tell(0, len(studies), f"against {against.name}")
        with styled():
            drawn = _compared(against, album)
    steps = [*(study.title for study in studies), PAGE]
    tell(0, len(studies), steps[0])
    with closing(renderings(studies, palette)) as rendered:
        for done, (study, figures) in enumerate(zip(studies, rendered, strict=True), start=1):
            drawn[anchor_of("study", study.key)] = [album.add(one, _name(study)) for one in figures]
            tell(done, len(studies), steps[done])
    return drawn


def _compared(against: Against, album: Album) -> dict[str, list[Picture]]:
    """Draw effects and curves against another run, and return the pictures by their places."""
    frame, notable = effects(against), against.notable[:MOST_ROWS]
    pictures: dict[str, list[Picture]] = {EFFECTS: [], CURVES: []}
    if any(one.effects for one in notable):
        gates = gates_in_order(frame["gate"])
        drawing = forest(frame, [one.case for one in notable], gates, against.name)
        pictures[EFFECTS].append(album.add(rendered(drawing), "against"))
    labels = (shortened(against.name, 40), "this run")
    for one in against.overlaid:
        if one.curves:
            drawing = overlay(Both(one.curves, labels), clean(one.case), cell(one.verdict))
            name = f"against-{one.case.rpartition('::')[2]}"
            pictures[CURVES].append(album.add(rendered(drawing), name))
    return pictures


def _handed_in(found: Sequence[Analysis], album: Album) -> dict[str, list[Picture]]:
    """Write the pictures that tests handed in, and return them by the section they belong to."""
    pictures: dict[str, list[Picture]] = {}
    for analysis in found:
        for figure in analysis.figures:
            study = analysis.study_of(figure)
            if study is not None:
                section = anchor_of("study", study.key)
            else:
                section = anchor_of("gallery", f"{analysis.module} {test_of(figure)}")
            pictures.setdefault(section, []).append(_kept(figure, album))
    return pictures


def _kept(figure: Figure, album: Album) -> Picture:
    name = f"{PurePosixPath(figure['module']).stem}-{test_name(figure['case'])}"
    try:
        return album.add_png(decode_png(figure), name, figure["caption"])
    except RecordError as error:
        return {"source": "", "width": 0, "alt": "", "caption": str(error), "files": []}


def _name(study: Study) -> str:
    stem = PurePosixPath(study.module).stem.removeprefix("test_")
    test = study.test.removeprefix("test_")
    return "-".join(part for part in (stem, test if test != stem else "", study.where) if part)
