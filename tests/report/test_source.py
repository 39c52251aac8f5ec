"""A module's source in pieces that can be executed one after the other."""

from __future__ import annotations

import ast
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from dlbench.report.source import source_of, taken_apart

SUITE = Path(__file__).parents[2] / "benchmarks"

MODULE = dedent('''\
    """# Title

    Theory."""

    from __future__ import annotations

    import math; import os
    import pytest

    pytestmark = pytest.mark.skip

    # ---- a heading that stands apart

    # What it is.
    LIMITS = {"a": 1}
    """A text below."""


    @pytest.fixture(autouse=True)
    def always():
        return SHARED


    @pytest.fixture
    def thing():
        return LIMITS


    @pytest.mark.parametrize("x", LIMITS)
    def test_one(thing, x):
        assert helper(x)


    class TestMany:
        @pytest.mark.usefixtures("other")
        def test_two(self):
            assert helper(1) and later()


    def helper(x):
        return math.floor(deeper(x))


    def deeper(x): return x


    def later(): return 1


    @pytest.fixture
    def other(): pass


    SHARED = 3
    DISCUSSION = """Done."""
''')


def test_each_test_has_what_it_is_the_first_to_need() -> None:
    """Constants, fixtures and helpers stand with the first test that leads to them."""
    source = taken_apart(MODULE)
    assert list(source.tests) == ["test_one", "TestMany"]
    one, many = source.tests.values()
    for wanted in (
        "# What it is.\nLIMITS",
        "def thing",
        "def test_one",
        "def helper",
        "def deeper",
    ):
        assert wanted in one
    assert 'LIMITS = {"a": 1}\n"""A text below."""\n\n\n@pytest.fixture\ndef thing' in one
    for wanted in ("class TestMany", "def later", "def other"):
        assert wanted in many
        assert wanted not in one
    assert "def helper" not in many


def test_what_no_test_leads_to_comes_first() -> None:
    """Imports, marks, fixtures that pytest uses of itself, and what these need."""
    source = taken_apart(MODULE)
    assert source.setup.startswith("from __future__ import annotations\n")
    assert "import math; import os\nimport pytest" in source.setup
    for wanted in ("pytestmark", "def always", "SHARED = 3"):
        assert wanted in source.setup
    assert source.theory == "# Title\n\nTheory."


def test_texts_and_headings_are_left_out() -> None:
    """The docstring, the discussion and headings between sections are no code."""
    source = taken_apart(MODULE)
    code = source.setup + "".join(source.tests.values())
    assert "Theory" not in code
    assert "Done." not in code
    assert "stands apart" not in code


def test_nothing_is_lost() -> None:
    """Every statement is in exactly one piece, and the pieces in order define what the module does."""
    source = taken_apart(MODULE)
    whole = "\n".join([source.setup, *source.tests.values()])
    statements = [ast.dump(node) for node in ast.parse(MODULE).body[1:-1]]
    assert sorted(ast.dump(node) for node in ast.parse(whole).body) == sorted(statements)
    names: dict[str, Any] = {}
    exec(whole, names)  # noqa: S102 - the module above
    assert source.names <= names.keys()


@pytest.mark.parametrize("module", sorted(SUITE.glob("test_*.py")), ids=lambda path: path.stem)
def test_the_suite_can_be_taken_apart(module: Path) -> None:
    """Each module of the suite gives valid pieces, in which every name is defined before its use."""
    source = source_of(f"benchmarks/{module.name}", [SUITE / "baselines"])
    assert source is not None
    tree = ast.parse(module.read_text(encoding="utf-8"))
    tests = [node.name for node in tree.body if isinstance(node, ast.FunctionDef)]
    assert list(source.tests) == [name for name in tests if name.startswith("test_")]
    defined: set[str] = set()
    for piece in (source.setup, *source.tests.values()):
        part = taken_apart(piece)
        mentioned = {node.id for node in ast.walk(ast.parse(piece)) if isinstance(node, ast.Name)}
        defined |= part.names
        assert mentioned & source.names <= defined


@pytest.mark.parametrize(
    "module",
    [
        "nowhere/test_a.py",
        "../test_a.py",
        "benchmarks/../test_a.py",
        "test_a.txt",
        "broken/test_a.py",
        "binary/test_a.py",
        "folder.py",
        "",
    ],
)
def test_what_is_no_module_within_has_no_source(tmp_path: Path, module: str) -> None:
    """A run may name any file: only readable Python below the folders searched is shown."""
    inner = tmp_path / "inner"
    for name in ("benchmarks", "broken", "binary", "folder.py"):
        (inner / name).mkdir(parents=True)
    (tmp_path / "test_a.py").write_text("secret = 1")
    (inner / "test_a.txt").write_text("secret = 1")
    (inner / "broken" / "test_a.py").write_text("def (")
    (inner / "binary" / "test_a.py").write_bytes(b"\xff\x00")
    assert source_of(module, [inner]) is None
    assert source_of(str(tmp_path / "test_a.py"), [inner]) is None


def test_a_file_is_found_from_below(tmp_path: Path) -> None:
    """From a folder within the repository those above are searched; the first folder comes first."""
    for name in ("one", "two"):
        (tmp_path / name / "benchmarks").mkdir(parents=True)
        (tmp_path / name / "benchmarks" / "test_a.py").write_text(f"{name} = 1")
    found = source_of("benchmarks/test_a.py", [tmp_path / "two" / "deep" / "er", tmp_path / "one"])
    assert found is not None
    assert found.setup == "two = 1"


@pytest.mark.parametrize("text", ["", "\n", '"""Only words."""', "x = 1\r\ny = 2\r\n"])
def test_small_modules(text: str) -> None:
    """A module without tests, or without anything, has pieces too."""
    assert taken_apart(text).tests == {}


def test_a_case_in_a_class_is_held_by_it() -> None:
    """The class is what can be played; a function stands for itself."""
    source = taken_apart(MODULE)
    assert source.holder("test_two", "a.py::TestMany::test_two[1]") == "TestMany"
    assert source.holder("test_one", "a.py::test_one[a]") == "test_one"
