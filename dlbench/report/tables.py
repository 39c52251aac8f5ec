"""The tables of a study: a row a case, as texts with what they sort by."""

from __future__ import annotations

import math
import shlex
from typing import TYPE_CHECKING, Any, NotRequired, TypedDict

import numpy as np

from dlbench.gate.verdict import LOUD, SEVERITY
from dlbench.metrics import REGIMES
from dlbench.plain import digest
from dlbench.report import words
from dlbench.report.formatting import (
    MINUS,
    UNKNOWN,
    humanized,
    number,
    seconds,
    setting,
    size,
    whole,
)
from dlbench.report.spreads import Spread, spread

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    import pandas as pd

    from dlbench.report.study import Bound, Study

MOST_LAYERS = 60
"""Of a deeper model the largest layers are listed; the CSV file has all."""


_COMPARED = {"<": "<", "<=": "≤", ">": ">", ">=": "≥", "==": "="}
_BECAME = {"slow": "were slow"}

_BADNESS: dict[str, int] = {regime: place for place, regime in enumerate(reversed(REGIMES))}


class Cell(TypedDict):
    """One cell: what is read, and what it sorts by."""

    text: str
    sort: float | str
    note: NotRequired[str]
    """What stands below it, smaller."""
    is_outcome: NotRequired[bool]


class Column(TypedDict):
    """One column's head."""

    title: str
    numeric: bool


class Inner(TypedDict):
    """A table within a row: a case's seeds, or a model's layers."""

    caption: str
    columns: list[str]
    rows: list[list[str]]


class Row(TypedDict):
    """One case."""

    anchor: str
    case: str
    outcome: str
    verdict: str
    """Against the baseline, where a person should look at it; else empty."""
    message: str
    cells: list[Cell]
    command: str
    asserted: list[str]
    """What the test asserts of it, and what was measured."""
    inner: Inner | None


class Table(TypedDict):
    """One study's cases."""

    caption: str
    columns: list[Column]
    rows: list[Row]


def table(study: Study) -> Table:
    """Return the table of a study's cases."""
    ids = anchors(study)
    columns = [*_factor_columns(study), Column(title="outcome", numeric=False)]
    columns += [Column(title="verdict", numeric=False)] if _judged(study) else []
    columns += _count_columns() if study.counts_models else _training_columns(study)
    return {
        "caption": _caption(study),
        "columns": columns,
        "rows": [_row(study, row, ids[row["record"]]) for _, row in study.cases.iterrows()],
    }


def anchor(case: str, name: str | None, repetition: int = 1) -> str:
    """Return the id of a case's row, harmless whatever the test is called."""
    return f"case-{digest([case, name, repetition])[:10]}"


def anchors(study: Study) -> dict[int, str]:
    """Return each case's anchor by its record; cases of one id are counted."""
    seen: dict[tuple[str, str | None], int] = {}
    result = {}
    for _, row in study.cases.sort_values("record").iterrows():
        key = (str(row["case"]), row["name"])
        seen[key] = seen.get(key, 0) + 1
        result[int(row["record"])] = anchor(*key, seen[key])
    return result


def _judged(study: Study) -> bool:
    """Return whether any case was compared with a baseline."""
    return bool((study.cases["degree"] != "").any())


# ---- columns


def _factor_columns(study: Study) -> list[Column]:
    if not study.factors:
        return [{"title": "case", "numeric": False}]
    return [
        {"title": factor.title, "numeric": factor.numbers is not None}
        for factor in study.factors + study.following
    ]


def _training_columns(study: Study) -> list[Column]:
    titles = [f"final {humanized(name)}" for name in _finals(study)]
    if study.target:
        titles.append(f"{study.update}s to target")
    if study.cases["timed"].notna().any():
        stepwise = study.cases["timed"].isna() | study.cases["step_seconds"].notna()
        titles.append("time a step" if stepwise.all() else "time")
    return [Column(title="regime", numeric=False), *_numeric(titles)]


def _count_columns() -> list[Column]:
    titles = ("layers", "parameters", "trainable", "memory", "multiply-adds")
    return _numeric(titles)


