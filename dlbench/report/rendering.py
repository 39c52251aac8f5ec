"""Figures as bytes: what is slow about a report, so all cores of the machine do it."""

from __future__ import annotations

import io
import os
import re
import threading
import time
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_svg import FigureCanvasSVG

from dlbench.report.figures import drawings
from dlbench.report.style import styled

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    from dlbench.report.figures import Drawing
    from dlbench.report.study import Study
    from dlbench.report.style import Palette

LARGEST_SVG = 400 * 2**10
"""A larger drawing is inlined as PNG."""

SCREEN, PRINT = 110, 160
"""Dots an inch, inlined and beside the page."""

A_PROCESS = 12
"""Studies that are worth a process: it takes three seconds to start, about as long as six of them."""


@dataclass(frozen=True, slots=True)
class Rendering:
    """A figure as files, without the figure: what one process can give another."""

    name: str
    """What it shows, in a word for its file's name."""
    width: int
    """CSS pixels."""
    caption: str
    alt: str
    svg: bytes
    png: bytes
    csv: bytes
    screen: bytes | None
    """A smaller PNG, to be inlined where the SVG has too many strokes."""


def renderings(
    studies: Sequence[Study], palette: Palette
) -> Generator[list[Rendering], None, None]:
    """Yield the figures of each study, in order; of many studies several are drawn at once.

    Args:
        studies: what is drawn.
        palette: of the whole run.
    """
    import joblib
    from joblib.externals.loky import BrokenProcessPool

    done = 0
    processes = min(joblib.cpu_count(), len(studies) // A_PROCESS)
    if processes > 1:
        # Loky's processes import neither the program that calls this nor what it imported.
        pool = joblib.Parallel(processes, "loky", return_as="generator", max_nbytes=None)
        drawn = joblib.delayed(_elsewhere)
        try:
            for figures in pool(drawn(study, palette, os.getpid()) for study in studies):
                done += 1
                yield figures
        except BrokenProcessPool:  # one was killed, as for its memory: the rest is drawn here
            pass
    for study in studies[done:]:
        yield _of_study(study, palette)


def _elsewhere(study: Study, palette: Palette, parent: int) -> list[Rendering]:
    end_with(parent)
    return _of_study(study, palette)


@cache
def end_with(parent: int) -> None:
    """Let this process end when the one that started it is gone.

    Killed, it can tell its processes nothing, and they would wait for ever for it to take a figure.
    """

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _of_study(study: Study, palette: Palette) -> list[Rendering]:
    with styled():
        return [rendered(drawing) for drawing in drawings(study, palette)]


def rendered(drawing: Drawing) -> Rendering:
    """Return a figure as files; without dates, so that the same run gives the same bytes."""
    figure = drawing.figure
    # The layout is found once: a second and third search would give the same.
    engine = figure.get_layout_engine()
    assert engine is not None  # noqa: S101 - `canvas` gave it one
    engine.execute(figure)
    figure.set_layout_engine("none")
    svg = _svg(drawing)
    return Rendering(
        name=drawing.name,
        width=round(float(figure.get_figwidth()) * 96),
        caption=drawing.caption,
        alt=drawing.alt,
        svg=svg,
        png=png(drawing, PRINT, "white"),
        csv=drawing.data.to_csv(index=False).encode(),
        screen=png(drawing, SCREEN, "none") if len(svg) > LARGEST_SVG else None,
    )


def _svg(drawing: Drawing) -> bytes:
    buffer = io.BytesIO()
    # Straight to the canvas: `savefig` draws a figure twice whose layout was ever searched for.
    canvas = FigureCanvasSVG(drawing.figure)
    canvas.print_svg(buffer, metadata={"Date": None, "Creator": None})  # type: ignore[no-untyped-call]
    return _shortened(buffer.getvalue())


def _shortened(svg: bytes) -> bytes:
    """Round coordinates to a hundredth of a point, and leave out space: a third of a drawing."""
    attributes = re.compile(rb' (?:d|x|y)="[^"]*"')
    svg = attributes.sub(lambda found: re.sub(rb"(\.\d\d)\d+", rb"\1", found.group()), svg)
    return re.sub(rb"\s*\n\s*", b"\n", svg)


def png(drawing: Drawing, dots: int, background: str) -> bytes:
    """Return a figure as a PNG file.

    Args:
        drawing: the figure.
        dots: an inch.
        background: a colour, or "none".
    """
    buffer = io.BytesIO()
    drawing.figure.dpi = dots
    drawing.figure.set_facecolor(background)
    canvas = FigureCanvasAgg(drawing.figure)
    canvas.print_png(buffer, metadata={"Software": None})  # type: ignore[no-untyped-call]
    return buffer.getvalue()
