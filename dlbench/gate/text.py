"""A baseline file's text: accepted entries as strict JSON, laid out for `git diff`.

Cases are sorted by key, a case's fields stand in a fixed order: one line a field, and one line a
metric with a number a seed. What JSON has no number for is a text: "inf", "-inf", "nan". Digests
by seed stand in one text, parted by spaces, as do regimes (one word, where all seeds share it).
Fields that say nothing are left out.

There is nothing in a file that belongs to no case, but the number of its schema, and the
environments that cases were accepted in, each once, under its digest. So two branches that accept
different cases merge without a conflict; and where a merge mixes two versions of one case, the
case's checksum no longer fits.
"""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NoReturn, get_args

from dlbench.gate.entry import Entry
from dlbench.history.record import Kind
from dlbench.plain import Plain, digest, to_plain

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

SCHEMA = 1
"""Raised whenever a field is added or changes its meaning; a reader for each older one stays."""

DIGITS = 9
"""Significant digits of a value: as many as tell any two float32 numbers apart."""

YARDSTICK_DIGITS = 4

CHECK_LENGTH = 8
"""Hexadecimal digits of a checksum and of an environment's digest."""

LONG = ("experiment", "values")
"""The fields that take a line an item."""

EDITED = "it was edited by hand, or merged from two versions"

CONFLICT = re.compile(r"^(<{7}|\|{7}|={7}|>{7})(?: |\r?$)", re.MULTILINE)
"""What git leaves in a file that it could not merge; no line of JSON begins so."""

CASE_LINE = re.compile(r'^ {4}("[^\n]*"): \{\r?$', re.MULTILINE)
"""Where a case begins, in the layout written here: for messages about what is not JSON."""


@dataclass(frozen=True, slots=True)
class Accepted:
    """A case as its file has it."""

    entry: Entry
    summary: str
    """For whoever reads the file: medians, seeds, and what the last accept changed."""


def rounded(entry: Entry) -> Entry:
    """Return an entry as it is after it was written and read again."""
    return replace(
        entry,
        experiment=_mapping(to_plain(entry.experiment)),
        environment=_mapping(to_plain(entry.environment)),
        values={name: _rounded(values, DIGITS) for name, values in entry.values.items()},
        first={name: _significant(value, DIGITS) for name, value in entry.first.items()},
        yardstick=_rounded(entry.yardstick, YARDSTICK_DIGITS),
    )


def _rounded(values: Iterable[float], digits: int) -> tuple[float, ...]:
    return tuple(_significant(value, digits) for value in values)


def _significant(value: float, digits: int) -> float:
    # One NaN for all: tuples with the same object in them are equal, with two NaN they are not.
    return math.nan if math.isnan(value) else float(f"{value:.{digits - 1}e}")


# ---- writing


def format_cases(cases: Mapping[str, Accepted]) -> bytes:
    """Return a file's content; what is read from it formats to the same bytes."""
    entries = {key: rounded(cases[key].entry) for key in sorted(cases)}
    environments = {
        _digest(entry.environment): _line(entry.environment) for entry in entries.values()
    }
    written = {key: _case(key, entry, cases[key].summary) for key, entry in entries.items()}
    blocks = {
        "schema": str(SCHEMA),
        "environments": _block(dict(sorted(environments.items())), 1),
        "cases": _block(written, 1),
    }
    # Half of a surrogate pair has no UTF-8; its backslash form is JSON's own escape.
    return (_block(blocks, 0) + "\n").encode(errors="backslashreplace")


def _case(key: str, entry: Entry, summary: str) -> str:
    said = {"summary": summary} | {
        name: value for name, value in _fields(entry).items() if value or value is False
    }
    lines = {name: _items(said[name]) if name in LONG else _line(said[name]) for name in said}
    return _block(lines | {"checksum": _line(_checksum(key, said))}, 2)


def _items(value: Plain) -> str:
    return _block({name: _line(item) for name, item in _mapping(value).items()}, 3)


def _block(lines: Mapping[str, str], depth: int) -> str:
    pad = "  " * depth
    inner = ",\n".join(f"{pad}  {_line(name)}: {text}" for name, text in lines.items())
    return f"{{\n{inner}\n{pad}}}" if lines else "{}"


