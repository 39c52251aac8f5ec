"""Figures as files beside the page, and inlined in it."""

from __future__ import annotations

import base64
import io
import re
from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_svg import FigureCanvasSVG

from dlbench.history.files import write_atomically
from dlbench.plain import dumps

if TYPE_CHECKING:
    from dlbench.report.figures import Drawing

BUDGET = 8 * 2**20
"""Bytes of pictures in a page. What comes after stands beside it only."""

LARGEST_SVG = 400 * 2**10
"""A larger drawing is inlined as PNG."""

SCREEN, PRINT = 110, 160
"""Dots an inch, inlined and beside the page."""

MANIFEST = ".written-by-dlbench"
"""The names of the files in the folder, with digests of what was written."""

SUFFIXES = (".png", ".svg", ".csv")


class Picture(TypedDict):
    """A figure as the page shows it."""

    source: str
    """A `data:` URL; empty where the page has no room."""
    width: int
    """CSS pixels."""
    alt: str
    caption: str
    files: list[tuple[str, str]]
    """Kind and address, relative to the page."""


@dataclass(slots=True)
class Album:
    """The folder `figures` beside a page, and what of it the page can carry."""

    folder: Path
    room: int = BUDGET
    written: dict[str, str] = field(default_factory=dict)

    def add(self, drawing: Drawing, name: str) -> Picture:
        """Write a figure as PNG, SVG and CSV, and return it for the page."""
        name = self._free(f"{name}-{drawing.name}")
        figure = drawing.figure
        # The layout is found once: a second and third search would give the same.
        engine = figure.get_layout_engine()
        assert engine is not None  # noqa: S101 - `canvas` gave it one
        engine.execute(figure)
        figure.set_layout_engine("none")
        svg, printed = _svg(drawing), png(drawing, PRINT, "white")
        self._write(f"{name}.svg", svg)
        self._write(f"{name}.png", printed)
        self._write(f"{name}.csv", drawing.data.to_csv(index=False).encode())
        width = round(float(figure.get_figwidth()) * 96)
        if len(svg) <= LARGEST_SVG:
            source = self._inlined(svg, "image/svg+xml")
        else:
            source = self._inlined(png(drawing, SCREEN, "none"), "image/png")
        files = [(one[1:].upper(), f"figures/{name}{one}") for one in SUFFIXES]
        return _picture(source, width, drawing.alt, drawing.caption, files)

    def add_png(self, png: bytes, name: str, caption: str) -> Picture:
        """Write a picture that a test handed in, and return it for the page."""
        name = self._free(name)
        self._write(f"{name}.png", png)
        width = int.from_bytes(png[16:20], "big")
        source = self._inlined(png, "image/png")
        return _picture(source, width, caption, caption, [("PNG", f"figures/{name}.png")])

    def close(self) -> None:
        """Remove what an earlier report left that this one did not write, and nothing else."""
        earlier = _manifest(self.folder / MANIFEST)
        for name, digest in earlier.items():
            path = self.folder / name
            if name not in self.written and _is_own(path, digest):
                path.unlink()
        if self.written or earlier:
            write_atomically(self.folder / MANIFEST, dumps(self.written, indent=1).encode())

    def _write(self, name: str, content: bytes) -> None:
        write_atomically(self.folder / name, content)
        self.written[name] = _digest(content)

    def _inlined(self, content: bytes, kind: str) -> str:
        text = base64.b64encode(content).decode("ascii")
        if len(text) > self.room:
            return ""
        self.room -= len(text)
        return f"data:{kind};base64,{text}"

    def _free(self, name: str) -> str:
        """Return a short file name that this report does not have yet."""
        plain = re.sub(r"[^a-z0-9_]+", "-", name.lower()).strip("-")[:80] or "figure"
        taken = {Path(one).stem for one in self.written}
        free, count = plain, 1
        while free in taken:
            count += 1
            free = f"{plain}-{count}"
        return free


def _picture(
    source: str, width: int, alt: str, caption: str, files: list[tuple[str, str]]
) -> Picture:
    return {"source": source, "width": width, "alt": alt, "caption": caption, "files": files}


def _svg(drawing: Drawing) -> bytes:
    """Return a figure as SVG. Without dates the same run gives the same file."""
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


def _manifest(path: Path) -> dict[str, str]:
    """Return the names and digests in a manifest; nothing from one that is damaged or foreign."""
    import json

    try:
        found = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    if not isinstance(found, dict):
        return {}
    return {
        name: digest
        for name, digest in found.items()
        if name == Path(name).name and name.endswith(SUFFIXES) and isinstance(digest, str)
    }


def _is_own(path: Path, digest: str) -> bool:
    return path.is_file() and not path.is_symlink() and _digest(path.read_bytes()) == digest


def _digest(content: bytes) -> str:
    return blake2b(content, digest_size=16).hexdigest()
