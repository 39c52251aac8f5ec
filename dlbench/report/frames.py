"""Records as tidy frames: a row a case, a row a seed, a row a point of a curve, a row a layer.

Every frame has the column `record`: the record's place in the list it came from.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from dlbench.errors import RecordError
from dlbench.gate.recorded import verdict_in
from dlbench.gate.wording import cell
from dlbench.parameters.table import ParameterTable
from dlbench.report.study import Bound
from dlbench.runs import Runs

if TYPE_CHECKING:
    from dlbench.gate.verdict import Verdict
    from dlbench.history.record import Record
    from dlbench.plain import Plain

CASE_COLUMNS = (
    "record",
    "case",
    "name",
    "module",
    "test",
    "kind",
    "outcome",
    "message",
    "bounds",
    "verdict",
    "degree",
    "seeds",
    "workload",
    "optimizer",
    "learning_rate",
    "batch_size",
    "updates_per_epoch",
    "steps",
    "target_metric",
    "target",
    "constant_loss",
    "loss_name",
    "loss_unit",
    "timed",
    "step_seconds",
    "samples_per_second",
    "duration",
    "asserted",
)
CURVE_COLUMNS = ("record", "seed", "metric", "step", "epoch", "seconds", "value")

LOSS_UNITS = {
    "crossentropy": "nats",
    "meansquarederror": "mean squared error",
    "meanabsoluteerror": "mean absolute error",
}
"""By a part of the loss' name in Keras: what its values are."""

PER_SEED_NUMBERS = ("steps_to_target", "mean_log_loss", "oscillation")


def case_frame(records: Sequence[Record]) -> pd.DataFrame:
    """Return a row a record: what was trained and asserted, how its test ended, what a step takes.

    Seconds are a training step's; a number that a record does not have is NaN, a text is empty.
    """
    rows = [_case(position, record) for position, record in enumerate(records)]
    frame = pd.DataFrame(rows, columns=list(CASE_COLUMNS))
    numeric = ["learning_rate", "batch_size", "updates_per_epoch", "steps", "target"]
    numeric += ["constant_loss", "step_seconds", "samples_per_second", "duration"]
    texts = ["name", "message"]
    frame[texts] = frame[texts].astype(object).where(frame[texts].notna(), "")
    frame[numeric] = frame[numeric].apply(pd.to_numeric, errors="coerce").astype(float)
    return frame


def seed_frame(records: Sequence[Record]) -> pd.DataFrame:
    """Return a row a record and seed: the numbers people compare.

    Columns: record, seed, regime, `final_…`, steps_to_target (`inf` where never, NaN without a
    target), mean_log_loss, oscillation.
    """
    frames = [
        _seeds(position, record["metrics"], record["runs"])
        for position, record in enumerate(records)
        if record["metrics"]
    ]
    if not frames:
        return pd.DataFrame(columns=["record", "seed", "regime", *PER_SEED_NUMBERS])
    frame = pd.concat(frames, ignore_index=True)
    for name in PER_SEED_NUMBERS:
        if name not in frame:
            frame[name] = np.nan
    return frame


def curve_frame(records: Sequence[Record]) -> pd.DataFrame:
    """Return a row a record, metric, seed and point.

    Columns: record, seed, metric, step (optimizer updates), epoch, seconds (of training steps;
    NaN where not timed), value (NaN from where the run diverged).
    """
    frames = []
    for position, record in enumerate(records):
        runs = runs_of(record)
        if runs is None:
            continue
        case = _case(position, record)
        frame = runs.to_frame()
        frame["record"] = position
        frame["epoch"] = frame["step"] / (case["updates_per_epoch"] or np.nan)
        frame["seconds"] = frame["step"] * (case["step_seconds"] or np.nan)
        frames.append(frame[list(CURVE_COLUMNS)])
    if not frames:
        return pd.DataFrame(columns=list(CURVE_COLUMNS))
    return pd.concat(frames, ignore_index=True)


def layer_frame(records: Sequence[Record]) -> pd.DataFrame:
    """Return a row a record and layer: weights, biases, buffers, formula, multiply-accumulates."""
    frames = []
    for position, record in enumerate(records):
        table = table_of(record)
        if table is not None:
            frame = table.to_frame().rename(columns={"layer": "class", "name": "layer"})
            frame.insert(0, "record", position)
            frames.append(frame)
    return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame(columns=["record"])


def total_frame(records: Sequence[Record]) -> pd.DataFrame:
    """Return a row a record that counted a model: each of its totals by name."""
    rows = [
        {"record": position, "model": table.name, "layers": len(table.rows), **table.totals()}
        for position, record in enumerate(records)
        if (table := table_of(record)) is not None
    ]
    return pd.DataFrame(rows) if rows else pd.DataFrame(columns=["record"])


def table_of(record: Record) -> ParameterTable | None:
    """Return a record's parameter table; None where it has none, or where it cannot be read."""
    if record["parameters"] is None:
        return None
    try:
        return ParameterTable.from_builtins(record["parameters"])
    except RecordError:
        return None


