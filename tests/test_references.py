"""`FILE.py:NAME` and `package:NAME` lead to an object, or an error says what is missing."""

from __future__ import annotations

import json
import pickle
import sys
from typing import TYPE_CHECKING, Any

import pytest

from dlbench.errors import NotFoundError
from dlbench.references import resolve

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(autouse=True)
def _modules_as_before() -> Iterator[None]:
    """Forget the modules a test loaded, and hold that the search path is left as it was."""
    before, path = dict(sys.modules), list(sys.path)
    yield
    assert sys.path == path
    for name in sys.modules.keys() - before.keys():
        del sys.modules[name]


def write(folder: Path, name: str, text: str) -> Path:
    """Write a Python file and return its path."""
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def test_name_in_a_file(tmp_path: Path) -> None:
    """A path, a colon and a name lead to the object in the file."""
    assert resolve(f"{write(tmp_path, 'mine.py', 'answer = 42')}:answer") == 42


def test_relative_and_home_paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A path may be relative to the current folder, or start at the home folder."""
    write(tmp_path, "sub/mine.py", "answer = 42")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    assert resolve("sub/mine.py:answer") == 42
    assert resolve("~/sub/mine.py:answer") == 42


def test_name_in_a_module() -> None:
    """A module's dotted name, a colon and a name lead to the object; a submodule is imported."""
    assert resolve("json:dumps") is json.dumps
    assert resolve("xml.dom.minidom:parseString").__name__ == "parseString"  # type: ignore[attr-defined]


def test_dotted_name() -> None:
    """The name may lead through attributes."""
    assert resolve("json:JSONDecoder.decode") is json.JSONDecoder.decode


def test_module_in_the_current_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A package of the current folder is found, as by `python -m`."""
    write(tmp_path, "own_package_here/__init__.py", "")
    write(tmp_path, "own_package_here/models.py", "answer = 42")
    monkeypatch.chdir(tmp_path)
    assert resolve("own_package_here.models:answer") == 42


def test_installed_module_wins_over_the_current_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file of the current folder does not hide an installed module of the same name."""
    write(tmp_path, "colorsys.py", "mine = True")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delitem(sys.modules, "colorsys", raising=False)
    assert callable(resolve("colorsys:rgb_to_hsv"))


