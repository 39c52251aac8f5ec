"""The house stands: rooms look down, never up; doors stay cold; files and functions stay small."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest

import dlbench
from tests.conftest import HEAVY

if TYPE_CHECKING:
    from collections.abc import Iterator

HOUSE = Path(dlbench.__file__).parent

LEVELS = (
    ("plugin", "cli", "notebook"),
    ("report",),
    ("gate",),
    ("history",),
    ("engines",),
    ("workloads",),
    ("runs",),
    ("experiment",),
    ("trial",),
    ("keras_objects", "data", "parameters"),
    ("metrics",),
    ("statistics",),
    ("theory",),
    ("references", "backend", "plain"),
    ("errors",),
)
"""From the top down: a room imports from the levels below its own, and rooms of one level not
from each other. `dlbench/__init__.py`, the facade, stands above all and loads names on demand."""

LEVEL = {room: number for number, rooms in enumerate(LEVELS) for room in rooms}

MAX_FILE, MAX_FUNCTION = 400, 50
"""Lines."""

FILES = sorted(HOUSE.rglob("*.py"))


class Import(NamedTuple):
    """An import statement that is executed, at a module's start or within a function."""

    line: int
    module: str
    """Dotted; for `from a import b`, `a.b`."""


def imports(tree: ast.AST) -> Iterator[Import]:
    """Yield every import but those for type checkers alone."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            yield from imports(ast.Module(node.orelse, []))
        elif isinstance(node, ast.Import):
            yield from (Import(node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"line {node.lineno}: imports are absolute"
            yield from (Import(node.lineno, f"{node.module}.{a.name}") for a in node.names)
        else:
            yield from imports(node)


def wrong_way(room: str, source: str) -> list[str]:
    """Return the imports of a file in `room` that do not lead down, in words."""
    found = []
    for line, module in imports(ast.parse(source)):
        package, *rest = module.split(".")
        if package != "dlbench":
            continue
        other = rest[0] if rest else "the facade"
        if other != room and LEVEL.get(other, -1) <= LEVEL[room]:
            found.append(f"line {line}: {room} imports {module}")
    return found


def room_of(file: Path) -> str:
    """Return the room that a file is in."""
    return file.relative_to(HOUSE).with_suffix("").parts[0]


def named(file: Path) -> str:
    """Return a file's path within the package."""
    return str(file.relative_to(HOUSE))


@pytest.mark.parametrize(
    "file", [file for file in FILES if file.parent != HOUSE or file.stem != "__init__"], ids=named
)
def test_a_room_imports_only_from_rooms_below_it(file: Path) -> None:
    """No import, at a module's start or within a function, leads up or sideways."""
    assert room_of(file) in LEVEL, f"{named(file)} is in no room that LEVELS names"
    assert wrong_way(room_of(file), file.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    ("source", "count"),
    [
        ("from dlbench.errors import X", 0),
        ("from dlbench import errors, metrics", 0),
        ("from dlbench.runs.within import x", 0),
        ("if TYPE_CHECKING:\n from dlbench.plugin import x\nelse:\n import dlbench.cli", 1),
        ("from dlbench.experiment import x\nimport numpy", 0),
        ("from dlbench.engines import x", 1),
        ("def f():\n class A:\n  def g(self):\n   from dlbench.cli import main", 1),
        ("try:\n import dlbench.plugin\nexcept ImportError:\n import dlbench.history.run", 2),
        ("import dlbench", 1),
        ("from dlbench import Workload", 1),
    ],
)
def test_the_check_finds_what_leads_up(source: str, count: int) -> None:
    """The check itself, on a file in the room `runs`."""
    assert len(wrong_way("runs", source)) == count


def test_nothing_imports_a_door() -> None:
    """The doors are at the top: pytest, the shell and notebooks come in by them, and nobody else."""
    for file in FILES:
        if room_of(file) in LEVELS[0]:
            continue
        modules = [module for _, module in imports(ast.parse(file.read_text(encoding="utf-8")))]
        doors = [m for m in modules if m.startswith(tuple(f"dlbench.{d}" for d in LEVELS[0]))]
        assert doors == [], named(file)


@pytest.mark.parametrize(
    "module", ["dlbench", "dlbench.plugin", "dlbench.backend", "dlbench.cli", "dlbench.notebook"]
)
def test_cold_modules_load_nothing_heavy(module: str) -> None:
    """In a fresh process importing a door loads no array, training or plotting library."""
    code = f"import sys, {module}; print(sorted(set(sys.modules) & {set(HEAVY)!r}))"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={k: v for k, v in os.environ.items() if not k.startswith(("COV_", "PYTEST_"))},
        capture_output=True, text=True, check=True, timeout=60,
    )  # fmt: skip
    assert done.stdout == "[]\n"


def test_every_name_of_the_facade_leads_to_its_room() -> None:
    """What `dlbench` offers is there and listed; any other name is an `AttributeError`."""
    for name, home in dlbench._HOMES.items():
        assert getattr(dlbench, name) is getattr(import_module(home), name)
    assert set(dlbench.__all__) == set(dlbench._HOMES)
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        dlbench.nonsense  # noqa: B018


@pytest.mark.parametrize("file", FILES, ids=named)
def test_files_and_functions_are_small(file: Path) -> None:
    """A file has at most 400 lines, a function at most 50; a docstring that teaches is free."""
    source = file.read_text(encoding="utf-8")
    assert len(source.splitlines()) <= MAX_FILE
    lengths = {
        f"line {node.lineno}: {node.name}": length(node)
        for node in ast.walk(ast.parse(source))
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
    }
    assert {name: lines for name, lines in lengths.items() if lines > MAX_FUNCTION} == {}


def length(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Return a function's lines, its signature included and its docstring not."""
    lines = (function.end_lineno or 0) - function.lineno + 1
    if ast.get_docstring(function) is not None:
        lines -= (function.body[0].end_lineno or 0) - function.body[0].lineno + 1
    return lines


def test_tests_mirror_the_house() -> None:
    """A file of tests stands in the folder of the room it tests, under its file's name."""
    tests = Path(__file__).parent
    for file in sorted(tests.rglob("test_*.py")):
        folder = HOUSE / file.parent.relative_to(tests)
        assert folder.is_dir(), f"{file.relative_to(tests)}: dlbench has no such folder"
