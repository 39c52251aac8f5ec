"""One metric of one record over saved runs, as a table and an array, in an order."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, get_args

import numpy as np
import pandas as pd

from dlbench.history.frame import BY_VALUE, VERSIONS
from dlbench.metrics import higher_is_better

if TYPE_CHECKING:
    from collections.abc import Hashable

    from numpy.typing import NDArray

    Array: TypeAlias = NDArray[np.float64]

Order = Literal["time", "commit", "keras", "torch", "python"]
ORDERS: tuple[Order, ...] = get_args(Order)

LOGS = frozenset({"mean_log_loss"})
"""Metrics that are logarithms already."""
EXACT = frozenset({"parameters"})
"""Metrics without noise."""

ARROW = "\N{RIGHTWARDS ARROW}"


@dataclass(frozen=True, slots=True, eq=False)
class Series:
    """A metric over runs."""

    metric: str
    table: pd.DataFrame
    """A row a run: what the frame says of it, `seeds`, `median`, `low` and `high`, the quartiles."""
    values: Array
    """Shape `(runs, seeds)`; NaN for a seed that a run lacks, `inf` for what was not finite."""
    seeds: tuple[Hashable, ...]
    """By run, the seeds that it has."""
    starts: tuple[Hashable, ...]
    """By run, the digests of the initial weights, in the order of the seeds."""

    @property
    def higher(self) -> bool | None:
        """Whether a higher value is better, where that is known."""
        return direction(self.metric)

    @property
    def is_share(self) -> bool:
        """Whether values lie between 0 and 1 as an accuracy's do: they differ in points then."""
        known = self.values[np.isfinite(self.values)]
        bounded = bool(known.size) and known.min() >= 0 and known.max() <= 1
        return bounded and (self.higher is True or self.metric == "oscillation")

    @property
    def relative(self) -> bool:
        """Whether two values differ by a share of each other; else by a difference."""
        known = self.values[~np.isnan(self.values)]
        return not (self.is_share or self.metric in EXACT) and (
            self.metric in LOGS or bool((known > 0).all())
        )

    def scaled(self) -> Array:
        """Return the values on the scale on which levels differ: logarithms, or as they are."""
        if self.relative and self.metric not in LOGS:
            return np.log(self.values)
        if self.higher:  # what was not finite is the worst
            return np.where(np.isposinf(self.values), -np.inf, self.values)
        return self.values

    def apart(self, row: int) -> tuple[str, ...]:
        """Return in words why a run cannot stand in one stretch with the one before it."""
        before, after = self.table.iloc[row - 1], self.table.iloc[row]
        why = [
            f"{name} {text_of(before[name])} {ARROW} {text_of(after[name])}"
            for name in VERSIONS
            if text_of(before[name]) != text_of(after[name])
        ]
        if text_of(before["experiment"]) != text_of(after["experiment"]):
            why.append("another experiment")
        if self.seeds[row - 1] != self.seeds[row]:
            why.append("other seeds")
        elif self.starts[row - 1] != self.starts[row]:
            why.append("other initial weights")
        return tuple(why)

    def breaks(self) -> list[int]:
        """Return the runs that cannot stand in one stretch with the one before them."""
        texts = self.table[[*VERSIONS, "experiment"]].astype(object).fillna(text_of(None))
        keys = [pd.factorize(texts[name])[0] for name in texts]
        rows = list(zip(*keys, self.seeds, self.starts, strict=True))
        return [row for row in range(1, len(rows)) if rows[row] != rows[row - 1]]

    def is_paired(self, row: int) -> bool:
        """Whether a run trained the same experiment from the same weights as the one before it."""
        texts = self.table["experiment"].iloc[[row - 1, row]].map(text_of)
        return (
            self.seeds[row - 1] == self.seeds[row]
            and self.starts[row - 1] == self.starts[row]
            and texts.iloc[0] == texts.iloc[1]
        )

    def take(self, rows: list[int]) -> Series:
        """Return the series of some of the runs."""
        return Series(
            self.metric,
            self.table.iloc[rows].reset_index(drop=True),
            self.values[rows],
            tuple(self.seeds[row] for row in rows),
            tuple(self.starts[row] for row in rows),
        )


