"""Both runs' curves over each other: which cases are drawn, and under which names."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dlbench.cli.compare_figures import draw
from dlbench.cli.compare_view import View

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from dlbench.gate.sides import Compared

    Against = Callable[..., Compared]

A = "bench/test_a.py::test_b[1]"


def drawn(found: list[Compared], folder: Path, *, only: bool = False) -> list[Path]:
    """Draw what is shown, the cases in the order of their names."""
    return list(draw(found, View.of(found, [], "case", only_failing=only), folder))


def test_files(against: Against, made: Any, tmp_path: Path) -> None:
    """A PNG and an SVG a case that both sides trained; names never clash and lead nowhere."""
    cases = ["../../x.py::t", "::", A, "other/test_a.py::test_b(1)"]
    old = [made[0](case, 4, 0.0) for case in [*cases, "gone.py::t"]]
    found = against(old, [made[0](case, 4, 0.1) for case in cases])
    paths = drawn([found], tmp_path / "deep")
    assert [path.name for path in paths] == [
        "x-py-t.png", "case.png", "test_a-py-test_b-1.png", "test_a-py-test_b-1--2.png",
    ]  # fmt: skip
    assert len(list((tmp_path / "deep").iterdir())) == 8
    assert drawn([found], tmp_path / "none", only=True) == []
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in paths)


def test_several_comparisons_are_numbered(against: Against, made: Any, tmp_path: Path) -> None:
    """B's and C's figures of one case lie beside each other."""
    found = against([made[0](A, 4, 0.0)], [made[0](A, 4, 0.1)])
    names = [path.name for path in drawn([found, found], tmp_path / "f")]
    assert names == ["test_a-py-test_b-1-1.png", "test_a-py-test_b-1-2.png"]
