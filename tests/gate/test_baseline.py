"""Baseline files: where they lie, and what bad ones say; nothing unreadable is ever overwritten."""

from __future__ import annotations

import os
import shlex
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dlbench.errors import BaselineError, DlbenchError
from dlbench.gate import baseline as room
from dlbench.gate.baseline import Baseline, read_baseline, read_cases
from dlbench.gate.entry import Entry
from dlbench.gate.text import Accepted, format_cases, rounded

MODULE = "benchmarks/test_a.py"


def entry(key: str = "test_a.py::test_b[1]", module: str = MODULE, **changes: Any) -> Entry:
    """Return an entry of two seeds."""
    made = Entry(
        key=key, module=module, kind="convergence", experiment={"id": "1", "batch_size": 32},
        seeds=(0, 1), regimes=("slow", "slow"), points=21, budget=450.0, floor=0.002,
        values={"training_loss": (-1.0, -1.1)}, environment={"python": "3.11.9"}, alpha=1e-4,
    )  # fmt: skip
    return rounded(replace(made, **changes))


def content(*entries: Entry) -> bytes:
    """Return a file with these entries."""
    return format_cases({e.key: Accepted(e, "2 seeds slow") for e in entries})


def saved(root: Path, *entries: Entry) -> Path:
    """Write a module's test file and its baseline, and return where that is."""
    path = Baseline(root).path_of(MODULE)
    path.parent.mkdir(parents=True)
    (root / MODULE).write_text("")
    path.write_bytes(content(*entries))
    return path


# ---- where files lie


def test_files_lie_beside_their_modules(tmp_path: Path) -> None:
    """One file a module, in `baselines/` beside it."""
    baseline = Baseline(tmp_path)
    assert baseline.path_of("test_a.py") == tmp_path / "baselines/test_a.json"
    assert baseline.path_of("x/y/test_a.py") == tmp_path / "x/y/baselines/test_a.json"
    assert baseline.path_of("../x/test_a.py") == tmp_path / "../x/baselines/test_a.json"


def test_one_folder_keeps_the_modules_paths(tmp_path: Path) -> None:
    """Under a folder of one's own two modules of one name have two files."""
    baseline = Baseline(tmp_path, tmp_path / "kept")
    assert baseline.path_of("x/test_a.py") == tmp_path / "kept/x/test_a.json"
    assert baseline.path_of("y/test_a.py") == tmp_path / "kept/y/test_a.json"


@pytest.mark.parametrize("module", ["../x/test_a.py", "x/../../test_a.py", "/x/test_a.py"])
def test_no_file_lies_outside_that_folder(tmp_path: Path, module: str) -> None:
    """A module outside the root folder has no path that could be kept."""
    with pytest.raises(BaselineError, match=r"lies outside .*--rootdir"):
        Baseline(tmp_path, tmp_path / "kept").path_of(module)


def test_entries_are_read_once_and_only_when_asked_for(tmp_path: Path) -> None:
    """A broken file of another module does no harm; a module without a file has no entries."""
    path = saved(tmp_path, entry())
    (path.parent / "test_broken.json").write_text("{")
    baseline = Baseline(tmp_path)
    first = baseline.entries(MODULE)
    assert first == {entry().key: entry()}
    path.unlink()
    assert baseline.entries(MODULE) is first
    assert baseline.entries("benchmarks/test_none.py") == {}
    with pytest.raises(BaselineError, match=r"test_broken\.json"):
        baseline.entries("benchmarks/test_broken.py")


def test_whether_there_is_a_baseline(tmp_path: Path) -> None:
    """Asked of modules: also where a neighbour in the same folder has a file of accepted cases."""
    path = saved(tmp_path, entry())
    baseline = Baseline(tmp_path)
    assert baseline.exists(["elsewhere/test_none.py", MODULE])
    assert baseline.exists(["benchmarks/test_none.py"])
    assert not baseline.exists(["elsewhere/test_none.py"])
    assert not baseline.exists([])
    path.write_text('{"rows": [1, 2]}')
    assert not Baseline(tmp_path).exists(["benchmarks/test_none.py"])


@pytest.mark.parametrize("folder", [None, "kept"])
def test_all_modules_with_a_file_are_found(tmp_path: Path, folder: str | None) -> None:
    """Wherever in the suite; but not in hidden folders, environments and other people's packages."""
    baseline = Baseline(tmp_path, tmp_path / folder if folder else None)
    there = ["a/b/test_b.py", "a/test_a.py", "test_top.py"]
    passed_over = [".git/test_x.py", "node_modules/test_x.py", "venv/lib/test_x.py"]
    for module in there + (passed_over if folder is None else []):
        (tmp_path / module).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / module).write_text("")
        baseline.path_of(module).parent.mkdir(parents=True, exist_ok=True)
        baseline.path_of(module).write_bytes(content(entry()))
    (tmp_path / "a/test_without.py").write_text("")
    (tmp_path / "venv").mkdir(exist_ok=True)
    (tmp_path / "venv/pyvenv.cfg").write_text("")
    assert baseline.modules() == there
    assert baseline.orphans() == []
    (tmp_path / "a/test_a.py").unlink()
    assert baseline.modules() == ["a/b/test_b.py", "test_top.py"]
    assert baseline.orphans() == ["a/test_a.py"]


