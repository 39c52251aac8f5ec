"""A history reads the end of a file alone, and finds there what the whole file says."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

import pytest

from dlbench.errors import RecordError
from dlbench.history import ending as module
from dlbench.history import read_history
from dlbench.history.ending import WINDOWS, Wanted, read_ending
from dlbench.history.packing import pack
from dlbench.history.record import KEY, SCHEMA

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from dlbench.history.loading import Numbers

    Made = tuple[Callable[..., dict[str, Any]], Callable[..., dict[str, Any]]]

CASES = [
    "a.py::test_a[1]",
    "a.py::test_a[12]",
    'b/c.py::test_"q"[\\]',
    "b/c.py::test_\n        },\n        {\n",
    'b/c.py::test_{\n        "numbers": {',
    'b/c.py::test_": "',
    "d.py::test_ü\x1b[31m",
]


@pytest.fixture
def document(made: Made) -> dict[str, Any]:
    """A packed document of seven cases, the first of which has two records."""
    records = [made[0](case, 3, place) for place, case in enumerate(CASES)]
    whole = made[1]([*records, made[0](CASES[0], 3, 9.0, name="second")])
    pack(whole)
    return whole


def saved(document: dict[str, Any], path: Path, **form: Any) -> Path:
    """Write a document, by default as pytest-benchmark does."""
    path.write_text(json.dumps(document, **({"indent": 4} | form)), encoding="utf-8")
    return path


@pytest.fixture
def end_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """Reading a whole file is an error."""

    def refuse(path: Path) -> None:
        raise AssertionError(path)

    monkeypatch.setattr(module, "read_parts", refuse)


@pytest.mark.usefixtures("end_only")
@pytest.mark.parametrize("letters", [True, False])
def test_each_case_is_found_at_the_end(
    document: dict[str, Any], tmp_path: Path, letters: bool
) -> None:
    """Whatever stands in its id, a case is found by it, with all of its records, and nothing else."""
    ending = read_ending(saved(document, tmp_path / "a.json", ensure_ascii=letters))
    assert ending.header == {
        name: value
        for name, value in document[KEY].items()
        if name not in {"introduction", "modules", "dictionary", "numbers"}
    }
    found = [(case, text.decode()) for case, text in ending.numbers()]  # type: ignore[attr-defined]
    texts = document[KEY]["numbers"]
    assert found == [(key.partition(" ")[2], text) for key, text in texts.items()]
    for case in CASES:
        asked = [name for name, _ in ending.numbers(Wanted(case.__eq__))]
        assert asked == [case] * (2 if case == CASES[0] else 1)
        part = case[len(case) // 2 :]
        named = [name for name, _ in ending.numbers(Wanted(part))]
        assert named == [one for one, _ in found if part in one]
        assert case in named


def told(records: Iterable[Numbers]) -> list[Any]:
    """Return what was read of records, whatever their order."""
    kept = ("case", "name", "outcome", "environment", "seeds", "starts", "regimes", "metrics")
    return sorted(
        ([getattr(one, name) for name in kept] + one.values.tolist() for one in records), key=str
    )


FORMS: dict[str, dict[str, Any]] = {
    "compact": {"indent": None},
    "by two": {"indent": 2},
    "by tabs": {"indent": "\t"},
    "sorted": {"sort_keys": True},
}


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_every_form_of_json_says_the_same(
    document: dict[str, Any], tmp_path: Path, form: dict[str, Any]
) -> None:
    """A file that another tool wrote again is parsed whole, and gives the same history."""
    ours = saved(document, tmp_path / "a.json")
    theirs = saved(document, tmp_path / "b.json", **form)
    assert read_ending(ours).text
    assert read_ending(theirs).texts
    for wanted in (None, lambda case: case == CASES[1]):
        first, second = (read_history([path], wanted).runs[0] for path in (ours, theirs))
        assert first.head == second.head
        assert told(first.records) == told(second.records)


@pytest.mark.parametrize("window", [64, 700, 3000])
def test_an_end_that_is_longer_than_the_window(
    document: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, window: int
) -> None:
    """The next window is tried, and then the whole file is read."""
    path = saved(document, tmp_path / "a.json")
    expected = told(read_history([path]).runs[0].records)
    for windows in ((window,), (window, WINDOWS[-1])):
        monkeypatch.setattr(module, "WINDOWS", windows)
        assert told(read_history([path]).runs[0].records) == expected


def test_what_another_plugin_adds_is_not_taken_for_ours(
    document: dict[str, Any], tmp_path: Path
) -> None:
    """A part behind ours, of the same look, sends the reader to the whole file."""
    theirs = {"schema": 1, "session": None, "numbers": {"0 a": "b"}}
    path = saved(document | {"theirs": theirs}, tmp_path / "a.json")
    assert len(read_history([path]).runs[0].records) == len(CASES) + 1


@pytest.mark.usefixtures("end_only")
def test_what_stands_before_the_end_is_not_looked_at(
    document: dict[str, Any], tmp_path: Path
) -> None:
    """Damage to the benchmarks costs a history nothing; damage to the line that is asked for is named."""
    path = saved(document, tmp_path / "a.json")
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace('"outcome": "passed"', '"outcome" "passed"', 1), encoding="utf-8")
    assert len(read_history([path]).runs) == 1
    key = next(key for key in document[KEY]["numbers"] if CASES[1] in key)
    path.write_text(text.replace(f'"{key}": "', f'"{key}": "!'), encoding="utf-8")
    assert len(read_history([path], lambda case: case == CASES[0]).runs) == 1
    for broken in (f'"{key}": "!', f'"{key}" "', f'"{key}": 5, "'):
        path.write_text(text.replace(f'"{key}": "', broken), encoding="utf-8")
        (skipped,) = read_history([path], lambda case: CASES[1] in case).skipped or [(path, "")]
        assert "damaged" in skipped[1] or CASES[1] not in broken.partition('": ')[0]
        assert read_history([path], CASES[1]).skipped == [skipped] * bool(skipped[1])


@pytest.mark.usefixtures("end_only")
def test_a_name_that_is_nested_for_ever(document: dict[str, Any], tmp_path: Path) -> None:
    """Where a case's name should stand brackets are no crash."""
    path = saved(document, tmp_path / "a.json")
    key = next(key for key in document[KEY]["numbers"] if CASES[1] in key)
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace(f'"{key}": "', "[" * 10_000 + CASES[1]), encoding="utf-8")
    for wanted in (None, CASES[1]):
        assert read_history([path], wanted).skipped == [(path, "its numbers are damaged")]


def test_a_newer_schema_is_named(document: dict[str, Any], tmp_path: Path) -> None:
    """The number stands at the end, and is looked at before anything else is."""
    document[KEY]["schema"] = SCHEMA + 1
    with pytest.raises(RecordError, match="newer dlbench"):
        read_ending(saved(document, tmp_path / "a.json"))


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_a_pipe_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    """Nobody writes into it: opening it must not wait."""
    os.mkfifo(tmp_path / "a.json")
    with pytest.raises(RecordError, match="not a file"):
        read_ending(tmp_path / "a.json")
    with pytest.raises(RecordError, match="cannot be read"):
        read_ending(tmp_path / "missing.json")
