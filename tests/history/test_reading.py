"""A saved file is parsed whole, in any form of JSON, or refused by name."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from dlbench.errors import RecordError
from dlbench.history.packing import pack
from dlbench.history.reading import read_parts
from dlbench.history.record import KEY

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Made = tuple[Callable[..., dict[str, Any]], Callable[..., dict[str, Any]]]

CASES = [
    "a.py::test_a[1]",
    "a.py::test_a[12]",
    'b/c.py::test_"q"[\\]',
    "b/c.py::test_\n        },\n        {\n",
    "d.py::test_ü\x1b[31m",
]


@pytest.fixture
def document(made: Made) -> dict[str, Any]:
    """A document of five cases, packed."""
    whole = made[1]([made[0](case, 3, place) for place, case in enumerate(CASES)])
    pack(whole)
    return whole


FORMS: dict[str, dict[str, Any]] = {
    "pytest-benchmark's": {"indent": 4},
    "in letters": {"indent": 4, "ensure_ascii": False},
    "compact": {},
    "by two": {"indent": 2},
    "by one": {"indent": 1},
    "by tabs": {"indent": "\t"},
    "sorted": {"indent": 4, "sort_keys": True},
}


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_every_form_of_json_reads_the_same(
    document: dict[str, Any], form: dict[str, Any], tmp_path: Path
) -> None:
    """Whatever the indentation, each case is found by its id, and all of them without one."""
    path = tmp_path / "a.json"
    path.write_text(json.dumps(document, **form), encoding="utf-8")
    parts = read_parts(path)
    assert parts.head[KEY] == document[KEY]
    assert parts.head["commit_info"] == document["commit_info"]
    assert list(parts.cases) == document["benchmarks"]
    for case, benchmark in zip(CASES, document["benchmarks"], strict=True):
        ((found, _),) = parts.stored(lambda name, case=case: name == case)  # type: ignore[misc]
        assert found == benchmark


def test_a_file_without_cases(document: dict[str, Any], tmp_path: Path) -> None:
    """An empty list of benchmarks has no case, and is a saved run."""
    path = tmp_path / "a.json"
    path.write_text(json.dumps(document | {"benchmarks": []}, indent=4), encoding="utf-8")
    assert list(read_parts(path).cases) == []


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_line_ends_of_another_system(document: dict[str, Any], tmp_path: Path, end: str) -> None:
    """A file that git rewrote with carriage returns is read too."""
    path = tmp_path / "a.json"
    path.write_bytes(json.dumps(document, indent=4).replace("\n", end).encode())
    assert list(read_parts(path).cases) == document["benchmarks"]


@pytest.mark.parametrize("cut", [0.02, 0.3, 0.6, 0.9, 0.999])
def test_a_truncated_file_is_refused(document: dict[str, Any], tmp_path: Path, cut: float) -> None:
    """Cut off in the head, in a case or at the end: an error that names the file."""
    text = json.dumps(document, indent=4)
    path = tmp_path / "a.json"
    path.write_text(text[: int(len(text) * cut)], encoding="utf-8")
    with pytest.raises(RecordError, match=r"a\.json: "):
        read_parts(path)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"benchmarks": 5}', "[" * 100_000])
def test_what_is_no_saved_run_is_refused(tmp_path: Path, text: str) -> None:
    """Another document is an error that names the file."""
    path = tmp_path / "a.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(RecordError, match=r"a\.json: "):
        read_parts(path)
