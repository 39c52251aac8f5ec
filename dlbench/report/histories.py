"""A history in words: a line a run, what changed where, in the texts that tables and figures share."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from dlbench.gate.entry import key_of
from dlbench.history.loading import SINGLE
from dlbench.history.series import text_of
from dlbench.report.formatting import MINUS, TO, UNKNOWN, counted, number, seconds

if TYPE_CHECKING:
    from dlbench.history.series import Order
    from dlbench.history.trend import Change, Trend

RED = frozenset({"failed", "error", "interrupted"})

SHOWN = (
    *("run", "number", "time", "commit", "dirty", "complete", "quick", "outcome", "bounds"),
    *("seeds", "median", "low", "high"),
)
"""The columns of a trend's table that a line tells of."""

LEGEND = (
    "value: the median over seeds, and the quartiles. changed: the level differs by more than the margin "
    "and more than chance, which is mistaken in 1 of 100 histories without change. A new stretch begins "
    "where versions, device, seeds, initial weights or the experiment change."
)


def rows_of(trend: Trend, by: Order) -> list[dict[str, str]]:
    """Return a line a run, as texts by column; names in them are data and still to be escaped."""
    changes = {change.row: change for change in trend.changes}
    same_seeds = trend.table["seeds"].nunique() == 1
    other: list[str] = [] if by in {"time", "commit"} else [by]
    table = trend.table[[*SHOWN, *other]]
    table = table.assign(time=table["time"].dt.strftime("%Y-%m-%d %H:%M"))
    rows = []
    names = list(table)
    columns = [table[name].tolist() for name in names]
    for place, values in enumerate(zip(*columns, strict=True)):
        run = dict(zip(names, values, strict=True))
        change = changes.get(place)
        rows.append(
            {
                "run": run_name(run),
                "time": UNKNOWN if run["time"] != run["time"] else run["time"],
                **{name: text_of(run[name]) for name in other},
                "commit": commit_name(run),
                **({} if same_seeds else {"seeds": str(run["seeds"])}),
                "value": value_text(run["median"], trend.metric),
                "quartiles": _quartiles(run, trend.metric),
                "": "; ".join([*([] if change is None else notes(change, trend)), *marks(run)]),
            }
        )
    return rows


def title_of(trend: Trend) -> str:
    """Return a trend's title: the case, the record's name, the metric, how many seeds."""
    counts = set(trend.table["seeds"])
    seeds = f", {counted(counts.pop(), 'seed')}" if len(counts) == 1 else ""
    alone = trend.metric in SINGLE
    return f"{case_name(trend)}: {trend.metric}{'' if alone else seeds}"


def case_name(trend: Trend) -> str:
    """Return the test's id without its folders, and the record's name where it has one."""
    return key_of(trend.case, None) + (f" ({trend.name})" if trend.name else "")


def run_name(run: Any) -> str:
    """Return a run's number, or the name of its file where it has none."""
    count = text_of(run["number"])
    return f"{int(count):04}" if count.isdigit() else str(run["run"])


def commit_name(run: Any) -> str:
    """Return a run's commit, cut short; a plus stands for changes that were not committed."""
    commit = text_of(run["commit"])
    return UNKNOWN if commit == "none" else commit[:10] + ("+" if run["dirty"] else "")


def marks(run: Any) -> list[str]:
    """Return what is not as it should be with a run, a word each."""
    told = {
        str(run["outcome"]): run["outcome"] in RED,
        "partial": not run["complete"],
        "dirty": run["dirty"],
        "quick": run["quick"],
        "bounds off": run["bounds"] == "off" and not run["quick"],
    }
    return [word for word, holds in told.items() if holds]


def notes(change: Change, trend: Trend) -> list[str]:
    """Return what begins at a run, in words."""
    told = list(change.why)
    if math.isnan(change.effect):
        return told
    effect = effect_text(change.effect, relative=trend.relative)
    if change.level:
        told.append(f"changed {effect}{verdict(change, trend)}")
    elif told:
        told.append(f"same level ({effect})")
    return told


def verdict(change: Change, trend: Trend) -> str:
    """Return whether a change is for the worse, where the metric's direction is known."""
    if trend.higher is None or math.isnan(change.effect):
        return ""
    return ", better" if (change.effect > 0) == trend.higher else ", worse"


def effect_text(effect: float, *, relative: bool) -> str:
    """Return by how much a level changed: a share of it, or a difference in the metric's own unit.

    >>> effect_text(0.0512, relative=True), effect_text(-0.0123, relative=False)
    ('+5.12 %', '\N{MINUS SIGN}0.0123')
    """
    if math.isinf(effect):
        return "to what is not finite" if effect > 0 else "from what is not finite"
    sign = "+" if effect >= 0 else MINUS
    return f"{sign}{100 * abs(effect):.3g} %" if relative else f"{sign}{number(abs(effect))}"


def value_text(value: float, metric: str) -> str:
    """Return a metric's value; what is not finite by its name."""
    if math.isinf(value):
        return "never" if metric == "steps_to_target" else "\N{INFINITY}"
    return seconds(value) if metric == "step_seconds" else number(value)


def _quartiles(run: Any, metric: str) -> str:
    if run["seeds"] < 2 or run["low"] == run["high"]:  # noqa: PLR2004 - one value has no spread
        return ""
    return f"{value_text(run['low'], metric)} {TO} {value_text(run['high'], metric)}"


def overview_of(trend: Trend) -> dict[str, str]:
    """Return one line for a whole trend: the last value, and the last level's change."""
    levels = [change for change in trend.changes if change.level]
    last = trend.table.iloc[-1]
    told = ""
    if levels:
        change = levels[-1]
        effect = effect_text(change.effect, relative=trend.relative)
        told = f"{effect}{verdict(change, trend)}: {change.where}"
    more = f" (and {len(levels) - 1} before)" if len(levels) > 1 else ""
    return {
        "case": case_name(trend),
        "metric": trend.metric,
        "runs": str(len(trend.table)),
        "last": value_text(last["median"], trend.metric),
        "last change": told + more,
    }
