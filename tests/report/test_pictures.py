"""Figures as files, and in the page."""

from __future__ import annotations

import base64
import contextlib
import errno
import warnings
from typing import TYPE_CHECKING

import pandas as pd
import pytest

from dlbench.history.files import write_atomically
from dlbench.report import pictures, rendering
from dlbench.report.figures import Drawing
from dlbench.report.pictures import Album
from dlbench.report.rendering import Rendering, rendered
from dlbench.report.style import canvas, styled

if TYPE_CHECKING:
    from pathlib import Path

PNG = b"\x89PNG\r\n\x1a\n" + bytes(8) + (40).to_bytes(4, "big") + bytes(20)


def figure() -> Rendering:
    """Return a small figure."""
    with styled():
        figure, grid = canvas(width=3, height=2)
        grid[0, 0].plot([1, 2], [3, 4])
        data = pd.DataFrame({"x": [1, 2]})
        return rendered(Drawing("one", figure, "A caption", "What it says", data))


def test_a_figure_is_three_files_and_one_picture(tmp_path: Path) -> None:
    """A figure is kept as PNG, SVG and CSV, and inlined as the same SVG."""
    picture = Album(tmp_path).add(figure(), "Batch size: Ünïcode/../x")
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == [f"batch-size-n-code-x-one{end}" for end in (".csv", ".png", ".svg")]
    kind, text = picture["source"].split(",")
    assert kind == "data:image/svg+xml;base64"
    assert base64.b64decode(text) == (tmp_path / names[2]).read_bytes()
    assert (tmp_path / names[0]).read_text() == "x\n1\n2\n"
    assert (picture["alt"], picture["width"]) == ("What it says", 288)
    assert picture["files"][0] == ("PNG", f"figures/{names[1]}")


def test_the_same_figure_is_the_same_file(tmp_path: Path) -> None:
    """Neither dates nor random ids: what did not change does not change its file."""
    Album(tmp_path / "a").add(figure(), "x")
    Album(tmp_path / "b").add(figure(), "x")
    for path in (tmp_path / "a").iterdir():
        assert path.read_bytes() == (tmp_path / "b" / path.name).read_bytes()


def test_names_are_never_taken_twice(tmp_path: Path) -> None:
    """Figures of one name are counted, so that none writes over another."""
    album = Album(tmp_path)
    for _ in range(3):
        album.add_png(PNG, "same", "caption")
    assert sorted(album.written) == ["same-2.png", "same-3.png", "same.png"]


def test_beyond_the_budget_a_picture_stands_beside_the_page(tmp_path: Path) -> None:
    """What the page has no room for is not inlined, but written all the same."""
    album = Album(tmp_path, room=10)
    picture = album.add_png(PNG, "large", "caption")
    assert picture["source"] == ""
    assert (tmp_path / "large.png").read_bytes() == PNG


def test_a_large_drawing_is_inlined_as_png(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A drawing with too many strokes is a picture of bounded size instead."""
    monkeypatch.setattr(rendering, "LARGEST_SVG", 10)
    picture = Album(tmp_path).add(figure(), "x")
    assert picture["source"].startswith("data:image/png;base64,")


def test_only_its_own_leftovers_are_removed(tmp_path: Path) -> None:
    """A later report removes what an earlier one wrote and it does not; nothing else."""
    with Album(tmp_path) as first:
        for name in ("kept", "left", "edited"):
            first.add_png(PNG, name, "")
    (tmp_path / "edited.png").write_bytes(b"mine now")
    (tmp_path / "slides.png").write_bytes(b"mine")
    with Album(tmp_path) as second:
        second.add_png(PNG, "kept", "")
    assert sorted(path.name for path in tmp_path.glob("*.png")) == [
        "edited.png",
        "kept.png",
        "slides.png",
    ]


def test_an_interrupted_report_leaves_nothing_for_ever(tmp_path: Path) -> None:
    """It removes nothing, and what it wrote is known to the next one, which does not have it."""
    with Album(tmp_path) as first:
        first.add_png(PNG, "earlier", "")
    with pytest.raises(KeyboardInterrupt), Album(tmp_path) as interrupted:
        interrupted.add_png(PNG, "begun", "")
        raise KeyboardInterrupt
    assert sorted(path.name for path in tmp_path.glob("*.png")) == ["begun.png", "earlier.png"]
    with Album(tmp_path) as last:
        last.add_png(PNG, "whole", "")
    assert [path.name for path in tmp_path.glob("*.png")] == ["whole.png"]


def test_a_picture_that_could_not_be_replaced_is_still_known(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where a full disk kept the old file, a report without it removes it nevertheless."""
    with Album(tmp_path) as first:
        first.add_png(PNG, "old", "")
        first.add_png(PNG, "other", "")

    def full(path: Path, content: bytes) -> None:
        if path.suffix == ".png":  # there is room for a list
            raise OSError(errno.ENOSPC, "No space left on device", str(path))
        write_atomically(path, content)

    with monkeypatch.context() as patched, pytest.raises(OSError, match=r"old\.png"):
        patched.setattr(pictures, "write_atomically", full)
        with Album(tmp_path) as second:
            second.add_png(PNG + b"new", "old", "")
    with Album(tmp_path) as third:
        third.add_png(PNG, "other", "")
    assert [path.name for path in tmp_path.glob("*.png")] == ["other.png"]


HOSTILE = [
    *(b"", b"[]", b"\xff", b"[" * 100_000, b'{"../outside.png": "x"}', b'{"a.py": 1}'),
    *(b'{"\\ud800.png": "x"}', b'{"a.png": "\\ud800"}', b'{"%s.png": "x"}' % (b"a" * 300)),
]


@pytest.mark.parametrize("interrupted", [False, True])
@pytest.mark.parametrize("content", HOSTILE)
def test_a_broken_or_hostile_manifest_removes_nothing(
    tmp_path: Path, content: bytes, interrupted: bool
) -> None:
    """What is no list of one's own files in this folder is not believed, and hides no error."""
    folder = tmp_path / "figures"
    folder.mkdir()
    outside = tmp_path / "outside.png"
    outside.write_bytes(PNG)
    (folder / pictures.MANIFEST).write_bytes(
        content.replace(b'"x"', f'"{pictures._digest(PNG)}"'.encode())
    )
    stops = pytest.raises(KeyboardInterrupt) if interrupted else contextlib.nullcontext()
    with stops, Album(folder) as album:
        album.add_png(PNG, "own", "")
        if interrupted:
            raise KeyboardInterrupt
    assert outside.exists()


def test_no_figure_stays_open_and_nothing_warns(tmp_path: Path) -> None:
    """Figures leave nothing behind in pyplot, and no warning reaches the user."""
    import matplotlib.pyplot as plt

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        Album(tmp_path).add(figure(), "x")
    assert plt.get_fignums() == []