def _line(value: Plain | Mapping[str, Plain]) -> str:
    return json.dumps(value, allow_nan=False, ensure_ascii=False)


def _fields(entry: Entry) -> dict[str, Plain]:
    regimes = entry.regimes[:1] if len(set(entry.regimes)) == 1 else entry.regimes
    return {
        "kind": entry.kind,
        "experiment": dict(entry.experiment),
        "parameters": dict(entry.parameters),
        "environment": _digest(entry.environment),
        "points": entry.points,
        "budget": entry.budget,
        "floor": entry.floor,
        "seeds": list(entry.seeds),
        "regimes": " ".join(regimes),
        "values": {name: _texts(values) for name, values in entry.values.items()},
        "higher_is_better": dict(entry.higher_is_better),
        "starts": " ".join(entry.starts),
        "orders": " ".join(entry.orders),
        "curves": " ".join(entry.curves),
        "yardstick": _texts(entry.yardstick),
        "repeats": entry.repeats,
        "alpha": entry.alpha,
        "first": {name: _text(value) for name, value in entry.first.items()},
    }


def _texts(values: Iterable[float]) -> list[Plain]:
    return [_text(value) for value in values]


def _text(value: float) -> float | str:
    return value if math.isfinite(value) else str(value)


def _checksum(key: str, case: Mapping[str, Plain]) -> str:
    return _digest({"case": key, **case})


def _digest(value: Mapping[str, Plain]) -> str:
    # Of what a reader would see: JSON reads the two halves of a surrogate pair as one character.
    seen = json.loads(json.dumps(value, default=_mapping))
    return digest(seen)[:CHECK_LENGTH]


# ---- reading


class NewerError(ValueError):
    """A schema that this version does not know: the file is sound."""


class _Double:
    """Stands for an object with a key twice in it, until it is known in which case that is."""

    def __init__(self, key: str) -> None:
        self.key = key

    def __str__(self) -> str:
        return f"{_line(self.key)} is there twice"


def _once(pairs: list[tuple[str, Any]]) -> Any:
    found = dict(pairs)
    if len(found) == len(pairs):
        return found
    return _Double(Counter(key for key, _ in pairs).most_common(1)[0][0])


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no JSON")


def within(text: str, position: int) -> str:
    """Return the words that name the case at a position, if one began before it."""
    begun = CASE_LINE.findall(text, 0, position)
    return f"in {begun[-1]}: " if begun else ""


def parse_cases(text: str, module: str) -> dict[str, Accepted]:
    """Return the cases of a file by their keys.

    Args:
        text: the file's content.
        module: the entries' `module`, which the file does not name, so that both can be moved.

    Raises:
        NewerError: a newer dlbench wrote it.
        ValueError: anything else that `format_cases` does not write; it names the case.
    """
    try:
        return _cases(_document(text), module)
    except json.JSONDecodeError as error:
        raise ValueError(f"{within(text, error.pos)}this is no JSON: {error}") from error
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
    except (TypeError, OverflowError) as error:
        raise ValueError(str(error)) from error


def _document(text: str) -> dict[str, Any]:
    document = _mapping(json.loads(text, object_pairs_hook=_once, parse_constant=_refuse))
    schema = document.get("schema")
    if type(schema) is not int or schema < 1:
        raise ValueError(f"no baseline: it has no schema number, but {schema!r}")
    if schema > SCHEMA:
        raise NewerError(
            f"written by a newer dlbench (schema {schema}; this one reads up to {SCHEMA}): "
            "`pip install --upgrade dlbench`"
        )
    if unknown := document.keys() - {"schema", "environments", "cases"}:
        raise ValueError(f"unknown parts {', '.join(sorted(unknown))}")
    return document


