"""A whole run of a suite, and the file it is kept in: pytest-benchmark's JSON, and ours within it."""

from __future__ import annotations

import base64
import json
import os
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypedDict, cast

from dlbench.errors import RecordError
from dlbench.history.record import KEY, SCHEMA, Record
from dlbench.plain import Plain, dumps

MAX_BYTES = 256 * 2**20
"""A larger file is not read: no suite writes one, and reading it could exhaust the memory."""


class Module(TypedDict):
    """One benchmark module's texts, in Markdown."""

    theory: str
    """Its docstring."""
    discussion: str
    """Its `DISCUSSION`."""


class Figure(TypedDict):
    """A picture that a test handed in."""

    case: str
    module: str
    caption: str
    png: str
    """The PNG file, base64."""


class Session(TypedDict):
    """How the run was made."""

    started: str
    """ISO 8601, with the offset from UTC."""
    duration: float
    """Seconds."""
    command: str
    """What reproduces it."""
    seeds: int
    quick: bool
    counts: dict[str, int]
    """Tests by outcome, those without a record included."""
    complete: bool
    """False where the run was interrupted or stopped early."""
    commit: dict[str, Plain]


@dataclass(frozen=True, slots=True)
class Run:
    """Everything that is known of one run of a suite."""

    records: list[Record]
    session: Session | None = None
    introduction: str = ""
    """Markdown, from the README.md beside the benchmark modules."""
    modules: dict[str, Module] = field(default_factory=dict)
    figures: list[Figure] = field(default_factory=list)

    def to_document(self) -> dict[str, Any]:
        """Return the run in pytest-benchmark's shape, for `run.json`: builtins only."""
        cases: dict[str, list[Record]] = {}
        for record in self.records:
            cases.setdefault(record["case"], []).append(record)
        return {
            "datetime": self.session["started"] if self.session else None,
            "commit_info": self.session["commit"] if self.session else {},
            KEY: self.header() | {"figures": self.figures},
            "benchmarks": [
                {
                    "fullname": case,
                    "name": case.rsplit("::", 1)[-1],
                    "params": records[0]["params"],
                    "extra_info": {KEY: {"schema": SCHEMA, "records": records}},
                }
                for case, records in cases.items()
            ],
        }

    def header(self) -> dict[str, Any]:
        """Return what stands once at the top of a document: session and texts."""
        return {
            "schema": SCHEMA,
            "session": self.session,
            "introduction": self.introduction,
            "modules": self.modules,
        }

    @classmethod
    def from_document(cls, document: object) -> Run:
        """Return the run in a document that dlbench or pytest-benchmark wrote.

        Raises:
            RecordError: no such document, or one of a newer schema.
        """
        if not isinstance(document, dict) or not isinstance(document.get("benchmarks"), list):
            raise RecordError("this is no saved run: it has no list of benchmarks")
        header = _schema_checked(document.get(KEY) or {"schema": SCHEMA})
        records: list[Record] = []
        for benchmark in document["benchmarks"]:
            extra = benchmark.get("extra_info") if isinstance(benchmark, dict) else None
            ours = extra.get(KEY) if isinstance(extra, dict) else None
            if ours is not None:
                records.extend(map(_record, _schema_checked(ours).get("records") or []))
        return cls(
            records=records,
            session=header.get("session"),
            introduction=str(header.get("introduction") or ""),
            modules=dict(header.get("modules") or {}),
            figures=list(header.get("figures") or []),
        )


def read_run(path: Path) -> Run:
    """Return the run saved in a file of dlbench's or of pytest-benchmark's.

    Nothing read is executed: it is JSON, of bounded size.

    Raises:
        RecordError: the file is missing, too large, truncated, foreign or newer; it says which.
    """
    try:
        if path.stat().st_size > MAX_BYTES:
            raise RecordError(f"{path}: larger than {MAX_BYTES // 2**20} MiB, not a saved run")
        return Run.from_document(json.loads(path.read_bytes()))
    except OSError as error:
        raise RecordError(f"{path}: cannot be read: {error.strerror or error}") from error
    except (ValueError, RecursionError) as error:
        raise RecordError(f"{path}: {error}") from error


def write_run(run: Run, path: Path) -> None:
    """Write a run to a file, whole or not at all.

    Raises:
        OSError: no space, or no permission; what stood there before is still there.
    """
    write_atomically(path, dumps(run.to_document(), indent=1).encode())


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file beside its place, flush it to the disk, then move it there.

    A kill at any moment leaves the old file or the new one, never a part of one.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        Path(name).chmod(0o666 & ~_umask())
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _schema_checked(part: object) -> dict[str, Any]:
    if not isinstance(part, dict) or not isinstance(part.get("schema"), int):
        raise RecordError("its dlbench part has no schema number")
    if part["schema"] > SCHEMA:
        raise RecordError(
            f"it was written by a newer dlbench (schema {part['schema']}; this one reads up to "
            f"{SCHEMA}): pip install --upgrade dlbench"
        )
    return part


def _record(value: object) -> Record:
    missing = Record.__required_keys__ - (value.keys() if isinstance(value, dict) else set())
    if missing:
        raise RecordError(f"a record lacks {', '.join(sorted(missing))}")
    return cast("Record", value)


def decode_png(figure: Figure) -> bytes:
    """Return a figure's PNG file.

    Raises:
        RecordError: it is no PNG.
    """
    try:
        content = base64.b64decode(figure["png"], validate=True)
    except ValueError as error:
        raise RecordError(f"the figure of {figure['case']} is no base64 text") from error
    if not content.startswith(b"\x89PNG\r\n"):
        raise RecordError(f"the figure of {figure['case']} is no PNG")
    return content
