"""A whole run of a suite, and its file: pytest-benchmark's JSON, and ours within it."""

from __future__ import annotations

import base64
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NotRequired, TypeAlias, TypedDict, cast

from dlbench.errors import RecordError
from dlbench.history.files import write_atomically
from dlbench.history.packing import pack
from dlbench.history.pictures import clear_beside, put_beside, taken_back
from dlbench.history.reading import INDENT, part_of, parts_of, read_document
from dlbench.history.record import KEY, SCHEMA, Record
from dlbench.plain import Plain, dumps

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import UnionType


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


class Gated(TypedDict):
    """What only a whole run shows of the gate; the verdicts ride on the records."""

    false_alarm: float
    """The suite's error rate."""
    missing: list[str]
    """The cases of the baseline that were not run, though their files were collected whole."""


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
    gate: NotRequired[Gated]
    """Only where the run was compared with a baseline, and came to its end."""


_Fields: TypeAlias = "Mapping[str, type | UnionType]"

_RECORD: _Fields = {
    **dict.fromkeys(("kind", "case", "module", "test", "outcome", "bounds"), str),
    **dict.fromkeys(("name", "message"), str | None),
    **dict.fromkeys(("params", "environment"), dict),
    **dict.fromkeys(("runs", "metrics", "parameters", "timing"), dict | None),
    "duration": float | int,
}
_TIMING: _Fields = {
    "what": str,
    "rounds": int,
    **dict.fromkeys(("seconds", "iqr"), float | int),
    **dict.fromkeys(("samples_per_second", "epoch_seconds"), float | int | None),
}
_SESSION: _Fields = {
    **dict.fromkeys(("started", "command"), str),
    **dict.fromkeys(("quick", "complete"), bool),
    **dict.fromkeys(("counts", "commit"), dict),
    "duration": float | int,
    "seeds": int,
}
_GATED: _Fields = {"false_alarm": float | int, "missing": list}
_MODULE: _Fields = dict.fromkeys(("theory", "discussion"), str)
_FIGURE: _Fields = dict.fromkeys(("case", "module", "caption", "png"), str)


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
    def from_document(cls, document: object, path: Path | None = None) -> Run:
        """Return the run in a document that dlbench or pytest-benchmark wrote.

        Args:
            document: of any schema.
            path: its file, beside which pictures lie; by default there are none.

        Raises:
            RecordError: no such document, or one of a newer schema.
        """
        parts = parts_of(document)
        header = parts.header
        records = [checked_record(record) for record in parts.records()]
        session = header.get("session")
        modules = part_of(header, "modules", dict)
        figures = part_of(header, "figures", list)
        if path is not None:
            figures = taken_back(figures, path)
        return cls(
            records=records,
            session=None if session is None else checked_session(session),
            introduction=part_of(header, "introduction", str),
            modules={name: _checked(item, "module", _MODULE) for name, item in modules.items()},
            figures=[_checked(item, "figure", _FIGURE) for item in figures],
        )


def read_run(path: Path | str) -> Run:
    """Return the run saved in a file of dlbench's or of pytest-benchmark's.

    Nothing read is executed: it is JSON, of bounded size.

    Raises:
        RecordError: the file is missing, too large, truncated, foreign or newer; it says which.
    """
    path = Path(path)
    document = read_document(path)
    try:
        return Run.from_document(document, path)
    except (ValueError, RecursionError) as error:
        raise RecordError(f"{path}: {error}") from error


def write_run(run: Run, path: Path) -> None:
    """Write a run to a file, whole or not at all; pictures that tests handed in lie beside it.

    Raises:
        OSError: no space, or no permission; what stood there before is still there.
    """
    document = run.to_document()
    figures = document[KEY]["figures"] = put_beside(document[KEY]["figures"], path)
    pack(document)
    text = dumps(document, indent=INDENT)
    # Half of a surrogate pair has no UTF-8; its backslash form is JSON's own escape.
    write_atomically(path, text.encode(errors="backslashreplace"))
    clear_beside(figures, path)


def _checked(value: object, what: str, fields: _Fields) -> Any:
    """Return `value`, a dict with these fields of these types; more fields do no harm."""
    if not isinstance(value, dict):
        raise RecordError(f"a {what} is {type(value).__name__}, expected dict")
    if missing := fields.keys() - value.keys():
        raise RecordError(f"a {what} lacks {', '.join(sorted(missing))}")
    for name, kind in fields.items():
        if not isinstance(value[name], kind):
            found = type(value[name]).__name__
            raise RecordError(f"the {name} of a {what} is {found}, expected {_named(kind)}")
    return value


def _named(kind: type | UnionType) -> str:
    return kind.__name__ if isinstance(kind, type) else str(kind)


def checked_session(value: object) -> Session:
    """Return `value`, a session with every field of the right type.

    Raises:
        RecordError: it is none; it says which field.
    """
    session = cast("Session", _checked(value, "session", _SESSION))
    if "gate" in session:
        _checked(session["gate"], "session's gate", _GATED)
    return session


def checked_record(value: object) -> Record:
    """Return `value`, a record with every field of the right type.

    Raises:
        RecordError: it is none; it says which field.
    """
    record = cast("Record", _checked(value, "record", _RECORD))
    if record["timing"] is not None:
        _checked(record["timing"], "timing", _TIMING)
    return record


def decode_png(figure: Figure) -> bytes:
    """Return a figure's PNG file.

    Raises:
        RecordError: it is no PNG.
    """
    if not figure["png"]:
        raise RecordError(f"the figure of {figure['case']} no longer lies beside its run")
    try:
        content = base64.b64decode(figure["png"], validate=True)
    except ValueError as error:
        raise RecordError(f"the figure of {figure['case']} is no base64 text") from error
    if not content.startswith(b"\x89PNG\r\n"):
        raise RecordError(f"the figure of {figure['case']} is no PNG")
    return content