def test_other_peoples_files_are_no_orphans(tmp_path: Path) -> None:
    """A folder may be called baselines for another reason."""
    path = saved(tmp_path, entry())
    (path.parent / "data.json").write_text('{"rows": [1, 2]}')
    (path.parent / "README.md").write_text("")
    (path.parent / ".hidden.json").write_bytes(content(entry()))
    baseline = Baseline(tmp_path)
    assert baseline.modules() == [MODULE]
    assert baseline.orphans() == []


def test_a_file_does_not_say_where_it_lies(tmp_path: Path) -> None:
    """Moved with its module it is the same file, and its entries know their new place."""
    path = saved(tmp_path, entry())
    assert MODULE.encode() not in path.read_bytes()
    (found,) = read_baseline(path, "moved/test_a.py").values()
    assert found == replace(entry(), module="moved/test_a.py")
    (found,) = read_baseline(path).values()
    assert found.module == (tmp_path / MODULE).as_posix()


# ---- bad files


def refused(path: Path, *, module: str = MODULE) -> str:
    """Return what the refusal to read a file says; it names the file once, and changes nothing."""
    before = path.read_bytes() if path.is_file() else None
    with pytest.raises(BaselineError) as e:
        read_baseline(path, module)
    assert isinstance(e.value, DlbenchError)
    assert isinstance(e.value, ValueError)
    assert str(e.value).startswith(f"{path}: ")
    assert (path.read_bytes() if path.is_file() else None) == before
    return str(e.value).removeprefix(f"{path}: ")


def test_every_truncated_file_is_refused(tmp_path: Path) -> None:
    """It names the case that the cut is in, and the two commands that mend it."""
    path = saved(tmp_path, entry("test_a.py::test_b"), entry("test_a.py::test_c"))
    whole = path.read_bytes().rstrip()
    for length in [*range(0, len(whole), 53), len(whole) - 1]:
        path.write_bytes(whole[:length])
        refused(path)
    message = refused(path)
    assert message.startswith('in "test_a.py::test_c": this is no JSON: ')
    assert f"`git checkout -- {path}` brings back" in message
    assert message.endswith(f"`pytest {MODULE} --dlbench-accept`")


def test_the_commands_can_be_pasted(tmp_path: Path) -> None:
    """Names with spaces and quotes are quoted for the shell."""
    folder = tmp_path / "it's my suite"
    path = saved(folder, entry())
    path.write_bytes(b"{")
    message = refused(path, module="my suite/test_a.py")
    command = message.split("`")[1]
    assert shlex.split(command) == ["git", "checkout", "--", str(path)]
    assert "`pytest 'my suite/test_a.py' --dlbench-accept`" in message


@pytest.mark.parametrize("marker", ["<<<<<<< HEAD", "=======", ">>>>>>> theirs", "||||||| base"])
def test_conflict_markers_have_a_remedy_of_their_own(tmp_path: Path, marker: str) -> None:
    """While a file is in conflict a plain checkout of it fails: one side must be named."""
    path = saved(tmp_path, entry("test_a.py::test_b"), entry("test_a.py::test_c"))
    text = path.read_text()
    place = text.rindex('      "points"')
    path.write_text(f"{text[:place]}{marker}\n{text[place:]}")
    message = refused(path)
    assert message.startswith(f'in "test_a.py::test_c": a merge left its marker {marker[:7]}; ')
    assert f"`git checkout --ours -- {path}` (or --theirs)" in message


def test_an_edited_file_is_refused(tmp_path: Path) -> None:
    """By its checksum, naming the case; a newer one by its schema, with another remedy."""
    path = saved(tmp_path, entry())
    text = path.read_text()
    path.write_text(text.replace("-1.1", "-1.2"))
    assert refused(path).startswith('in "test_a.py::test_b[1]": its content does not fit')
    path.write_text(text.replace('"schema": 1', '"schema": 2'))
    message = refused(path)
    assert "pip install --upgrade dlbench" in message
    assert "git checkout" not in message


