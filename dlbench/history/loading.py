"""Many saved runs at once: numbers by seed without curves, and a tidy frame of them.

A file that cannot be read is named and passed over; it never costs another.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from dlbench.errors import NotFoundError, RecordError
from dlbench.history.head import head_of
from dlbench.history.naming import Saved, matches, saved_runs, storage_folder
from dlbench.history.packing import environment_of, is_packed, numbers_of, summary_of
from dlbench.history.reading import read_parts
from dlbench.history.run import checked_record

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from typing import TypeAlias

    import pandas as pd
    from numpy.typing import NDArray

    from dlbench.history.head import Head
    from dlbench.history.reading import Parts

    Array: TypeAlias = NDArray[np.float64]
    Where: TypeAlias = "str | Path | Iterable[str | Path | Saved]"

STEPS_TO_TARGET = "steps_to_target"
SINGLE = ("step_seconds", "parameters")
"""Metrics that have one value a record, and no seed."""

LARGEST_SEED = 2**63
MOST_VALUES = 10_000_000
"""A record with more numbers is taken for a broken one."""


@dataclass(frozen=True, slots=True)
class Numbers:
    """What is loaded of one record."""

    case: str
    name: str | None
    kind: str
    outcome: str
    bounds: str
    experiment: str | None
    """The digest of everything that was to be trained."""
    environment: Mapping[str, Any]
    seeds: tuple[int, ...]
    starts: tuple[str, ...]
    """By seed, a digest of the initial weights; empty where they are not known."""
    regimes: tuple[str, ...]
    metrics: tuple[str, ...]
    values: Array
    """Shape `(metrics, seeds)`; NaN where a number was not finite, `inf` for a target never met."""
    singles: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class LoadedRun:
    """One saved file: its name, its own account of itself, and the numbers of its records."""

    saved: Saved
    head: Head
    records: tuple[Numbers, ...]


@dataclass(frozen=True, slots=True)
class History:
    """Saved runs from the oldest to the newest, and what could not be read."""

    runs: list[LoadedRun] = field(default_factory=list)
    skipped: list[tuple[Path, str]] = field(default_factory=list)
    """A path and why, in a sentence."""


def read_history(where: Where | None = None, cases: Callable[[str], bool] | None = None) -> History:
    """Return the numbers of many saved runs.

    Args:
        where: a storage folder (by default `.benchmarks`), a file, or the names of saved runs.
        cases: tells by a test's id whether it is asked for; the others are not even parsed.

    Raises:
        NotFoundError: a name that means no saved run.
        RecordError: a storage that is no folder.
    """
    history = History()
    for saved in _chosen(where):
        try:
            parts = read_parts(saved.path)
            head = head_of(parts)
            records = tuple(_numbers(parts, cases))
        except RecordError as error:
            reason = str(error).removeprefix(f"{saved.path}: ")
            history.skipped.append((saved.path, reason))
            continue
        if records:
            history.runs.append(LoadedRun(saved, head, records))
        elif cases is None:
            history.skipped.append((saved.path, "no case of dlbench's is in it"))
    history.runs.sort(key=lambda run: (run.head.time, run.saved.machine, run.saved.number or 0))
    return history


def load(where: Where | None = None, *, cases: Callable[[str], bool] | None = None) -> pd.DataFrame:
    """Return saved runs as one tidy frame: a row a run, case, metric and seed, oldest run first.

    `docs/history.md` describes each column. `frame.attrs["skipped"]` names the files that could not
    be read, with the reason.

    Args:
        where: a storage folder (by default `.benchmarks`), a file, or the names of saved runs.
        cases: tells by a test's id whether it is asked for; by default all are.

    Raises:
        NotFoundError: a name that means no saved run.
        RecordError: a storage that is no folder.
    """
    from dlbench.history.frame import frame_of

    return frame_of(read_history(where, cases))


def _chosen(where: Where | None) -> list[Saved]:
    """Return the saved runs that `where` means, each once."""
    if where is None or isinstance(where, (str, Path)):
        folder = storage_folder(where)
        if folder.is_dir():
            return saved_runs(folder)
        if where is None:
            return []
        where = [where]
    found: dict[Path, Saved] = {}
    for name in where:
        if isinstance(name, Saved):
            some = [name]
        else:
            some = [Saved.of(name)] if isinstance(name, Path) else matches(name)
        if not some:
            raise NotFoundError(f"{name}: no saved run, and no folder of saved runs")
        found |= {one.path.absolute(): one for one in some}
    return list(found.values())


def _numbers(parts: Parts, cases: Callable[[str], bool] | None) -> Iterator[Numbers]:
    header = parts.header
    for benchmark, stored in parts.stored(cases):
        if not isinstance(stored, dict):
            raise RecordError(f"a record is {type(stored).__name__}, expected dict")
        if is_packed(stored):
            kept = numbers_of(stored)
            environment = environment_of(kept, header)
            case = benchmark.get("fullname")
        else:
            record: Any = checked_record(stored)
            runs = record["runs"] or {}
            kept = {name: runs.get(name) for name in ("seeds", "starts")}
            kept |= {"metrics": record["metrics"]} | summary_of(record)
            kept |= {name: record[name] for name in ("kind", "name", "bounds")}
            environment, case = record["environment"], record["case"]
        yield _checked(str(case), stored, kept, environment)


def _checked(
    case: str, stored: dict[str, Any], kept: dict[str, Any], environment: object
) -> Numbers:
    """Return a record's numbers, of the right types and lengths; what does not fit is left out."""
    metrics = kept.get("metrics")
    found = metrics.items() if isinstance(metrics, dict) else ()
    lists = {name: values for name, values in found if isinstance(values, list)}
    count = max(map(len, lists.values()), default=0)
    if count * len(lists) > MOST_VALUES:
        raise RecordError(f"the record of {case} has {count:,} values a metric")
    seeds = _each(kept.get("seeds"), int, count)
    if not all(0 <= seed < LARGEST_SEED for seed in seeds) or len(set(seeds)) != count:
        seeds = tuple(range(count))
    regimes = _each(lists.pop("regime", None), str, count)
    values = {name: row for name, v in lists.items() if (row := _row(name, v, count)) is not None}
    singles = {name: kept.get(name) for name in SINGLE}
    return Numbers(
        case=sys.intern(case),
        name=None if kept.get("name") is None else str(kept.get("name")),
        kind=sys.intern(str(kept.get("kind"))),
        outcome=sys.intern(str(stored.get("outcome"))),
        bounds=sys.intern(str(kept.get("bounds"))),
        experiment=_interned(kept.get("experiment")),
        environment=environment if isinstance(environment, dict) else {},
        seeds=seeds,
        starts=tuple(map(sys.intern, _each(kept.get("starts"), str, count))),
        regimes=tuple(map(sys.intern, regimes)),
        metrics=tuple(map(sys.intern, values)),
        values=np.array(list(values.values())).reshape(len(values), count),
        singles={
            name: float(value)
            for name, value in singles.items()
            if isinstance(value, (int, float)) and abs(value) < 1e300  # noqa: PLR2004 - a float holds it
        },
    )


def _each(values: object, kind: type, count: int) -> tuple[Any, ...]:
    """Return `count` values of a type, or none at all."""
    fits = isinstance(values, list) and len(values) == count
    return tuple(values) if fits and all(type(one) is kind for one in values) else ()  # type: ignore[attr-defined, arg-type]


def _row(name: str, values: list[Any], count: int) -> Array | None:
    if len(values) != count:
        return None
    try:
        row = np.array(values, dtype=float)
    except (TypeError, ValueError, OverflowError):
        return None
    if row.shape != (count,):
        return None
    # Strict JSON has no word for infinity: a target that was never met is null.
    return np.where(np.isnan(row), np.inf, row) if name == STEPS_TO_TARGET else row


def _interned(text: object) -> str | None:
    return sys.intern(text) if isinstance(text, str) else None
