"""What the gate compares of one case: a number a seed for each metric, and what says they pair."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from dlbench.metrics import loss_floor, mean_log_loss
from dlbench.runs import Runs

if TYPE_CHECKING:
    from dlbench.history.record import Kind, Record
    from dlbench.plain import Plain

DIGEST_LENGTH = 8
"""Hexadecimal digits kept of each digest: they tell versions of one seed apart, not all seeds."""

TRAINING_LOSS = "training_loss"
"""The training loss over the run; every other value is named after its curve."""

STEPS_TO_TARGET = "steps_to_target"
PROBE = "probe_"
"""What the names of curves begin with that are no metrics."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One case, reduced to what is compared; by seed, aligned with `seeds`, wherever a tuple.

    A fresh record and an accepted one have the same form, so that either can stand on either side.
    """

    key: str
    """The test's id from its file on, with the call's name where it has one."""
    module: str
    """The path of the test's file, from the root folder on."""
    kind: Kind
    experiment: Mapping[str, Plain]
    """Every field of the experiment; empty for parameter counts alone."""
    seeds: tuple[int, ...] = ()
    regimes: tuple[str, ...] = ()
    points: int = 0
    """How many evaluation points the curves have."""
    budget: float = 0.0
    """Optimizer updates at the last point."""
    floor: float = 0.0
    """The floor under the losses, as `dlbench.metrics.mean_log_loss` takes it; 0 where the losses
    are taken as they are and not in log, because they may be 0 or less."""
    values: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    """`training_loss` (the mean over points of log loss), the last value of each validation curve
    by its name, and `steps_to_target` (`inf` where never); NaN or `inf` where a run diverged, and
    a training loss of NaN where a loss below 0 has no log."""
    higher_is_better: Mapping[str, bool] = field(default_factory=dict)
    """The direction of each validation curve, where it is known."""
    starts: tuple[str, ...] = ()
    """Digests of the initial weights; empty where they are not known."""
    orders: tuple[str, ...] = ()
    """Digests of the first epoch's order of data; empty where they are not known."""
    curves: tuple[str, ...] = ()
    """Digests of all curves as float32: equal ones mean identical runs."""
    parameters: Mapping[str, int] = field(default_factory=dict)
    """Exact counts by name: `total`, `trainable`, …"""
    environment: Mapping[str, Plain] = field(default_factory=dict)
    bounded: bool = True
    """Whether the test's own bounds were enforced."""
    yardstick: tuple[float, ...] = ()
    """Accepted only: by seed, how far rounding alone moved the training loss; see `verdict`."""
    repeats: bool | None = None
    """Accepted only, for loops of the user's own: whether a seed gave the same curves twice."""
    alpha: float | None = None
    """Accepted only: the false-alarm rate of each of the case's tests."""
    first: Mapping[str, float] = field(default_factory=dict)
    """Accepted only: each value's median when the case was first accepted, for the drift since."""


def entry_of(record: Record, *, floor: float | None = None) -> Entry:
    """Return what the gate compares of a record.

    Args:
        record: of any kind.
        floor: the floor of the entry that it will be compared with; by default its own; 0 to take
            the losses as they are.
    """
    identity: dict[str, Any] = {
        "key": key_of(record["case"], record["name"]),
        "module": record["module"],
        "kind": record["kind"],
        "environment": record["environment"],
        "bounded": record["bounds"] == "enforced",
    }
    if record["runs"] is None:
        counts = record["parameters"] or {}
        return Entry(**identity, experiment={}, parameters=_counts(counts))
    runs = Runs.from_builtins(record["runs"])
    losses = runs.curves[runs.loss_name]
    floor = loss_floor(losses) if floor is None else floor
    validation = [name for name in runs.curves if name.startswith("val_")]
    values = {TRAINING_LOSS: _floats(over_the_run(losses, floor))}
    values |= {name: _floats(runs.final(name)) for name in validation}
    steps = runs.steps_to_target()
    if steps is not None:
        values[STEPS_TO_TARGET] = _floats(steps)
    return Entry(
        **identity,
        experiment=runs.experiment,
        seeds=runs.seeds,
        regimes=tuple(runs.regimes),
        points=len(runs.points),
        budget=float(runs.points[-1]),
        floor=floor,
        values=values,
        higher_is_better={
            name: known for name in validation if (known := runs.direction(name)) is not None
        },
        starts=tuple(digest[:DIGEST_LENGTH] for digest in runs.starts),
        orders=tuple(digest[:DIGEST_LENGTH] for digest in runs.orders),
        curves=_digests(runs),
        parameters=_model_counts(runs.experiment),
    )


def key_of(case: str, name: str | None) -> str:
    """Return a case's key: `test_sgd.py::test_rate[0.1]`, then ` name=…` where the call has one.

    Args:
        case: the test's id, from the root folder on.
        name: what tells the records of one test apart.
    """
    path, separator, rest = case.partition("::")
    key = path.rsplit("/", 1)[-1] + separator + rest
    return f"{key} name={name}" if name is not None else key


def over_the_run(losses: np.ndarray, floor: float) -> np.ndarray:
    """Return each run's training loss over the run, as an entry with this floor has it.

    Args:
        losses: shape `(seeds, points)`.
        floor: the entry's; 0 for losses that are not taken in log.
    """
    if floor > 0:
        negative = (np.isfinite(losses).all(axis=1)) & (losses < 0).any(axis=1)
        return np.where(negative, np.nan, mean_log_loss(losses, floor))
    trained = losses[:, 1:] if losses.shape[1] > 1 else losses
    return np.where(np.isfinite(trained).all(axis=1), trained.mean(axis=1), np.inf)


def _floats(values: Any) -> tuple[float, ...]:
    return tuple(float(value) for value in values)


def _digests(runs: Runs) -> tuple[str, ...]:
    # What a probe reads changes no run: a case with one more is still the same.
    names = sorted(name for name in runs.curves if not name.startswith(PROBE))
    rows = np.stack([runs.curves[name] for name in names], axis=1).astype("<f4")
    return tuple(
        hashlib.blake2b(row.tobytes(), digest_size=DIGEST_LENGTH // 2).hexdigest() for row in rows
    )


def _counts(table: Mapping[str, Any]) -> dict[str, int]:
    return {name: count for name, count in table.items() if type(count) is int}


def _model_counts(experiment: Mapping[str, Plain]) -> dict[str, int]:
    model = experiment.get("model")
    return _counts(model) if isinstance(model, Mapping) else {}
