"""What changed, and since when: a case's metric over every saved run, cut into levels.

Runs are compared by seed, so only runs that can be paired belong together: where the versions, the
device, the initial weights or the experiment change, a stretch ends, and that is said. Within a stretch
the levels are found by `dlbench.history.changes`; over a change of versions alone, where the same
weights were trained, the levels on the two sides are compared as well.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from dlbench.errors import NotFoundError
from dlbench.history.changes import FALSE_ALARM, change_points, level_change, significant_cut
from dlbench.history.series import EXACT, Order, Series, describe, series_of, text_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import pandas as pd
    from numpy.typing import NDArray

    Array: TypeAlias = NDArray[np.float64]

DEFAULT_METRIC = "mean_log_loss"

LARGEST_LOG = 700.0
"""The exponential of a little more is no float."""

MARGINS = {"mean_log_loss": 0.01, "final_loss": 0.01, "steps_to_target": 0.05, "step_seconds": 0.05}
"""As the gate has them, as shares of a value."""
MARGIN, SHARE_MARGIN, EXACT_MARGIN = 0.02, 0.005, 0.5
"""Of other metrics; points of an accuracy; of counts, any change at all."""


@dataclass(frozen=True, slots=True)
class Change:
    """A run at which something begins: another level, or another stretch."""

    row: int
    """Of the trend's table."""
    where: str
    """The commit or version on which it falls."""
    level: bool
    """Whether the level changed: beyond chance and beyond the margin."""
    effect: float
    """Between the levels on both sides, of the same seeds; NaN where they cannot be paired. A share
    of the value where the trend is `relative`, else a difference."""
    why: tuple[str, ...] = ()
    """What else changed there, in words: versions, seeds, initial weights, experiment."""


@dataclass(frozen=True, slots=True, eq=False)
class Trend:
    """One metric of one record over saved runs."""

    case: str
    name: str | None
    metric: str
    relative: bool
    """Whether effects are shares of the value; else they are differences."""
    higher: bool | None
    """Whether a higher value is better, where that is known."""
    table: pd.DataFrame
    """A row a run, in order: what the frame says of it, `seeds`, `median`, `low` and `high` (the
    quartiles over seeds), `level` (from 0; -1 for a run under --dlbench-quick beside whole ones)."""
    changes: tuple[Change, ...]


def trends(
    frame: pd.DataFrame, metrics: Sequence[str] = (), *, by: Order = "time"
) -> Iterator[Trend]:
    """Yield the trend of each record and metric in a frame.

    Args:
        frame: what `dlbench.history.load` returned.
        metrics: their names; by default the training loss over the run, else what a case has.
        by: in which order the runs stand, and what a change is named by.

    Raises:
        NotFoundError: no case has a metric of that name.
    """
    known = list(frame["metric"].cat.categories) if len(frame) else []
    if known and (unknown := [name for name in metrics if name not in known]):
        raise NotFoundError(f"no metric {', '.join(unknown)}; the runs have {', '.join(known)}")
    keys = [frame["case"].cat.codes.to_numpy(), frame["name"].cat.codes.to_numpy()]
    for _, part in frame.groupby(keys, sort=False):
        case, name = part["case"].iloc[0], text_of(part["name"].iloc[0], "")
        codes = part["metric"].cat.codes.to_numpy()
        places = {known[code]: code for code in dict.fromkeys(codes.tolist())}
        first = next(one for one in (DEFAULT_METRIC, *EXACT, *places) if one in places)
        for metric in metrics or (first,):
            if metric in places:
                yield trend(part[codes == places[metric]], case, name or None, by=by)


def trend(frame: pd.DataFrame, case: str, name: str | None, *, by: Order = "time") -> Trend:
    """Return the trend in the rows of one record and one metric.

    Args:
        frame: rows of `dlbench.history.load`.
        case: the test's id.
        name: what tells the test's records apart.
        by: in which order the runs stand, and what a change is named by.
    """
    series = series_of(frame, by)
    quick = series.table["quick"].to_numpy()
    kept = [row for row in range(len(quick)) if not quick[row] or quick.all()]
    changes = [
        Change(kept[one.row], one.where, one.level, one.effect, one.why)
        for one in _changes(series.take(kept), by)
    ]
    levels = np.full(len(quick), -1)
    levels[kept] = np.searchsorted([one.row for one in changes], kept, side="right")
    table = series.table.assign(level=levels)
    return Trend(case, name, series.metric, series.relative, series.higher, table, tuple(changes))


def _changes(series: Series, by: Order) -> list[Change]:
    """Return where stretches and levels begin."""
    values, margin = series.scaled(), _margin(series)
    breaks = series.breaks()
    ends = [0, *breaks, len(values)]
    # Half of the error rate for the stretches, by their length; half for what lies between them.
    alpha = FALSE_ALARM / (2 if breaks else 1)
    cuts: list[int] = []
    for start, stop in pairwise(ends):
        part = _known(values[start:stop])
        share = alpha * (stop - start) / len(values)
        if series.metric in EXACT:
            cuts += [
                start + row for row in range(1, len(part)) if (part[row] != part[row - 1]).any()
            ]
        else:
            cuts += [start + cut for cut in change_points(part, margin, alpha=share)]
    starts = sorted({0, *breaks, *cuts, len(values)})
    found = []
    for before, row, after in zip(starts, starts[1:], starts[2:], strict=False):
        part = _known(values[before:after])
        place = row - before
        effect, level = math.nan, row not in breaks
        if series.is_paired(row):
            effect = level_change(part[:place], part[place:])
        if row in breaks and abs(effect) >= margin:  # not where it is NaN
            rng = np.random.default_rng(0)
            exact = series.metric in EXACT
            level = exact or significant_cut(part, alpha / len(breaks), rng, place) is not None
        if series.relative and abs(effect) < LARGEST_LOG:  # neither NaN nor infinite
            effect = math.expm1(effect)
        why = series.apart(row) if row in breaks else ()
        found.append(Change(row, describe(series.table.iloc[row], by), level, effect, why))
    return found


def _margin(series: Series) -> float:
    if series.metric in EXACT:
        return EXACT_MARGIN
    margin = MARGINS.get(series.metric, SHARE_MARGIN if series.is_share else MARGIN)
    return math.log1p(margin) if series.relative else margin


def _known(values: Array) -> Array:
    """Return the columns of the seeds that these runs have."""
    return values[:, ~np.isnan(values).all(axis=0)]