def _numeric(titles: Iterable[str]) -> list[Column]:
    return [{"title": title, "numeric": True} for title in titles]


def _finals(study: Study) -> list[str]:
    return [name for name in study.shown if f"final_{name}" in study.seeds]


def _caption(study: Study) -> str:
    if study.counts_models:
        return f"{study.title}: what each model holds"
    most = study.cases["seeds"].max()
    if most <= 1:
        return f"{study.title}: each case, one seed"
    middle = spread([0.0] * int(study.cases["seeds"].min()))
    around = "the middle half (IQR)" if middle.name == "IQR" else "the range"
    return f"{study.title}: each case, the median over its seeds and, below, {around}"


# ---- rows


def _row(study: Study, row: pd.Series[Any], ident: str) -> Row:
    record = int(row["record"])
    cells = _factor_cells(study, row)
    cells.append({"text": str(row["outcome"]), "sort": str(row["outcome"]), "is_outcome": True})
    if _judged(study):
        severity = SEVERITY.index(row["degree"]) if row["degree"] else -1
        cells.append({"text": str(row["verdict"]) or UNKNOWN, "sort": float(severity)})
    cells += _count_cells(study, record) if study.counts_models else _training_cells(study, row)
    return {
        "anchor": ident,
        "case": str(row["case"]) + (f" ({row['name']})" if row["name"] else ""),
        "outcome": str(row["outcome"]),
        "verdict": str(row["verdict"]) if row["degree"] in LOUD else "",
        "message": str(row["message"]),
        "cells": cells,
        "command": f"pytest {shlex.quote(str(row['case']))}",
        "asserted": _asserted(study, record),
        "inner": _layer_table(study, record) if study.counts_models else _seed_table(study, record),
    }


def _factor_cells(study: Study, row: pd.Series[Any]) -> list[Cell]:
    if not study.factors:
        label = study.label(int(row["record"]))
        return [{"text": label, "sort": label}]
    cells: list[Cell] = []
    for factor in study.factors + study.following:
        level = str(row[factor.column])
        cells.append(
            {
                "text": level,
                "sort": level if factor.numbers is None else factor.number(level),
            }
        )
    return cells


def _training_cells(study: Study, row: pd.Series[Any]) -> list[Cell]:
    record = int(row["record"])
    seeds = study.of(record)
    counts = words.regime_counts(seeds)
    badness = sum(_BADNESS.get(regime, 0) * count for regime, count in counts.items())
    text = ", ".join(f"{count}\N{NO-BREAK SPACE}{regime}" for regime, count in counts.items())
    cells: list[Cell] = [{"text": text or UNKNOWN, "sort": badness / max(len(seeds), 1)}]
    for metric in _finals(study):
        values = spread(seeds[f"final_{metric}"], higher=study.higher(metric))
        cells.append(_spread_cell(values, number))
    if study.target:
        cells.append(_steps_cell(seeds))
    if study.cases["timed"].notna().any():
        cells.append({"text": seconds(row["timed"]), "sort": _sortable(row["timed"])})
    return cells


def _steps_cell(seeds: pd.DataFrame) -> Cell:
    steps = seeds["steps_to_target"]
    there = int(np.isfinite(steps).sum())
    middle = spread(steps)
    if not there:
        return {"text": "never", "sort": math.inf}
    cell = _spread_cell(spread(steps[np.isfinite(steps)]), whole)
    if there < len(steps):
        cell["text"] += f" ({there} of {len(steps)})"
    return cell | {"sort": middle.median}


def _spread_cell(values: Spread, write: Callable[[float], str]) -> Cell:
    return {
        "text": write(values.median),
        "note": values.around(write),
        "sort": _sortable(values.median),
    }


def _count_cells(study: Study, record: int) -> list[Cell]:
    found = study.totals[study.totals["record"] == record]
    if found.empty:
        return [{"text": UNKNOWN, "sort": -1.0}] * len(_count_columns())
    total = found.iloc[0]
    counts = [int(total[name]) for name in ("layers", "unique", "trainable")]
    cells: list[Cell] = [{"text": number(count), "sort": float(count)} for count in counts]
    cells.append({"text": size(int(total["bytes"])), "sort": float(total["bytes"])})
    cells.append({"text": number(int(total["macs"])), "sort": float(total["macs"])})
    return cells


