"""Many saved runs at once: numbers by seed without curves, and a tidy frame of them.

A file that cannot be read is named and passed over; it never costs another.
"""

from __future__ import annotations

import gc
import sys
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from dlbench.errors import NotFoundError, RecordError
from dlbench.history.ending import EVERY, Wanted, read_ending
from dlbench.history.head import head_of
from dlbench.history.naming import Saved, matches, saved_runs, storage_folder
from dlbench.history.packing import digests_of, environment_of, summary_of, unpacked_numbers
from dlbench.history.parsing import loads_fast
from dlbench.history.run import checked_record

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
    from typing import TypeAlias

    import pandas as pd
    from numpy.typing import NDArray

    from dlbench.history.ending import Ending
    from dlbench.history.head import Head

    Array: TypeAlias = NDArray[np.float64]
    Cases: TypeAlias = Callable[[str], bool] | str
    Where: TypeAlias = "str | Path | Iterable[str | Path | Saved]"

STEPS_TO_TARGET = "steps_to_target"
SINGLE = ("step_seconds", "parameters")
"""Metrics that have one value a record, and no seed."""

LARGEST_SEED = 2**63
LARGEST_FLOAT = 1e300
"""JSON knows integers that no float can hold."""

MOST_SHARED = 1024
"""Longer tuples are not kept for the records to come, which have them in common mostly."""

MOST_VALUES = 10_000_000
"""A record with more numbers is taken for a broken one."""

_NUMBERS = frozenset({float, int, type(None)})


class Numbers(NamedTuple):
    """What is loaded of one record; a tuple, which is made in half the time of a frozen class."""

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
    known: tuple[str, ...]
    """Every metric that the record has; what nobody asked for is named unchecked."""


class LoadedRun(NamedTuple):
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


def read_history(
    where: Where | None = None,
    cases: Cases | None = None,
    metrics: Collection[str] = (),
) -> History:
    """Return the numbers of many saved runs.

    Args:
        where: a storage folder (by default `.benchmarks`), a file, or the names of saved runs.
        cases: a part of the tests' ids, which is found fastest, or a function that tells by an id
            whether it is asked for; the others are not even parsed. By default all are asked for.
        metrics: others are left out of a record that has one of these; by default none is.

    Raises:
        NotFoundError: a name that means no saved run.
        RecordError: a storage that is no folder.
    """
    history = History()
    wanted = EVERY if cases is None else Wanted(cases)
    with _uncollected():
        for saved in _chosen(where):
            try:
                ending = read_ending(saved.path)
                head = head_of(ending)
                records = tuple(_numbers(ending, wanted, metrics))
            except (RecordError, RecursionError) as error:
                reason = str(error).removeprefix(f"{saved.path}: ")
                history.skipped.append((saved.path, reason))
                continue
            if records:
                history.runs.append(LoadedRun(saved, head, records))
            elif cases is None:
                history.skipped.append((saved.path, "no case of dlbench's is in it"))
    history.runs.sort(key=lambda run: (run.head.time, run.saved.machine, run.saved.number or 0))
    return history


def load(
    where: Where | None = None,
    *,
    cases: Cases | None = None,
    metrics: Collection[str] = (),
) -> pd.DataFrame:
    """Return saved runs as one tidy frame: a row a run, case, metric and seed, oldest run first.

    `docs/history.md` describes each column. `frame.attrs["skipped"]` names the files that could not
    be read, with the reason.

    Args:
        where: a storage folder (by default `.benchmarks`), a file, or the names of saved runs.
        cases: a part of the tests' ids, or a function that tells by an id whether it is asked for;
            by default all are.
        metrics: others are left out of a record that has one of these; by default none is.

    Raises:
        NotFoundError: a name that means no saved run.
        RecordError: a storage that is no folder.
    """
    from dlbench.history.frame import frame_of

    return frame_of(read_history(where, cases, metrics))


@contextmanager
def _uncollected() -> Iterator[None]:
    """Inside the block no cycles are looked for: files have none, and looking costs a twelfth."""
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()


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
        for one in some:
            found[one.path.absolute()] = one
    return list(found.values())


