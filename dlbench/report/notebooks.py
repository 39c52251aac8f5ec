"""Writing a run's notebooks: one an analysis, none over what a reader has changed."""

from __future__ import annotations

import base64
import json
import re
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from dlbench.errors import ReportError
from dlbench.history.files import MAX_BYTES, read_bounded, write_atomically
from dlbench.plain import dumps
from dlbench.report.analysis import analyses
from dlbench.report.figures import drawings
from dlbench.report.notebook import (
    LARGEST,
    Shot,
    bounded,
    content_digest,
    handed_in,
    notebook,
    sections,
)
from dlbench.report.rendering import SCREEN, png
from dlbench.report.source import source_of
from dlbench.report.style import Palette, styled
from dlbench.report.summary import summarized

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from dlbench.history.record import Record
    from dlbench.history.run import Figure, Run
    from dlbench.report import Progress
    from dlbench.report.study import Study


def write_notebooks(
    run: Run, folder: Path, beside: Iterable[Path], *, on_progress: Progress | None = None
) -> list[Path]:
    """Write a notebook for each analysis of a run, and return their paths.

    Args:
        run: what was measured.
        folder: made if need be.
        beside: folders from which on upwards the benchmark modules are looked for.
        on_progress: called before each analysis with how many are done, how many there are, and its
            title.

    Raises:
        ReportError: a file that dlbench did not write, or that was changed since, stands in a
            notebook's place; then none is written.
        OSError: no space, or no permission.
    """
    found, start = analyses(run), list(beside)
    texts = summarized(run, found)["analyses"]
    paths = [folder / name for name in _file_names(analysis.module for analysis in found)]
    for path in paths:
        _refuse_changed(path)
    palette = Palette.of([study for analysis in found for study in analysis.studies])
    for done, (path, analysis, text) in enumerate(zip(paths, found, texts, strict=True)):
        if on_progress:
            on_progress(done, len(found), text["title"])
        source, room, shots = source_of(analysis.module, start), LARGEST, []
        for section in sections(analysis, text, source):
            studies = [study for study, _ in section.studies]
            kept, room = bounded(pictures(studies, section.figures, palette), room)
            shots.append((section, kept))
        threads = _threads(run.records, analysis.module)
        document = notebook(text, shots, source, run.session, threads=threads)
        write_atomically(path, (dumps(document, indent=1) + "\n").encode(errors="replace"))
    return paths


def pictures(
    studies: Sequence[Study], figures: Iterable[Figure], palette: Palette | None = None
) -> Iterator[Shot]:
    """Yield the figures of studies, and those that their tests handed in."""
    palette = palette or Palette.of(studies)
    for study in studies:
        with styled():
            drawn = [
                Shot(
                    base64.b64encode(png(drawing, SCREEN, "white")).decode("ascii"),
                    drawing.alt,
                    drawing.caption,
                )
                for drawing in drawings(study, palette)
            ]
        yield from drawn
    yield from handed_in(figures)


def _threads(records: Iterable[Record], module: str) -> int | None:
    """Return how many threads PyTorch had, where a module's records agree."""
    found = {
        record["environment"].get("threads") for record in records if record["module"] == module
    }
    (threads,) = found if len(found) == 1 else (None,)
    return threads if type(threads) is int else None


def _file_names(modules: Iterable[str]) -> list[str]:
    names: list[str] = []
    for module in modules:
        stem = PurePosixPath(module).stem.removeprefix("test_").lower()
        plain = re.sub(r"[^a-z0-9_]+", "-", stem).strip("-")[:80] or "analysis"
        free, count = f"{plain}.ipynb", 1
        while free in names:
            count += 1
            free = f"{plain}-{count}.ipynb"
        names.append(free)
    return names


def _refuse_changed(path: Path) -> None:
    """Let a notebook be replaced that is as dlbench wrote it.

    Raises:
        ReportError: it is not.
    """
    if not path.exists() and not path.is_symlink():
        return
    try:
        document = json.loads(read_bounded(path, MAX_BYTES))
        as_written = document["metadata"]["dlbench"]["digest"] == content_digest(document["cells"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        as_written = False
    if not as_written or path.is_symlink():
        raise ReportError(
            f"{path} is not as dlbench wrote it, and may be somebody's work: nothing was written. "
            "Rename it, or name another folder by --to"
        )
