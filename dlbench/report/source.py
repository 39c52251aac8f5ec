"""A benchmark module's source taken apart: each test with what it alone needs, and what all need.

Nothing is executed: which statement needs which follows from the names in it.
"""

from __future__ import annotations

import ast
from dataclasses import dataclass
from itertools import takewhile
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from dlbench.history.files import read_bounded

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

LARGEST = 2**20
"""Bytes of a module whose code is shown."""

DISCUSSION = "DISCUSSION"


@dataclass(frozen=True, slots=True)
class Source:
    """A module's code in the order in which it can be executed piece by piece."""

    setup: str
    """Imports, and whatever no single test can be said to need."""
    tests: dict[str, str]
    """By the name of a test function or class, in the module's order: its code, with what it is the
    first to need."""
    names: frozenset[str]
    """Everything that the module binds."""
    theory: str
    """Its docstring."""

    def holder(self, test: str, case: str) -> str:
        """Return the name under which a case's test stands in the module: its class', or its own."""
        parts = case.split("::")
        return next((part for part in parts[1:-1] if part in self.tests), test)


@dataclass(frozen=True, slots=True)
class _Block:
    """A statement with the comments above it, and the string below it."""

    first: int
    last: int
    nodes: tuple[ast.stmt, ...]
    binds: frozenset[str]
    """The names that it defines in the module."""
    mentions: frozenset[str]
    """Every name in it, those of arguments and in texts too: fixtures are asked for by those."""


def source_of(module: str, beside: Iterable[Path]) -> Source | None:
    """Return the source of a benchmark module; None where its file is not there or cannot be read.

    Args:
        module: its path from the repository's root on, with forward slashes, as records have it.
        beside: folders within the repository, in the order in which they and those above them are
            searched.
    """
    relative = PurePosixPath(module)
    if relative.is_absolute() or ".." in relative.parts or relative.suffix != ".py":
        return None  # a run may come from anywhere: what it names is looked for within alone
    for start in beside:
        for folder in (start.resolve(), *start.resolve().parents):
            path = folder / relative
            if path.is_file():
                try:
                    return taken_apart(read_bounded(path, LARGEST).decode())
                except (OSError, ValueError, SyntaxError, RecursionError):
                    return None
    return None


def taken_apart(text: str) -> Source:
    """Return a module's source in pieces.

    Raises:
        SyntaxError: it is no Python.
    """
    text = text.replace("\r\n", "\n")
    tree = ast.parse(text)
    theory = ast.get_docstring(tree)
    blocks = [block for block in _blocks(tree.body) if block.binds != {DISCUSSION}]
    if theory is not None:
        blocks = blocks[1:]
    tests = [block for block in blocks if _tests_in(block)]
    first = [block for block in blocks if _comes_first(block)]
    led = _reached(tests, blocks)
    # What no test leads to: fixtures that pytest uses of itself, hooks.
    first += [block for block in blocks if block not in led]
    taken: list[_Block] = []

    def take(wanted: list[_Block]) -> str:
        """Return the code of blocks and of all that they need, less what was taken before."""
        new = [block for block in _reached(wanted, blocks) if block not in taken]
        taken.extend(new)
        return _code(text.split("\n"), new)

    return Source(
        setup=take(first),
        tests={name: take([block]) for block in tests for name in sorted(_tests_in(block))},
        names=frozenset().union(*(block.binds for block in blocks)),
        theory=theory or "",
    )


def _reached(wanted: list[_Block], blocks: list[_Block]) -> list[_Block]:
    """Return blocks and all that they need, in the module's order."""
    found: list[_Block] = []
    waiting = list(wanted)
    while waiting:
        block = waiting.pop()
        if block not in found:
            found.append(block)
            waiting += [one for one in blocks if one.binds & block.mentions]
    return sorted(found, key=lambda block: block.first)


def _blocks(statements: list[ast.stmt]) -> list[_Block]:
    """Return statements that can stand alone, each with the strings below it."""
    groups: list[list[ast.stmt]] = []
    for node in statements:
        decorators = getattr(node, "decorator_list", [])
        first = min([node.lineno, *(one.lineno for one in decorators)])
        if groups and (_is_text(node) or first <= _last(groups[-1])):
            groups[-1].append(node)
        else:
            groups.append([node])
    ends = [_last(group) for group in groups]
    starts = [1, *(end + 1 for end in ends)]
    return [
        _Block(
            start,
            end,
            tuple(group),
            frozenset(name for node in group for name in _bound(node)),
            frozenset(name for node in group for name in _mentioned(node)),
        )
        for start, end, group in zip(starts, ends, groups, strict=False)
    ]


def _last(nodes: list[ast.stmt]) -> int:
    return nodes[-1].end_lineno or nodes[-1].lineno


def _code(lines: list[str], blocks: list[_Block]) -> str:
    """Return blocks as they were written, without the headings that stand apart above them."""
    code, before = "", None
    for block in blocks:
        part = lines[block.first - 1 : block.last]
        apart = not part[0].strip()
        if before is not None:
            definitions = _is_definition(block) or _is_definition(before)
            code += "\n\n\n" if definitions else "\n\n" if apart else "\n"
        code += "\n".join(_without_headings(part))
        before = block
    return code


def _without_headings(lines: list[str]) -> list[str]:
    """Return a statement's lines without the comments above it that an empty line parts from it."""
    above = takewhile(lambda line: not line.strip() or line.lstrip().startswith("#"), lines)
    empty = [place for place, line in enumerate(above) if not line.strip()]
    return lines[empty[-1] + 1 :] if empty else lines


def _is_definition(block: _Block) -> bool:
    return isinstance(block.nodes[0], (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef))


def _tests_in(block: _Block) -> set[str]:
    return {
        node.name
        for node in block.nodes
        if (isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and node.name[:4] == "test")
        or (isinstance(node, ast.ClassDef) and node.name.startswith("Test"))
    }


def _comes_first(block: _Block) -> bool:
    """Whether a block works by being there: imports, settings for all tests, plain actions."""
    plain = (ast.Assign, ast.AnnAssign, ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    if not all(isinstance(node, plain) or _is_text(node) for node in block.nodes):
        return True
    return not block.binds or "pytestmark" in block.binds


def _is_text(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def _bound(node: ast.stmt) -> Iterator[str]:
    """Yield the names that a statement binds in the module."""
    if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
        yield node.name
        return
    for inner in ast.walk(node):
        if isinstance(inner, (ast.Import, ast.ImportFrom)):
            yield from ((alias.asname or alias.name).split(".")[0] for alias in inner.names)
        elif isinstance(inner, ast.Name) and isinstance(inner.ctx, ast.Store):
            yield inner.id
        elif isinstance(inner, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            yield inner.name


def _mentioned(node: ast.stmt) -> Iterator[str]:
    for inner in ast.walk(node):
        if isinstance(inner, ast.Name):
            yield inner.id
        elif isinstance(inner, ast.arg):
            yield inner.arg
        elif isinstance(inner, ast.Constant) and isinstance(inner.value, str):
            yield inner.value
