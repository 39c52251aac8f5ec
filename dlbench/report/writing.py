"""Writing a report: draw, render, and put the files in their places."""

from __future__ import annotations

from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from dlbench.errors import RecordError
from dlbench.history.files import write_atomically
from dlbench.history.run import decode_png
from dlbench.report.analysis import analyses, test_of
from dlbench.report.figures import drawings
from dlbench.report.page import page
from dlbench.report.pictures import Album, Picture
from dlbench.report.style import Palette, styled
from dlbench.report.summary import anchor_of, summarized

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dlbench.history.run import Figure, Run
    from dlbench.report import Progress
    from dlbench.report.analysis import Analysis
    from dlbench.report.study import Study

FIGURES = "figures"
PAGE = "index.html"


def write(run: Run, folder: Path, on_progress: Progress | None = None) -> Path:
    """Write the report of a run; see `dlbench.report.write_report`."""
    found = analyses(run)
    studies = [study for analysis in found for study in analysis.studies]
    album = Album(folder / FIGURES)
    # Pictures that tests handed in come first: nothing else on the page can stand for them.
    handed_in = _handed_in(found, album)
    drawn = {}
    palette = Palette.of(studies)
    with styled():
        for done, study in enumerate(studies):
            if on_progress:
                on_progress(done, len(studies), study.title)
            drawn[anchor_of("study", study.key)] = [
                album.add(drawing, _name(study)) for drawing in drawings(study, palette)
            ]
    if on_progress:
        on_progress(len(studies), len(studies), PAGE)
    html = page(summarized(run, found), {"drawn": drawn, "handed_in": handed_in})
    path = folder / PAGE
    write_atomically(path, html.encode())
    album.close()
    return path


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
    name = f"{PurePosixPath(figure['module']).stem}-{figure['case'].rsplit('::', 1)[-1]}"
    try:
        return album.add_png(decode_png(figure), name, figure["caption"])
    except RecordError as error:
        return {"source": "", "width": 0, "alt": "", "caption": str(error), "files": []}


def _name(study: Study) -> str:
    stem = PurePosixPath(study.module).stem.removeprefix("test_")
    test = study.test.removeprefix("test_")
    return "-".join(part for part in (stem, test if test != stem else "", study.where) if part)