def runs_of(record: Record) -> Runs | None:
    """Return a record's runs; None where it has none, or where they cannot be read."""
    if record["runs"] is None:
        return None
    try:
        return Runs.from_builtins(record["runs"])
    except RecordError:
        return None


def verdict_of(record: Record) -> Verdict | None:
    """Return the verdict on a record; None where it has none, or where it cannot be read."""
    try:
        return verdict_in(record)
    except RecordError:
        return None


def bounds_of(record: Record) -> tuple[Bound, ...]:
    """Return the bounds that a record's test asserts; those that cannot be read are left out."""
    return tuple(
        Bound(**{name: item[name] for name in Bound.__slots__})
        for item in _sequence(record.get("asserted"))
        if isinstance(item, Mapping) and _fits(item)
    )


def _fits(item: Mapping[str, Any]) -> bool:
    """Return whether an item of a record's `asserted` is one."""
    texts = ("summary", "metric", "statistic", "comparison")
    return (
        all(isinstance(item.get(name), str) for name in texts)
        and item["comparison"] in {"<", "<=", ">", ">=", "=="}
        and _is_number(item.get("bound"))
        and all(
            item.get(name, "") is None or _is_number(item.get(name)) for name in ("at", "measured")
        )
        and isinstance(item.get("held"), bool)
    )


def _is_number(value: object) -> bool:
    """Return whether a value is a finite number that a float can hold."""
    try:
        return type(value) in {int, float} and math.isfinite(value)  # type: ignore[arg-type]
    except OverflowError:
        return False


def unreadable(record: Record) -> str:
    """Return why a record's runs or parameters cannot be read; empty where they can."""
    try:
        if record["runs"] is not None:
            Runs.from_builtins(record["runs"])
        if record["parameters"] is not None:
            ParameterTable.from_builtins(record["parameters"])
    except RecordError as error:
        return str(error)
    return ""


def _case(position: int, record: Record) -> dict[str, Any]:
    runs = record["runs"] or {}
    experiment = _mapping(runs.get("experiment"))
    optimizer = _mapping(experiment.get("optimizer"))
    target = _mapping(experiment.get("target"))
    timing = record["timing"]
    stepwise = timing is not None and timing["what"] == "train_on_batch"
    readable, verdict = runs_of(record), verdict_of(record)
    return {
        **{name: record[name] for name in CASE_COLUMNS if name in record},  # type: ignore[literal-required]
        "record": position,
        "verdict": cell(verdict) if verdict else "",
        "degree": verdict.degree if verdict else "",
        "seeds": len(_sequence(runs.get("seeds"))),
        "workload": _text(experiment.get("workload")),
        "optimizer": _text(optimizer.get("class")),
        "learning_rate": optimizer.get("learning_rate"),
        "batch_size": experiment.get("batch_size"),
        "updates_per_epoch": experiment.get("updates_per_epoch"),
        "steps": float(readable.points[-1]) if readable else None,
        "target_metric": _text(target.get("metric")),
        "target": target.get("value"),
        "constant_loss": runs.get("constant_loss"),
        "loss_name": _loss_name(readable),
        "loss_unit": _unit(_text(experiment.get("loss"))),
        "timed": timing["seconds"] if timing else None,
        "step_seconds": timing["seconds"] if timing and stepwise else None,
        "samples_per_second": timing["samples_per_second"] if timing else None,
        "duration": record["duration"],
        "asserted": bounds_of(record),
    }


def _unit(loss: str) -> str:
    plain = loss.lower().replace("_", "")
    return next((unit for name, unit in LOSS_UNITS.items() if name in plain), "")


def _loss_name(runs: Runs | None) -> str | None:
    try:
        return runs.loss_name if runs else None
    except ValueError:  # no curve that is better lower
        return None


def _seeds(
    position: int, metrics: Mapping[str, Plain], runs: Mapping[str, Plain] | None
) -> pd.DataFrame:
    columns = {name: list(values) for name, values in metrics.items() if isinstance(values, list)}
    count = max(map(len, columns.values()), default=0)
    seeds = _sequence((runs or {}).get("seeds"))
    frame = pd.DataFrame(
        {
            "record": position,
            "seed": list(seeds) if len(seeds) == count else list(range(count)),
            "regime": columns.pop("regime", ["unknown"] * count),
        }
    )
    for name, values in columns.items():
        if len(values) == count:
            frame[name] = pd.to_numeric(pd.Series(values, dtype=object), errors="coerce")
            frame[name] = frame[name].astype(float)
    if "steps_to_target" in frame:  # strict JSON has no word for infinity
        frame["steps_to_target"] = frame["steps_to_target"].fillna(np.inf)
    return frame


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _sequence(value: object) -> Sequence[Any]:
    return value if isinstance(value, Sequence) and not isinstance(value, str) else ()


def _text(value: object) -> str:
    return "" if value is None else str(value)
