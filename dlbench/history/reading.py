"""One saved file, read and parsed whole: its head, its cases, the records in them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dlbench.errors import RecordError
from dlbench.history.files import MAX_BYTES, read_bounded
from dlbench.history.packing import by_place, dictionary_of, unpack
from dlbench.history.record import KEY, SCHEMA

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

INDENT = 4
"""Spaces a level, pytest-benchmark's."""


@dataclass(frozen=True, slots=True)
class Parts:
    """A saved file, parsed: what stands at its top, and its cases."""

    head: dict[str, Any]
    """What stands beside the list of benchmarks."""
    cases: tuple[Any, ...]
    """Each a benchmark of pytest-benchmark's; foreign files may hold anything."""

    @property
    def header(self) -> dict[str, Any]:
        """What dlbench put at the top: schema, session, texts; empty in a file without.

        Raises:
            RecordError: of a newer schema, or of none.
        """
        ours = self.head.get(KEY)
        return {} if ours is None else schema_checked(ours)

    def stored(self, wanted: Callable[[str], bool] | None = None) -> Iterator[tuple[Any, Any]]:
        """Yield each case asked for with each of our records in it, as it is stored.

        Args:
            wanted: tells by a test's id whether it is asked for; by default all are.

        Raises:
            RecordError: a damaged case, or one of a newer schema.
        """
        for benchmark in self.cases:
            if wanted is not None and not (
                isinstance(benchmark, dict) and wanted(str(benchmark.get("fullname")))
            ):
                continue
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
        header = by_place(self.header)
        dictionary = dictionary_of(header)
        for _, stored in self.stored():
            yield unpack(stored, header, dictionary)


def read_parts(path: Path) -> Parts:
    """Return the parts of a saved file.

    Raises:
        RecordError: the file is missing, too large, truncated or no saved run; it says which.
    """
    document = read_document(path)
    try:
        return parts_of(document)
    except RecordError as error:
        raise RecordError(f"{path}: {error}") from error


def read_document(path: Path) -> object:
    """Return what a file holds as JSON, which nobody has checked yet.

    Raises:
        RecordError: the file is missing, too large, or no JSON; it says which.
    """
    try:
        return json.loads(read_bounded(path, MAX_BYTES))
    except OSError as error:
        raise RecordError(f"{path}: cannot be read: {error.strerror or error}") from error
    except RecordError as error:
        raise RecordError(f"{path}: {error}") from error
    except (ValueError, RecursionError) as error:
        raise RecordError(f"{path}: damaged or cut off, it is no JSON: {error}") from error


def parts_of(document: object) -> Parts:
    """Return the parts of a document that is parsed already.

    Raises:
        RecordError: it is no saved run.
    """
    if not isinstance(document, dict) or not isinstance(document.get("benchmarks"), list):
        raise RecordError("this is no saved run: it has no list of benchmarks")
    head = {name: value for name, value in document.items() if name != "benchmarks"}
    return Parts(head, tuple(document["benchmarks"]))


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
