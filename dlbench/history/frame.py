"""Saved runs as a tidy frame: a row a run, case, metric and seed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from dlbench.history.loading import word

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from dlbench.history.loading import History, LoadedRun, Numbers

VERSIONS = ("python", "keras", "torch", "device")
"""The columns that say where a run was made; a change in any of them breaks a trend."""

COLUMNS = (
    *("run", "number", "time", "commit", "branch", "dirty", "complete", "quick"),
    *("case", "name", "kind", "outcome", "bounds", "metric", "seed", "value", "regime", "start"),
    *("experiment", *VERSIONS, "committed", "machine", "path"),
)
BY_VALUE = ("metric", "seed", "value", "regime", "start")
"""The columns that differ within a record."""

TIMES = ("time", "committed")
FLAGS = ("dirty", "complete", "quick")
NO_SEED = np.iinfo(np.int64).min


def frame_of(history: History) -> pd.DataFrame:
    """Return the runs of a history as one frame, with the columns of `COLUMNS`, oldest run first.

    The categories of the metrics name those too that were left out.
    """
    codes: dict[str, dict[str, int]] = {"metric": {}, "regime": {}, "start": {}}
    pairs = [(run, record) for run in history.runs for record in run.records]
    for every in {record.known: None for _, record in pairs}:
        _codes(codes["metric"], every)
    names = [name for name in COLUMNS if name not in BY_VALUE]
    described = (
        zip(*(_described(*pair) for pair in pairs), strict=True) if pairs else [()] * len(names)
    )
    layouts: dict[Any, dict[str, Any]] = {}
    rows = [_layout(record, codes, layouts) for _, record in pairs]
    record_of = np.repeat(np.arange(len(rows)), [len(found["seed"]) for found in rows])
    columns = {
        name: _typed(name, list(of)).take(record_of)
        for name, of in zip(names, described, strict=True)
    }
    for name, known in codes.items():
        joined = _joined((found[name] for found in rows), np.int32)
        columns[name] = pd.Categorical.from_codes(joined, list(known))
    seeds = _joined((found["seed"] for found in rows), np.int64)
    columns["seed"] = pd.arrays.IntegerArray(seeds, seeds == NO_SEED)
    columns["value"] = _joined((_values(record) for _, record in pairs), np.float64)
    frame = pd.DataFrame({name: columns[name] for name in COLUMNS}, copy=False)
    frame.attrs["skipped"] = [(str(path), reason) for path, reason in history.skipped]
    return frame


def _described(run: LoadedRun, record: Numbers) -> tuple[Any, ...]:
    """Return what is the same in all rows of a record, in the order of `COLUMNS`."""
    saved, head = run.saved, run.head
    versions = (record.environment.get(name) for name in VERSIONS)
    return (
        *(saved.path.stem, saved.number, head.time, head.commit, head.branch),
        *(head.dirty, head.complete, head.quick),
        *(record.case, record.name, record.kind, record.outcome, record.bounds, record.experiment),
        *(None if value is None else word(value) for value in versions),
        *(head.committed, saved.machine, str(saved.path)),
    )


def _typed(name: str, values: list[Any]) -> Any:
    if name in TIMES:
        texts = pd.Series(values, dtype=object)
        return pd.to_datetime(texts, utc=True, errors="coerce", format="ISO8601").array
    if name in FLAGS:
        return np.array(values, dtype=bool)
    if name == "number":
        return pd.array(values, dtype="Int64")
    # Named, so that a column without any text has texts for its type nevertheless.
    categories = sorted({one for one in values if one is not None})
    places = {category: place for place, category in enumerate(categories)}
    codes = np.array([places.get(one, -1) for one in values], dtype=np.int32)
    return pd.Categorical.from_codes(codes, pd.Index(categories, dtype="str"), validate=False)


def _layout(
    record: Numbers, codes: dict[str, dict[str, int]], layouts: dict[Any, dict[str, Any]]
) -> dict[str, Any]:
    """Return what tells the rows of a record apart, texts as codes; the same arrays for the same rows."""
    singles = tuple(record.singles)
    key = (record.metrics, singles, record.seeds, record.regimes, record.starts)
    if key not in layouts:
        layouts[key] = _rows(record, codes)
    return layouts[key]


def _rows(record: Numbers, codes: dict[str, dict[str, int]]) -> dict[str, Any]:
    """Return a record's columns that differ by row; texts as codes, new ones of which are added."""
    count, metrics, singles = len(record.seeds), record.metrics, record.singles
    one = np.full(len(singles), -1)
    return {
        "metric": np.concatenate(
            [np.repeat(_codes(codes["metric"], metrics), count), _codes(codes["metric"], singles)]
        ),
        "seed": np.concatenate([np.tile(record.seeds, len(metrics)), one + NO_SEED + 1]),
        **{
            name: np.concatenate(
                [np.tile(_codes(codes[name], texts or ("",) * count), len(metrics)), one]
            )
            for name, texts in (("regime", record.regimes), ("start", record.starts))
        },
    }


def _values(record: Numbers) -> Any:
    values = np.ravel(record.values)
    return np.concatenate([values, [*record.singles.values()]]) if record.singles else values


def _codes(known: dict[str, int], texts: Iterable[str]) -> Any:
    """Return a number for each text, -1 for an empty one."""
    return np.array([known.setdefault(t, len(known)) if t else -1 for t in texts], dtype=np.int64)


def _joined(arrays: Iterable[Any], kind: Any) -> Any:
    found: Sequence[Any] = list(arrays)
    return np.concatenate(found).astype(kind) if found else np.array([], dtype=kind)