def series_of(frame: pd.DataFrame, by: Order = "time") -> Series:
    """Return the series in the rows of one record and one metric.

    Args:
        frame: rows of `dlbench.history.load`, the oldest run first, those of a run together.
        by: the order: of runs in time, of their commits, or of versions and then time.
    """
    paths = frame["path"].cat.codes.to_numpy()
    firsts = np.flatnonzero(np.diff(paths, prepend=-1))
    table = frame.iloc[firsts].drop(columns=list(BY_VALUE)).reset_index(drop=True)
    lengths = np.diff(firsts, append=len(paths))
    runs = np.repeat(np.arange(len(firsts)), lengths)
    seeds, columns = np.unique(
        frame["seed"].to_numpy(dtype=np.int64, na_value=-1), return_inverse=True
    )
    values = np.full((len(firsts), len(seeds)), np.nan)
    numbers = frame["value"].to_numpy()
    values[runs, columns] = np.where(np.isnan(numbers), np.inf, numbers)
    starts = frame["start"].cat.codes.to_numpy()
    spans = list(zip(firsts, firsts + lengths, strict=True))
    table = table.assign(**_spreads(values))
    order = _order(table, by)
    whole = Series(
        str(frame["metric"].iloc[0]),
        table,
        values,
        tuple(columns[slice(*span)].tobytes() for span in spans),
        tuple(starts[slice(*span)].tobytes() for span in spans),
    )
    return whole.take(order)


def direction(metric: str) -> bool | None:
    """Return whether a higher value of a metric is better; None where nobody can tell."""
    if metric in EXACT:
        return None
    timed = metric in {"steps_to_target", "step_seconds", "oscillation"}
    return False if timed else higher_is_better(metric)


def text_of(value: object, missing: str = "none") -> str:
    """Return a value of a table as a text; `missing` where there is none."""
    return missing if value is None or value is pd.NA or value != value else str(value)  # noqa: PLR0124 - NaN


def _spreads(values: Array) -> dict[str, NDArray[Any]]:
    """Return how many values each row has, their median and quartiles; `inf` counts by its rank."""
    ordered = np.sort(values, axis=1)  # NaN, which stands for a seed that is not there, comes last
    counts = (~np.isnan(values)).sum(axis=1)
    last = counts - 1
    rows = np.arange(len(values))
    first, second = ordered[rows, last // 2], ordered[rows, counts // 2]
    return {
        "seeds": counts,
        "median": np.where(first == second, first, first / 2 + second / 2),
        "low": ordered[rows, last // 4],
        "high": ordered[rows, last - last // 4],
    }


def _order(table: pd.DataFrame, by: Order) -> list[int]:
    """Return the rows in order: what is equal as it stands, the oldest run first."""
    if by == "time":
        return list(range(len(table)))
    if by == "commit":
        keys = table["committed"]
    else:
        versions = [_version(text_of(value)) for value in table[by]]
        keys = pd.Series(versions, dtype=object)
    ordered = keys.sort_values(kind="stable", na_position="first")
    return [int(row) for row in ordered.index]


def _version(text: str) -> tuple[int, ...]:
    """Return a version's numbers, so that 2.10 stands behind 2.9."""
    return tuple(int(number) for number in re.findall(r"\d{1,9}", text)[:4])


def describe(row: Any, by: Order, digits: int = 10) -> str:
    """Return what a run is named by where a change falls on it: its commit, or a version."""
    if by not in {"time", "commit"}:
        return f"{by} {text_of(row[by])}"
    commit = text_of(row["commit"])
    return f"run {row['run']}" if commit == "none" else f"commit {commit[:digits]}"