def _cases(document: dict[str, Any], module: str) -> dict[str, Accepted]:
    environments = _mapping(document.get("environments"))
    for name, environment in environments.items():
        if _digest(_mapping(environment)) != name:
            raise ValueError(f"the environment {name!r} does not fit its digest: {EDITED}")
    cases = {}
    for key, case in _mapping(document.get("cases")).items():
        try:
            cases[key] = _accepted(key, module, dict(_mapping(case)), environments)
        except (ValueError, TypeError, OverflowError) as error:
            raise ValueError(f"in {_line(key)}: {error}") from error
    return cases


def _accepted(
    key: str, module: str, case: dict[str, Any], environments: Mapping[str, Any]
) -> Accepted:
    checksum = case.pop("checksum", None)
    if checksum != _checksum(key, case):
        raise ValueError(f"its content does not fit its checksum: {EDITED}")
    if unknown := case.keys() - READERS.keys() - {"summary", "environment"}:
        raise ValueError(f"unknown fields {', '.join(sorted(unknown))}")
    if case.get("environment") not in environments:
        raise ValueError(f"its environment {case.get('environment')!r} is not in the file")
    if missing := [name for name in ("summary", "kind") if not case.get(name)]:
        raise ValueError(f"it has no {' and no '.join(missing)}")
    read = {name: READERS[name](value) for name, value in case.items() if name in READERS}
    seeds, regimes = read.get("seeds", ()), read.get("regimes", ())
    if len(regimes) == 1:
        read["regimes"] = regimes * len(seeds)
    entry = Entry(
        key=key,
        module=module,
        environment=environments[case["environment"]],
        **{"experiment": {}} | read,
    )
    for name, values in _by_seed(entry).items():
        if len(values) != len(seeds):
            raise ValueError(f"{name} has {len(values)} for {len(seeds)} seeds")
    return Accepted(entry, _string(case["summary"]))


def _by_seed(entry: Entry) -> dict[str, tuple[Any, ...]]:
    optional = ("starts", "orders", "curves", "yardstick")
    known = {name: getattr(entry, name) for name in optional if getattr(entry, name)}
    return {"regimes": entry.regimes, **known, **entry.values}


def _mapping(value: object) -> dict[str, Any]:
    if isinstance(value, _Double):
        raise TypeError(str(value))
    if not isinstance(value, dict):
        raise TypeError(f"expected an object, got {type(value).__name__}")
    return value


def _string(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"expected a text, got {value!r}")
    return value


def _kind(value: object) -> Any:
    if value not in get_args(Kind):
        raise ValueError(f"the kind is one of {', '.join(get_args(Kind))}, got {value!r}")
    return value


def _words(value: object) -> tuple[str, ...]:
    return tuple(_string(value).split(" "))


def _whole(value: object) -> int:
    if type(value) is not int:
        raise TypeError(f"expected a whole number, got {value!r}")
    return value


def _truth(value: object) -> bool:
    if not isinstance(value, bool):
        raise TypeError(f"expected true or false, got {value!r}")
    return value


def _number(value: object) -> float:
    if value == "nan":
        return math.nan
    if value in {"inf", "-inf"}:
        return float(str(value))
    if type(value) not in {int, float}:
        raise TypeError(f"expected a number, got {value!r}")
    return float(value)  # type: ignore[arg-type]


def _numbers(value: object) -> tuple[float, ...]:
    if not isinstance(value, list):
        raise TypeError(f"expected a list, got {value!r}")
    return tuple(_number(item) for item in value)


READERS: Mapping[str, Callable[[Any], Any]] = {
    "kind": _kind,
    "experiment": _mapping,
    "parameters": lambda value: {name: _whole(count) for name, count in _mapping(value).items()},
    "points": _whole,
    "budget": _number,
    "floor": _number,
    "seeds": lambda value: tuple(_whole(seed) for seed in value),
    "regimes": _words,
    "values": lambda value: {name: _numbers(item) for name, item in _mapping(value).items()},
    "higher_is_better": lambda value: {n: _truth(item) for n, item in _mapping(value).items()},
    "starts": _words,
    "orders": _words,
    "curves": _words,
    "yardstick": _numbers,
    "repeats": _truth,
    "alpha": _number,
    "first": lambda value: {name: _number(item) for name, item in _mapping(value).items()},
}
"""What each field of a case is read by."""
