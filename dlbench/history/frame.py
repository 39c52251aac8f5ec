"""Saved runs as a tidy frame: a row a run, case, metric and seed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

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
    """Return the runs of a history as one frame, with the columns of `COLUMNS`, oldest run first."""
    pairs = [(run, record) for run in history.runs for record in run.records]
    names = [name for name in COLUMNS if name not in BY_VALUE]
    records = pd.DataFrame([_described(*pair) for pair in pairs], columns=names)
    for name in names:
        records[name] = _typed(name, records[name])
    codes: dict[str, dict[str, int]] = {"metric": {}, "regime": {}, "start": {}}
    rows = [_rows(record, codes) for _, record in pairs]
    sizes = [len(found["value"]) for found in rows]
    frame = records.take(np.repeat(np.arange(len(rows)), sizes)).reset_index(drop=True)
    for name, known in codes.items():
        joined = _joined((found[name] for found in rows), np.int32)
        frame[name] = pd.Categorical.from_codes(joined, list(known))
    seeds = _joined((found["seed"] for found in rows), np.int64)
    frame["seed"] = pd.arrays.IntegerArray(seeds, seeds == NO_SEED)
    frame["value"] = _joined((found["value"] for found in rows), np.float64)
    frame = frame[list(COLUMNS)]
    frame.attrs["skipped"] = [(str(path), reason) for path, reason in history.skipped]
    return frame


def _described(run: LoadedRun, record: Numbers) -> dict[str, Any]:
    saved, head, environment = run.saved, run.head, record.environment
    versions = {name: environment.get(name) for name in VERSIONS}
    return {
        "run": saved.path.stem,
        "number": saved.number,
        "time": head.time,
        "commit": head.commit,
        "branch": head.branch,
        "dirty": head.dirty,
        "complete": head.complete,
        "quick": head.quick,
        **{name: getattr(record, name) for name in ("case", "name", "kind", "outcome", "bounds")},
        "experiment": record.experiment,
        **{name: None if value is None else str(value) for name, value in versions.items()},
        "committed": head.committed,
        "machine": saved.machine,
        "path": str(saved.path),
    }


def _typed(name: str, column: pd.Series) -> Any:
    if name in TIMES:
        return pd.to_datetime(column, utc=True, errors="coerce", format="ISO8601")
    if name in FLAGS:
        return column.astype(bool)
    return column.astype("Int64") if name == "number" else pd.Categorical(column)


def _rows(record: Numbers, codes: dict[str, dict[str, int]]) -> dict[str, Any]:
    """Return a record's columns that differ by value; texts as codes, new ones of which are added."""
    count, metrics, singles = len(record.seeds), record.metrics, record.singles
    one = np.full(len(singles), -1)
    return {
        "metric": np.concatenate(
            [np.repeat(_codes(codes["metric"], metrics), count), _codes(codes["metric"], singles)]
        ),
        "seed": np.concatenate([np.tile(record.seeds, len(metrics)), one + NO_SEED + 1]),
        "value": np.append(record.values, [*singles.values()]),
        **{
            name: np.concatenate(
                [np.tile(_codes(codes[name], texts or ("",) * count), len(metrics)), one]
            )
            for name, texts in (("regime", record.regimes), ("start", record.starts))
        },
    }


def _codes(known: dict[str, int], texts: Iterable[str]) -> Any:
    """Return a number for each text, -1 for an empty one."""
    return np.array([known.setdefault(t, len(known)) if t else -1 for t in texts], dtype=np.int64)


def _joined(arrays: Iterable[Any], kind: Any) -> Any:
    found: Sequence[Any] = list(arrays)
    return np.concatenate(found).astype(kind) if found else np.array([], dtype=kind)