def _seed_table(study: Study, record: int) -> Inner | None:
    seeds = study.of(record)
    if seeds.empty:
        return None
    columns = ["regime", *(f"final_{name}" for name in _finals(study))]
    columns += ["steps_to_target"] if study.target else []
    return {
        "caption": "by seed",
        "columns": ["seed", *(_title(study, column) for column in columns)],
        "rows": [
            [str(row["seed"]), *(_value(column, row[column]) for column in columns)]
            for _, row in seeds.iterrows()
        ],
    }


def _asserted(study: Study, record: int) -> list[str]:
    """Return a line a number that is bounded, with its bounds and what it is."""
    found: dict[object, list[Bound]] = {}
    for bound in study.asserted(record):
        found.setdefault(bound.quantity, []).append(bound)
    lines = []
    for bounds in found.values():
        first = bounds[0]
        text = " and ".join(f"{_COMPARED[one.comparison]} {_limit(one.bound)}" for one in bounds)
        write = whole if first.summary == "steps_to" else number
        measured = "never" if write is whole and first.measured is None else write(first.measured)
        held = "" if all(one.held for one in bounds) else ": it did not hold"
        lines.append(f"{_bounded(study, first)} {text}; measured {measured}{held}")
    return lines


def _limit(value: float) -> str:
    """Return what a test gives, with the digits it has, signed as what is measured."""
    text = number(value) if value == int(value) else setting(value)
    return text.replace("-", MINUS, 1) if value < 0 else text


def _bounded(study: Study, bound: Bound) -> str:
    """Return what a bound is on."""
    metric = humanized(bound.metric)
    what = {
        "final": f"final {metric}",
        "best": f"best {metric}",
        "at": f"{metric} after {whole(bound.at)} {study.update}s",
        "steps_to": f"{study.update}s to {metric} {setting(bound.at)}",
        "mean_log_loss": f"{metric} over the run (mean log)",
        "oscillation": f"oscillation of {metric}",
        "share": f"share of seeds that {_BECAME.get(bound.metric, bound.metric)}",
    }.get(bound.summary, bound.summary)
    return f"{bound.statistic} of {what}" if bound.statistic else what


def _layer_table(study: Study, record: int) -> Inner | None:
    if study.layers.empty:
        return None
    layers = study.layers[study.layers["record"] == record]
    shown = layers
    caption = "by layer"
    if len(layers) > MOST_LAYERS:
        largest = layers["parameters"].nlargest(MOST_LAYERS).index
        shown = layers.loc[sorted(largest)]
        caption = f"by layer, the {MOST_LAYERS} largest of {len(layers)}"
    return {
        "caption": caption,
        "columns": ["layer", "class", "formula", "weights", "biases", "buffers", "trainable"],
        "rows": [
            [
                *(str(row[name]) for name in ("layer", "class", "formula")),
                *(number(int(row[name])) for name in ("weights", "biases", "buffers", "trainable")),
            ]
            for _, row in shown.iterrows()
        ],
    }


def _title(study: Study, column: str) -> str:
    if column == "steps_to_target":
        return f"{study.update}s to target"
    name = column.removeprefix("final_")
    return f"final {humanized(name)}" if name != column else column


def _value(column: str, value: object) -> str:
    if not isinstance(value, float):
        return str(value)
    if column == "steps_to_target":
        return "never" if math.isinf(value) else whole(value)
    return number(value)


def _sortable(value: float) -> float:
    """Return what a number sorts by: what is not known, or never came, last."""
    return value if math.isfinite(value) else math.inf


def rows_in_need(tables: Sequence[Table]) -> list[Row]:
    """Return the rows of the cases that did not end as they should, or differ from the baseline."""
    in_need = {"failed", "error", "interrupted", "xpassed"}
    rows = [row for one in tables for row in one["rows"]]
    return [row for row in rows if row["outcome"] in in_need or row["verdict"]]
