"""The end of a saved file: all that a history shows of it, so that nothing else is read.

`dlbench.history.packing` puts our part last in a document, and in it first what is long, then schema,
session, commit and environments, and at the very end `numbers`, a line a record. A file that
pytest-benchmark or `write_run` wrote is indented by four, and JSON allows no line end within a text:
so the lines themselves say where these begin. A file in any other form, or of an older schema, is
read and parsed whole.

What stands before the end is not looked at: a file whose benchmarks were damaged later still has its
place in a history, and is refused where it is read whole (`dlbench.history.run.read_run`).
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any

from dlbench.errors import RecordError
from dlbench.history.files import read_last
from dlbench.history.parsing import loads_fast
from dlbench.history.reading import part_of, read_parts, schema_checked

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from dlbench.history.reading import Parts

WINDOWS = (2**15, 2**18, 2**20)
"""How many of a file's last bytes are tried, one after the other."""

_SCHEMA, _NUMBERS, _END = (
    b'\n        "schema": ',
    b'\n        "numbers": ',
    b"\n        }\n    }\n}",
)
_LINE, _BETWEEN, _LAST = b'            "', b'": "', b'"'

DAMAGED = "its numbers are damaged"

_KNOWN_NAMES = 2**16
"""The same cases stand in most files of a history."""


class Wanted:
    """Which tests are asked for."""

    def __init__(self, cases: Callable[[str], bool] | str = "") -> None:
        """Ask for tests.

        Args:
            cases: what stands in their ids, which is found fastest, or what tells by an id.
        """
        self.has: Callable[[str], bool]
        """Tells by an id whether the test is asked for."""
        self.sought = b""
        """Stands in the line of each that is asked for; others need not be looked at."""
        if isinstance(cases, str):
            self.has = lambda case: cases in case
            if json.dumps(cases) == f'"{cases}"':  # else there are several ways to write it
                self.sought = cases.encode()
        else:
            self.has = cache(cases)


EVERY = Wanted()


@dataclass(frozen=True, slots=True)
class Ending:
    """What a saved file says of itself and, packed, of its records."""

    header: dict[str, Any]
    """Our part of the document, of a schema that is checked; empty in a foreign file."""
    head: dict[str, Any]
    """Where pytest-benchmark's own words stand: `commit_info` and `datetime`."""
    text: bytes = b""
    """The file's last bytes, as they stand there."""
    lines: tuple[int, int] = (0, 0)
    """Where the lines of `numbers` stand in them, the line end before the first one included."""
    texts: dict[str, object] = field(default_factory=dict)
    """The same of a file that was parsed."""
    parts: Parts | None = None
    """The whole file, where it is of an older schema."""

    def numbers(self, wanted: Wanted = EVERY) -> Iterator[tuple[str, object]]:
        """Yield the case and the packed numbers of each record that is asked for in a packed file.

        Raises:
            RecordError: a line is damaged.
        """
        found: dict[tuple[str, str], object] = {}
        for key, text in self.texts.items():
            label = _apart(key)
            if wanted.has(label[1]):
                found[label] = text
        # Of two lines with one key the last counts, as in JSON.
        for line in _lines_with(wanted.sought, self.text, self.lines):
            name, between, value = line.partition(_BETWEEN)
            label = _label(name)
            if wanted.has(label[1]):
                if not between:
                    raise RecordError(DAMAGED)
                found[label] = value.removesuffix(b",").removesuffix(_LAST)
        for (_, case), text in found.items():
            yield case, text


def read_ending(path: Path) -> Ending:
    """Return the end of a saved file; of one in another form all that it says.

    Raises:
        RecordError: the file is missing, too large, truncated or no saved run; it says which.
    """
    for most in WINDOWS:
        try:
            text = read_last(path, most)
        except OSError as error:
            raise RecordError(f"{path}: cannot be read: {error.strerror or error}") from error
        except RecordError as error:
            raise RecordError(f"{path}: {error}") from error
        ending = _by_lines(text)
        if ending is not None:
            return ending
        if len(text) < most:
            break
    return _parsed(read_parts(path))


def _by_lines(text: bytes) -> Ending | None:
    """Return the end of a file that is in the form in which dlbench saves; None of any other."""
    if not text.endswith(_END):
        return None
    # A brace is found a hundred times faster than a word, and hardly any stands in a case's id.
    begin = text.rfind(b"{")
    while begin >= 0 and not text.endswith(_NUMBERS, 0, begin):
        begin = text.rfind(b"{", 0, begin)
    start = text.rfind(_SCHEMA, 0, max(begin, 0))
    if start < 0:
        return None
    rest = text[start : begin - len(_NUMBERS)].removesuffix(b",")
    try:
        header: Any = loads_fast(b"{" + rest + b"}")
    except (ValueError, RecursionError):
        return None
    if not isinstance(header.get("environments"), list):  # the part of another plugin
        return None
    header = schema_checked(header)
    return Ending(header, header, text, (begin + 1, len(text) - len(_END)))


def _parsed(parts: Parts) -> Ending:
    header = parts.header
    if "numbers" not in header:
        return Ending(header, parts.head, parts=parts)
    texts = part_of(header, "numbers", dict)
    return Ending(header, header, texts=texts)


def _lines_with(sought: bytes, text: bytes, lines: tuple[int, int]) -> Iterator[bytes]:
    """Yield the lines in which something stands, of those in a part that begins with a line end."""
    first, last = lines
    at = text.find(sought, first + 1, last)
    while at >= 0:
        start, end = max(first, text.rfind(b"\n", 0, at) + 1), text.find(b"\n", at, last)
        stop = end if end >= 0 else last
        yield text[start:stop]
        at = text.find(sought, stop + 1, last)


@lru_cache(_KNOWN_NAMES)
def _label(name: bytes) -> tuple[str, str]:
    """Return the place and the case at the beginning of a line, whose last quotation mark is missing."""
    try:
        key = loads_fast(name[len(_LINE) - 1 :] + _LAST)
    except (ValueError, RecursionError) as error:
        raise RecordError(DAMAGED) from error
    return _apart(key if isinstance(key, str) else "")


def _apart(key: str) -> tuple[str, str]:
    """Return the place and the case that a key of `numbers` holds."""
    place, _, case = key.partition(" ")
    return place, case
