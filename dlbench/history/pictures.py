"""The pictures that tests handed in, as files beside `run.json`: half of its bytes would be theirs.

A picture's file is named by the digest of its content, so that nothing in `run.json` can name another
file, and an old picture never passes for a new one.
"""

from __future__ import annotations

import base64
import re
from hashlib import blake2b
from typing import TYPE_CHECKING, Any

from dlbench.errors import RecordError
from dlbench.history.files import read_bounded, write_atomically

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

FOLDER = "figures"
PREFIX = "handed-in-"
MAX_BYTES = 64 * 2**20
"""A larger file is no picture that a test handed in."""

_DIGEST = re.compile(r"[0-9a-f]{32}")


def put_beside(figures: list[dict[str, Any]], path: Path) -> list[dict[str, Any]]:
    """Write the pictures of figures beside a run, and return the figures with digests instead.

    Args:
        figures: each with its PNG in base64.
        path: the run's, `run.json`.

    Raises:
        OSError: no space, or no permission.
    """
    kept = []
    for figure in figures:
        try:
            content = base64.b64decode(figure["png"], validate=True)
        except ValueError:
            kept.append(figure)
            continue
        digest = blake2b(content, digest_size=16).hexdigest()
        write_atomically(_file(path, digest), content)
        kept.append({name: figure[name] for name in figure if name != "png"} | {"digest": digest})
    return kept


def taken_back(figures: Iterable[Any], path: Path) -> list[Any]:
    """Return figures with their pictures, read from beside the run; one that is lost is empty.

    Args:
        figures: as a run's file holds them; those of the first schema have their pictures inside.
        path: the run's.
    """
    return [_with_picture(figure, path) for figure in figures]


def clear_beside(figures: list[dict[str, Any]], path: Path) -> None:
    """Remove the pictures of earlier runs, and nothing else.

    Args:
        figures: what `put_beside` returned for the run that lies there now.
        path: the run's.
    """
    needed = {_file(path, figure["digest"]) for figure in figures if "digest" in figure}
    for other in (path.parent / FOLDER).glob(f"{PREFIX}*.png"):
        named = _DIGEST.fullmatch(other.stem.removeprefix(PREFIX))
        if named and other not in needed:
            other.unlink(missing_ok=True)


def _with_picture(figure: Any, path: Path) -> Any:
    digest = figure.get("digest") if isinstance(figure, dict) else None
    if digest is None or "png" in figure:
        return figure
    png = b""
    if isinstance(digest, str) and _DIGEST.fullmatch(digest):
        try:
            png = read_bounded(_file(path, digest), MAX_BYTES)
        except (OSError, RecordError):
            png = b""
        if blake2b(png, digest_size=16).hexdigest() != digest:
            png = b""
    rest = {name: figure[name] for name in figure if name != "digest"}
    return rest | {"png": base64.b64encode(png).decode("ascii")}


def _file(path: Path, digest: str) -> Path:
    return path.parent / FOLDER / f"{PREFIX}{digest}.png"