def _numbers(ending: Ending, wanted: Wanted, metrics: Collection[str]) -> Iterator[Numbers]:
    header = ending.header
    for case, text in ending.numbers(wanted):
        kept = unpacked_numbers(text, loads_fast)
        kept["starts"] = digests_of(kept.get("starts"), header)
        yield _checked(case, kept, environment_of(kept, header), metrics)
    for benchmark, stored in ending.parts.stored(wanted.has) if ending.parts else ():
        if not isinstance(stored, dict):
            raise RecordError(f"a record is {type(stored).__name__}, expected dict")
        if "packed" in stored:
            kept = unpacked_numbers(stored.get("numbers"), loads_fast)
            kept["outcome"] = stored.get("outcome")
            case = str(benchmark.get("fullname"))
            yield _checked(case, kept, environment_of(kept, header), metrics)
            continue
        record: Any = checked_record(stored)
        runs = record["runs"] or {}
        kept = {name: runs.get(name) for name in ("seeds", "starts")}
        kept |= {"metrics": record["metrics"]} | summary_of(record)
        kept |= {name: record[name] for name in ("kind", "name", "bounds", "outcome")}
        yield _checked(record["case"], kept, record["environment"], metrics)


def _checked(
    case: str, kept: dict[str, Any], environment: object, asked: Collection[str]
) -> Numbers:
    """Return a record's numbers, of the right types and lengths; what does not fit is left out."""
    metrics, experiment = kept.get("metrics"), kept.get("experiment")
    found = metrics.items() if isinstance(metrics, dict) else ()
    lists = {name: values for name, values in found if isinstance(values, list)}
    count = max(map(len, lists.values()), default=0)
    if count * len(lists) > MOST_VALUES:
        raise RecordError(f"the record of {case} has {count:,} values a metric")
    small = max(count, len(lists)) <= MOST_SHARED
    distinct: Callable[[Any], tuple[int, ...]] = _distinct if small else _distinct.__wrapped__
    shared: Callable[[Any], tuple[str, ...]] = _shared if small else _shared.__wrapped__
    regimes = _each(lists.pop("regime", None), str, count)
    singles = {name: one for name in SINGLE if (one := _single(kept.get(name))) is not None}
    rows = _rows({name: one for name, one in lists.items() if name in asked}, count)
    some = {name: one for name, one in singles.items() if name in asked}
    if rows or some:
        known, singles = (*lists, *singles), some
    else:
        rows = _rows(lists, count)
        known = (*rows, *singles)
    values = np.array([*rows.values()], dtype=float).reshape(len(rows), count)
    if STEPS_TO_TARGET in rows:
        # Strict JSON has no word for infinity: a target that was never met is null.
        steps = values[list(rows).index(STEPS_TO_TARGET)]
        steps[np.isnan(steps)] = np.inf
    return Numbers(
        case=sys.intern(case),
        name=None if kept.get("name") is None else word(kept.get("name")),
        kind=word(kept.get("kind")),
        outcome=word(kept.get("outcome")),
        bounds=word(kept.get("bounds")),
        experiment=experiment if isinstance(experiment, str) else None,
        environment=environment if isinstance(environment, dict) else {},
        seeds=distinct(_each(kept.get("seeds"), int, count)) or tuple(range(count)),
        starts=shared(_each(kept.get("starts"), str, count)),
        regimes=shared(regimes),
        metrics=shared(tuple(rows)),
        values=values,
        singles=singles,
        known=shared(known),
    )


def word(value: object) -> str:
    """Return what should be a word of a record; of what is none, such as a list, its kind."""
    if type(value) is str:
        return sys.intern(value)
    scalar = value is None or isinstance(value, (int, float))
    return str(value) if scalar else type(value).__name__


@lru_cache(4096)
def _distinct(seeds: tuple[int, ...]) -> tuple[int, ...]:
    """Return the seeds if each is a possible one and comes once, else none."""
    if not seeds or min(seeds) < 0 or max(seeds) >= LARGEST_SEED:
        return ()
    return seeds if len(set(seeds)) == len(seeds) else ()


@lru_cache(4096)
def _shared(texts: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(map(sys.intern, texts))


def _each(values: Any, kind: type, count: int) -> tuple[Any, ...]:
    """Return `count` values of a type, or none at all."""
    fits = isinstance(values, list) and len(values) == count
    return tuple(values) if fits and set(map(type, values)) == {kind} else ()


def _single(value: Any) -> float | None:
    """Return a number that a float can hold."""
    return float(value) if type(value) in {int, float} and abs(value) < LARGEST_FLOAT else None


def _rows(lists: Mapping[str, list[Any]], count: int) -> dict[str, list[float | None]]:
    """Return the metrics that have so many values, all of them numbers or missing."""
    return {name: values for name, values in lists.items() if _fits(values, count)}


def _fits(values: list[Any], count: int) -> bool:
    types = set(map(type, values))
    if len(values) != count or not types <= _NUMBERS:
        return False
    return int not in types or max(abs(one or 0) for one in values) < LARGEST_FLOAT
