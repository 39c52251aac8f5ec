"""One saved file: its head and its cases apart, so that one case is read without the others.

A file that pytest-benchmark or `write_run` wrote is indented by four, a case's braces by eight. JSON
allows no line end within a string, so that the lines themselves say where a case begins and ends:
what nobody asks for is never parsed. A file in any other form is parsed whole.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dlbench.errors import RecordError
from dlbench.history.files import MAX_BYTES, read_bounded
from dlbench.history.packing import dictionary_of, unpack
from dlbench.history.record import KEY, SCHEMA

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

INDENT = 4
"""Spaces a level, pytest-benchmark's."""

_BEGIN, _END = b'\n    "benchmarks": [', b"\n    ]"
_CASE_BEGIN, _CASE_END = b"\n        {\n", b"\n        }"
_BETWEEN = b"\n        },\n        {\n"
_FULLNAME = b'\n            "fullname": '
_COMMIT = b'\n    "commit_info": '
"""After it stands all that is read of a head: what pytest-benchmark says of the machine does not."""


@dataclass(frozen=True, slots=True)
class Parts:
    """A saved file, of which only the head is parsed."""

    head: dict[str, Any]
    """What stands beside the list of benchmarks, but for pytest-benchmark's `machine_info`."""
    text: bytes = b""
    """The file, in pytest-benchmark's form."""
    body: tuple[int, int] = (0, 0)
    """Where in it the cases' text begins and ends."""
    parsed: tuple[Any, ...] = ()
    """The cases of a file in any other form."""

    @property
    def header(self) -> dict[str, Any]:
        """What dlbench put at the top: schema, session, texts; empty in a file without.

        Raises:
            RecordError: of a newer schema, or of none.
        """
        ours = self.head.get(KEY)
        return {} if ours is None else schema_checked(ours)

    def cases(self, wanted: Callable[[str], bool] | None = None) -> Iterator[Any]:
        """Yield cases, each a benchmark of pytest-benchmark's; foreign files may hold anything.

        Args:
            wanted: tells by a test's id whether it is asked for; by default all are.

        Raises:
            RecordError: a case's text is damaged.
        """
        for case in self.parsed:
            if wanted is None or (isinstance(case, dict) and wanted(str(case.get("fullname")))):
                yield case
        begin, end = self.body
        if wanted is None and end:
            inner = self.text[begin + len(_CASE_BEGIN) : end - len(_CASE_END)]
            yield from (_parsed(b"{" + case + b"}") for case in inner.split(_BETWEEN))
        elif wanted is not None:
            yield from self._chosen(wanted)

    def _chosen(self, wanted: Callable[[str], bool]) -> Iterator[Any]:
        text, (first, last) = self.text, self.body
        place = text.find(_FULLNAME, first, last)
        while place >= 0:
            start = place + len(_FULLNAME)
            if wanted(_name(text[start : text.find(b"\n", start)])):
                begin = text.rfind(_CASE_BEGIN, first, place + 1)
                end = text.find(_CASE_END, start, last) + len(_CASE_END)
                yield _parsed(text[begin:end])
            place = text.find(_FULLNAME, start, last)

    def stored(self, wanted: Callable[[str], bool] | None = None) -> Iterator[tuple[Any, Any]]:
        """Yield each case asked for with each of our records in it, as it is stored.

        Raises:
            RecordError: a damaged case, or one of a newer schema.
        """
        for benchmark in self.cases(wanted):
            extra = benchmark.get("extra_info") if isinstance(benchmark, dict) else None
            ours = extra.get(KEY) if isinstance(extra, dict) else None
            if ours is not None:
                for stored in part_of(schema_checked(ours), "records", list):
                    yield benchmark, stored

    def records(self) -> Iterator[object]:
        """Yield every record, unpacked, not yet checked field by field.

        Raises:
            RecordError: a damaged case, or one of a newer schema.
        """
        header = self.header
        dictionary = dictionary_of(header)
        for _, stored in self.stored():
            yield unpack(stored, header, dictionary)


def read_parts(path: Path) -> Parts:
    """Return the parts of a saved file.

    Raises:
        RecordError: the file is missing, too large, truncated or no saved run; it says which.
    """
    try:
        content = read_bounded(path, MAX_BYTES)
        parts = _by_lines(content)
        return parts_of(json.loads(content)) if parts is None else parts
    except OSError as error:
        raise RecordError(f"{path}: cannot be read: {error.strerror or error}") from error
    except (ValueError, RecursionError) as error:
        raise RecordError(f"{path}: {error}") from error


def parts_of(document: object) -> Parts:
    """Return the parts of a document that is parsed already.

    Raises:
        RecordError: it is no saved run.
    """
    if not isinstance(document, dict) or not isinstance(document.get("benchmarks"), list):
        raise RecordError("this is no saved run: it has no list of benchmarks")
    head = {name: value for name, value in document.items() if name != "benchmarks"}
    return Parts(head, parsed=tuple(document["benchmarks"]))


def schema_checked(part: object) -> dict[str, Any]:
    """Return a part of ours, of a schema that this dlbench reads.

    Raises:
        RecordError: it has no schema number, or a newer one.
    """
    schema = part.get("schema") if isinstance(part, dict) else None
    if not isinstance(part, dict) or not isinstance(schema, int) or schema < 1:
        raise RecordError("its dlbench part has no schema number")
    if schema > SCHEMA:
        raise RecordError(
            f"it was written by a newer dlbench (schema {schema}; this one reads up to "
            f"{SCHEMA}): pip install --upgrade dlbench"
        )
    return part


def part_of(parent: dict[str, Any], name: str, kind: type) -> Any:
    """Return a field of this type, or an empty one where it is missing.

    Raises:
        RecordError: it is of another type.
    """
    value = parent.get(name)
    if value is None:
        return kind()
    if not isinstance(value, kind):
        raise RecordError(f"its {name} are {type(value).__name__}, expected {kind.__name__}")
    return value


def _by_lines(content: bytes) -> Parts | None:
    """Return the parts of a file in pytest-benchmark's form; None of any other."""
    found = content.find(_BEGIN)
    begin = found + len(_BEGIN)
    end = content.find(_END, begin)
    if not (
        content.startswith(b"{\n")
        and 0 <= found < end
        and content.startswith(_CASE_BEGIN, begin)
        and content.endswith(_CASE_END, begin, end)
    ):
        return None
    commit = content.rfind(_COMMIT, 0, begin)
    before = content[max(commit, 1) : begin]
    try:
        head = json.loads(b"{" + before + content[end:])
    except (ValueError, RecursionError):
        return None
    del head["benchmarks"]
    return Parts(head, content, (begin, end))


def _name(line: bytes) -> str:
    """Return the text at the end of a line of JSON."""
    line = line.rstrip(b",\r ")
    plain = line.isascii() and b"\\" not in line
    return line[1:-1].decode() if plain else str(_parsed(line))


def _parsed(text: bytes) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise RecordError(f"a case is damaged: {error}") from error
