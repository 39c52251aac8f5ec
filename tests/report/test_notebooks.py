"""Notebooks as they lie on the disk."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import nbformat
import pytest

from dlbench.errors import ReportError
from dlbench.report.notebooks import write_notebooks

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from dlbench.history.record import Record
    from dlbench.history.run import Run


def test_a_notebook_an_analysis(suite: Run, tmp_path: Path) -> None:
    """Each is valid, holds its figures within bounds, and progress is told before each."""
    told: list[tuple[int, int, str]] = []
    paths = write_notebooks(
        suite, tmp_path / "new", [tmp_path], on_progress=lambda *step: told.append(step)
    )
    assert [path.name for path in paths] == [
        "rates.ipynb", "batches.ipynb", "activations.ipynb", "parameters.ipynb",
    ]  # fmt: skip
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == sorted(
        path.name for path in paths
    )
    assert [(done, total) for done, total, _ in told] == [(place, 4) for place in range(4)]
    for path in paths:
        assert path.stat().st_size < 12 * 2**20
        document = nbformat.read(path, as_version=4)  # type: ignore[no-untyped-call]
        nbformat.validate(document)
        assert [cell for cell in document.cells if "attachments" in cell]


def test_modules_of_one_name_have_files_of_their_own(
    trained: Callable[..., Record], run_of: Callable[..., Run], tmp_path: Path
) -> None:
    """No notebook takes another's place, and no name leads out of the folder."""
    modules = ["a/test_x.py", "b/test_x.py", "../../..", "test_<b>.py", "/etc/test_passwd.py"]
    run = run_of([trained("test_a", {}, module=module) for module in modules])
    names = [path.relative_to(tmp_path).name for path in write_notebooks(run, tmp_path, [])]
    assert names == ["x.ipynb", "x-2.ipynb", "analysis.ipynb", "b.ipynb", "passwd.ipynb"]
    assert len(list(tmp_path.iterdir())) == len(names)


def test_as_written_it_is_replaced(
    trained: Callable[..., Record], run_of: Callable[..., Run], tmp_path: Path
) -> None:
    """A later report takes the place of one that nobody changed, whatever Jupyter noted beside it."""
    (path,) = write_notebooks(run_of([trained("test_a", {})]), tmp_path, [])
    document = json.loads(path.read_text(encoding="utf-8"))
    document["metadata"]["widgets"] = {}
    path.write_text(json.dumps(document), encoding="utf-8")
    write_notebooks(run_of([trained("test_b", {})]), tmp_path, [])
    assert "## B" in path.read_text(encoding="utf-8")


@pytest.mark.parametrize("content", [None, "", "{}", "[1]", '{"metadata": {"dlbench": 1}}', "link"])
def test_what_somebody_changed_is_never_replaced(
    trained: Callable[..., Record], run_of: Callable[..., Run], tmp_path: Path, content: str | None
) -> None:
    """It is refused with a remedy before anything is written, the other notebooks included."""
    records = [trained("test_a", {}, module=f"test_{name}.py") for name in "ab"]
    first, second = write_notebooks(run_of(records), tmp_path, [])
    if content is None:
        document = json.loads(second.read_text(encoding="utf-8"))
        document["cells"].append({"cell_type": "markdown", "source": "mine", "metadata": {}})
        content = json.dumps(document)
    if content == "link":
        second.rename(tmp_path / "elsewhere.ipynb")
        second.symlink_to(tmp_path / "elsewhere.ipynb")
    else:
        second.write_text(content, encoding="utf-8")
    before = [first.read_bytes(), second.read_bytes()]
    with pytest.raises(ReportError, match=r"b\.ipynb is not as dlbench wrote it.*--to") as caught:
        write_notebooks(run_of([*records, trained("test_c", {}, module="test_a.py")]), tmp_path, [])
    assert isinstance(caught.value, FileExistsError)
    assert [first.read_bytes(), second.read_bytes()] == before
