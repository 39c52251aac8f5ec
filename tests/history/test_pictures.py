"""Pictures lie beside their run, under names that nothing in the run can choose."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any

import pytest

from dlbench.history.record import KEY
from dlbench.history.run import Figure, Run, read_run, write_run

if TYPE_CHECKING:
    from pathlib import Path

PNG = b"\x89PNG\r\n\x1a\n"


def figure(content: bytes = PNG, caption: str = "c") -> Figure:
    """Return a figure of this content."""
    png = base64.b64encode(content).decode()
    return {"case": "a.py::t", "module": "a.py", "caption": caption, "png": png}


def files(folder: Path) -> list[bytes]:
    """Return the content of each picture."""
    return [path.read_bytes() for path in sorted((folder / "figures").glob("handed-in-*.png"))]


def test_pictures_come_back_from_beside_the_run(tmp_path: Path) -> None:
    """Two figures of one picture share its file; `run.json` itself holds none."""
    run = Run(records=[], figures=[figure(), figure(PNG + b"2"), figure(caption="again")])
    write_run(run, tmp_path / "run.json")
    assert sorted(files(tmp_path)) == [PNG, PNG + b"2"]
    assert base64.b64encode(PNG)[:8] not in (tmp_path / "run.json").read_bytes()
    assert read_run(tmp_path / "run.json") == run


def test_an_earlier_runs_pictures_go_and_nothing_else(tmp_path: Path) -> None:
    """What the new run does not need is removed; a file of someone's own stays."""
    write_run(Run(records=[], figures=[figure(), figure(PNG + b"2")]), tmp_path / "run.json")
    for name in ("mine.png", "handed-in-mine.png"):
        (tmp_path / "figures" / name).write_bytes(b"")
    write_run(Run(records=[], figures=[figure(PNG + b"2")]), tmp_path / "run.json")
    assert files(tmp_path) == [PNG + b"2", b""]
    assert (tmp_path / "figures" / "mine.png").exists()


def test_a_run_without_pictures_makes_no_folder(tmp_path: Path) -> None:
    """Nothing is made that is not needed."""
    write_run(Run(records=[]), tmp_path / "run.json")
    assert [path.name for path in tmp_path.iterdir()] == ["run.json"]


@pytest.mark.parametrize("damage", ["gone", "another", "a folder"])
def test_a_picture_that_is_lost_costs_no_run(tmp_path: Path, damage: str) -> None:
    """Without its file, or with another content, a figure is empty, and the run is read."""
    write_run(Run(records=[], figures=[figure()]), tmp_path / "run.json")
    (path,) = (tmp_path / "figures").iterdir()
    path.unlink()
    if damage == "another":
        path.write_bytes(b"x")
    elif damage == "a folder":
        path.mkdir()
    assert [one["png"] for one in read_run(tmp_path / "run.json").figures] == [""]


@pytest.mark.parametrize("digest", ["../../secret", "/etc/passwd", "x" * 32, 5, "", ["a"]])
def test_a_run_cannot_name_another_file(tmp_path: Path, digest: Any) -> None:
    """A digest that is none leads nowhere."""
    (tmp_path / "secret.png").write_bytes(PNG)
    part = {name: value for name, value in figure().items() if name != "png"} | {"digest": digest}
    document = {"benchmarks": [], KEY: {"schema": 2, "figures": [part]}}
    path = tmp_path / "a" / "run.json"
    path.parent.mkdir()
    path.write_text(json.dumps(document), encoding="utf-8")
    assert [one["png"] for one in read_run(path).figures] == [""]