def test_what_is_no_file_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder, a pipe that never ends, a link to nowhere, nothing, too much, and no text."""
    path = saved(tmp_path, entry())
    monkeypatch.setattr(room, "MAX_BYTES", path.stat().st_size)
    assert read_baseline(path, MODULE)
    path.write_bytes(path.read_bytes() + b" ")
    assert refused(path).startswith("larger than")
    monkeypatch.undo()
    path.write_bytes(b"\xff\xfe\xfd")
    assert "utf-8" in refused(path)
    path.unlink()
    assert refused(path).startswith("cannot be read: No such file")
    path.mkdir()
    assert refused(path).startswith("not a file")
    path.rmdir()
    os.mkfifo(path)
    assert refused(path).startswith("not a file")
    path.unlink()
    path.symlink_to(tmp_path / "nowhere")
    assert refused(path).startswith("cannot be read: No such file")
    with pytest.raises(BaselineError, match=r"cannot be read"):
        Baseline(tmp_path).entries(MODULE)
    with pytest.raises(BaselineError):
        read_baseline(Path("a\0b"))
    assert refused(tmp_path / MODULE / "baselines/x.json").startswith("cannot be read: Not a dir")


@settings(
    max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_a_changed_byte_is_a_baseline_error_or_no_change(
    tmp_path: Path, data: st.DataObject
) -> None:
    """Whatever bytes a file holds, nothing but `BaselineError` is raised, and no entry is made up."""
    good = content(entry("a"), entry("b"))
    broken = bytearray(good)
    start = data.draw(st.integers(0, len(good) - 1))
    broken[start : start + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=3))
    path = tmp_path / "test_a.json"
    path.write_bytes(broken)
    try:
        found = read_baseline(path, MODULE)
    except BaselineError as error:
        assert str(path) in str(error)  # noqa: PT017
    else:
        assert found == read_baseline_of(good)


def read_baseline_of(good: bytes) -> dict[str, Entry]:
    """Return what a sound content holds."""
    from dlbench.gate.text import parse_cases

    return {key: case.entry for key, case in parse_cases(good.decode(), MODULE).items()}


# ---- writing


def test_a_written_file_is_read_as_what_it_is(tmp_path: Path) -> None:
    """Folders are made on the way; writing the same again changes nothing, not even the file."""
    baseline, case = Baseline(tmp_path), Accepted(entry(), "2 seeds slow")
    made = baseline.format(MODULE, {entry().key: case})
    assert baseline.entries(MODULE) == {}
    (path,) = baseline.write(MODULE, made)
    assert path == tmp_path / "benchmarks/baselines/test_a.json"
    assert read_cases(path, MODULE) == {entry().key: case}
    assert baseline.entries(MODULE) == {entry().key: entry()}
    inode = path.stat().st_ino
    assert baseline.write(MODULE, made) == []
    assert path.stat().st_ino == inode
    assert [p.name for p in path.parent.iterdir()] == ["test_a.json"]


def test_without_cases_there_is_no_file(tmp_path: Path) -> None:
    """A module's last case takes the file with it."""
    path = saved(tmp_path, entry())
    baseline = Baseline(tmp_path)
    assert baseline.write(MODULE, baseline.format(MODULE, {})) == [path]
    assert not path.exists()


@pytest.mark.parametrize(
    "changes",
    [{"starts": ("a b", "c")}, {"curves": ("a",)}, {"bounded": False}, {"regimes": ("slow",)}],
)
def test_what_would_not_be_read_back_is_not_written(
    tmp_path: Path, changes: dict[str, Any]
) -> None:
    """A file is read back before it is written; what a baseline cannot keep is refused."""
    case = Accepted(entry(**changes), "2 seeds slow")
    with pytest.raises(BaselineError, match=r"test_a\.json: not written: "):
        Baseline(tmp_path).format(MODULE, {entry().key: case})


def unwritable(path: Path) -> str:
    """Return what the refusal to write says."""
    root = path.parents[2]
    made = content(entry("test_a.py::other"))
    with pytest.raises(BaselineError) as e:
        Baseline(root).write(MODULE, made)
    assert str(e.value).startswith(f"{path}: cannot be written: ")
    assert str(e.value).endswith("--dlbench-accept`")
    return str(e.value)


def test_a_folder_that_cannot_be_written_to(tmp_path: Path) -> None:
    """A file in its place, a folder in the file's place: named, and left as they are."""
    (tmp_path / "benchmarks").mkdir()
    path = tmp_path / "benchmarks/baselines/test_a.json"
    path.parent.write_text("not a folder")
    assert "Make" in unwritable(path)
    assert path.parent.read_text() == "not a folder"
    path.parent.unlink()
    path.mkdir(parents=True)
    assert "Is a directory" in unwritable(path)
    assert list(path.parent.iterdir()) == [path]


def test_a_read_only_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was accepted before is still there, and no half of a file beside it."""
    path = saved(tmp_path, entry())
    before = path.read_bytes()
    path.parent.chmod(0o555)
    if os.geteuid() == 0:  # for whom no folder is read-only: as the system would refuse it

        def refuse(**_: object) -> None:
            raise PermissionError(13, "Permission denied")

        monkeypatch.setattr("tempfile.mkstemp", refuse)
    try:
        assert "Permission denied" in unwritable(path)
    finally:
        path.parent.chmod(0o755)
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]
