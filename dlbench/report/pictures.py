"""Pictures as files beside the page, and inlined in it."""

from __future__ import annotations

import base64
import re
from contextlib import suppress
from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, Self, TypedDict

from dlbench.history.files import write_atomically
from dlbench.plain import dumps

if TYPE_CHECKING:
    from collections.abc import Mapping

    from dlbench.report.rendering import Rendering

BUDGET = 8 * 2**20
"""Bytes of pictures in a page. What comes after stands beside it only."""

MANIFEST = ".written-by-dlbench"
"""The names of the files in the folder, with digests of what was written."""

SUFFIXES = (".png", ".svg", ".csv")

_NAME, _DIGEST = re.compile(r"[a-z0-9_-]{1,100}\.[a-z]{3}"), re.compile(r"[0-9a-f]{32}")
"""As an album writes them; what else stands in a list is not believed."""


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

    def add(self, figure: Rendering, name: str) -> Picture:
        """Write a figure as PNG, SVG and CSV, and return it for the page."""
        name = self._free(f"{name}-{figure.name}")
        self._write(f"{name}.svg", figure.svg)
        self._write(f"{name}.png", figure.png)
        self._write(f"{name}.csv", figure.csv)
        if figure.screen is None:
            source = self._inlined(figure.svg, "image/svg+xml")
        else:
            source = self._inlined(figure.screen, "image/png")
        files = [(one[1:].upper(), f"figures/{name}{one}") for one in SUFFIXES]
        return _picture(source, figure.width, figure.alt, figure.caption, files)

    def add_png(self, png: bytes, name: str, caption: str) -> Picture:
        """Write a picture that a test handed in, and return it for the page."""
        name = self._free(name)
        self._write(f"{name}.png", png)
        width = int.from_bytes(png[16:20], "big")
        source = self._inlined(png, "image/png")
        return _picture(source, width, caption, caption, [("PNG", f"figures/{name}.png")])

    def __enter__(self) -> Self:
        return self

    def __exit__(self, error: type[BaseException] | None, *_: object) -> None:
        """Remove what an earlier report left that this one does not have, and nothing else.

        A report that was interrupted removes nothing. What it wrote is listed beside the earlier
        files, so that the next one knows it for its own.
        """
        earlier = _manifest(self.folder / MANIFEST)
        if error is None:
            for name, digest in earlier.items():
                path = self.folder / name
                if name not in self.written and _is_own(path, digest):
                    path.unlink()
            if self.written or earlier:
                self._list(self.written)
        elif self.written:
            with suppress(OSError):  # a full disk; what went wrong first is to be heard of
                there = {n: d for n, d in self.written.items() if _is_own(self.folder / n, d)}
                self._list(earlier | there)

    def _list(self, files: Mapping[str, str]) -> None:
        write_atomically(self.folder / MANIFEST, dumps(files, indent=1).encode())

    def _write(self, name: str, content: bytes) -> None:
        self.written[name] = _digest(content)
        write_atomically(self.folder / name, content)

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


def _manifest(path: Path) -> dict[str, str]:
    """Return the names and digests in a manifest; nothing from one that is damaged or foreign."""
    import json

    try:
        found = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    if not isinstance(found, dict):
        return {}
    return {
        name: digest
        for name, digest in found.items()
        if _NAME.fullmatch(name) and name.endswith(SUFFIXES)
        if isinstance(digest, str) and _DIGEST.fullmatch(digest)
    }


def _is_own(path: Path, digest: str) -> bool:
    return path.is_file() and not path.is_symlink() and _digest(path.read_bytes()) == digest


def _digest(content: bytes) -> str:
    return blake2b(content, digest_size=16).hexdigest()