def test_same_file_twice_is_the_same_module(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file is loaded once, by whatever path it is named."""
    path = write(tmp_path, "mine.py", "class Thing: pass")
    monkeypatch.chdir(tmp_path)
    assert resolve(f"{path}:Thing") is resolve("mine.py:Thing") is resolve("./mine.py:Thing")


def test_files_of_one_name_stay_apart(tmp_path: Path) -> None:
    """Two files of one name in different folders are two modules."""
    paths = [write(tmp_path, f"{folder}/mine.py", f"here = {folder!r}") for folder in "abc"]
    for _ in range(2):
        assert [resolve(f"{path}:here") for path in paths] == ["a", "b", "c"]


def test_records_show_the_files_own_name(tmp_path: Path) -> None:
    """A function's module is the file's name, wherever the file lies."""
    found: Any = resolve(f"{write(tmp_path, 'mine.py', 'def build(): pass')}:build")
    assert found.__module__ == "mine"


def test_file_does_not_take_the_place_of_another_module(tmp_path: Path) -> None:
    """A file named like an installed module leaves that one alone, imported or not."""
    for name in ("json", "colorsys"):
        sys.modules.pop("colorsys", None)
        path = write(tmp_path, f"{name}.py", "answer = 42")
        assert resolve(f"{path}:answer") == 42
        assert resolve(f"{path}:answer") == 42
    import colorsys

    assert callable(json.dumps)
    assert callable(colorsys.rgb_to_hsv)


def test_file_with_a_name_that_is_no_identifier(tmp_path: Path) -> None:
    """A file may be called what a module may not."""
    path = write(tmp_path, "my-model v1.2.py", "def build(): return 42")
    found: Any = resolve(f"{path}:build")
    assert found() == 42
    assert found is resolve(f"{path}:build")


def test_what_a_file_defines_can_be_pickled(tmp_path: Path) -> None:
    """A loaded file's module is known by its name, as pickle and dataclasses need."""
    text = """
        from __future__ import annotations
        from dataclasses import dataclass
        @dataclass
        class Thing:
            size: int
        thing = Thing(3)
    """.replace("\n        ", "\n")
    thing = resolve(f"{write(tmp_path, 'mine.py', text)}:thing")
    assert pickle.loads(pickle.dumps(thing)) == thing  # noqa: S301 - our own bytes


def test_neighbours_of_a_file_are_importable_while_it_loads(tmp_path: Path) -> None:
    """A file may import what lies beside it."""
    write(tmp_path, "neighbour_of_mine.py", "answer = 42")
    path = write(tmp_path, "mine.py", "from neighbour_of_mine import answer")
    assert resolve(f"{path}:answer") == 42


@pytest.mark.parametrize("spec", ["", ":", "mine.py", "mine.py:", ":name", "json.dumps", "a.py:1x"])
def test_no_reference(spec: str) -> None:
    """What is not PLACE:NAME is refused with the form that is expected."""
    with pytest.raises(NotFoundError, match=r"expected FILE\.py:NAME or package\.module:NAME"):
        resolve(spec)


def test_no_such_file(tmp_path: Path) -> None:
    """A missing file is named by its full path; a folder is no file."""
    with pytest.raises(NotFoundError, match=r"there is no file .*gone\.py"):
        resolve(f"{tmp_path / 'gone.py'}:name")
    (tmp_path / "folder.py").mkdir()
    with pytest.raises(NotFoundError, match=r"there is no file .*folder\.py"):
        resolve(f"{tmp_path / 'folder.py'}:name")


@pytest.mark.parametrize("spec", ["no_such_package_anywhere:x", "json.no_such_part:x"])
def test_no_such_module(spec: str) -> None:
    """A missing module is named, with where it was looked for and how a file is named."""
    with pytest.raises(NotFoundError, match=r"no module 'no_such|no module 'json\.no_such") as info:
        resolve(spec)
    assert "./models.py:NAME" in str(info.value)


def test_no_such_name_with_close_matches(tmp_path: Path) -> None:
    """A missing name is answered with those that resemble it."""
    path = write(tmp_path, "mine.py", "workload = 1\nother = 2")
    with pytest.raises(NotFoundError, match=r"has no 'wrkload'; did you mean workload\?"):
        resolve(f"{path}:wrkload")
    with pytest.raises(NotFoundError, match=r"has no 'zzz'$"):
        resolve(f"{path}:zzz")
    with pytest.raises(NotFoundError, match=r"did you mean dumps"):
        resolve("json:dmps")


@pytest.mark.parametrize(
    "text", ["1 / 0", "import no_such_dependency", "raise SystemExit(3)", "1 +"]
)
def test_file_that_fails_to_load(tmp_path: Path, text: str) -> None:
    """The file's own error is the cause, and nothing half loaded is left behind."""
    path = write(tmp_path, "mine.py", text)
    for _ in range(2):
        with pytest.raises(NotFoundError, match=r"mine\.py fails to load: ") as info:
            resolve(f"{path}:x")
        cause = info.value.__cause__
        assert cause is not None
        assert type(cause).__name__ in str(info.value)
    path.write_text("x = 42  # mended", encoding="utf-8")
    assert resolve(f"{path}:x") == 42


def test_module_that_fails_to_load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A module that is there but breaks, or lacks a dependency, is not called missing."""
    write(tmp_path, "broken_here.py", "1 / 0")
    write(tmp_path, "lacking_here.py", "import no_such_dependency")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(NotFoundError, match=r"broken_here fails to load: ZeroDivisionError"):
        resolve("broken_here:x")
    with pytest.raises(NotFoundError, match=r"lacking_here fails to load: .*no_such_dependency"):
        resolve("lacking_here:x")


def test_search_path_is_left_alone_even_by_a_file_that_changes_it(tmp_path: Path) -> None:
    """What a file does to `sys.path` ends with its loading (the fixture looks)."""
    path = write(tmp_path, "mine.py", "import sys; sys.path.insert(0, 'elsewhere'); x = 1")
    assert resolve(f"{path}:x") == 1
