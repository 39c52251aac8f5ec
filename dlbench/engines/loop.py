"""The engine for a training loop of the user's own, in any framework: one call a seed."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from dlbench.backend import seeded_generators
from dlbench.errors import ExperimentError
from dlbench.experiment import check_target
from dlbench.keras_objects import function_name
from dlbench.metrics import higher_is_better
from dlbench.plain import digest
from dlbench.runs import Runs

if TYPE_CHECKING:
    from dlbench.plain import Plain

Curves: TypeAlias = Mapping[str, Sequence[float]]
Train: TypeAlias = Callable[[int], Curves]

STEP = "step"
"""The key under which a loop may say after how many updates each value was read."""


def describe_loop(
    train: Train, *, workload: str | None = None, target: tuple[str, float] | None = None
) -> dict[str, Plain]:
    """Return what a record can say of a loop that it does not look into.

    Raises:
        ExperimentError: a target that is no metric and finite value.
    """
    checked = None if target is None else check_target(target)
    fields: dict[str, Plain] = {
        "workload": workload or getattr(train, "__name__", type(train).__name__),
        "loop": function_name(train),
        "target": {"metric": checked[0], "value": checked[1]} if checked else None,
    }
    return {"id": digest(fields), **fields}


def call_loop(train: Train, seed: int) -> dict[str, list[float]]:
    """Return the checked curves of one call of the user's loop, generators seeded before it.

    Args:
        train: takes the seed, returns a value a point for each metric, optionally with "step".
        seed: the run's seed.

    Raises:
        ExperimentError: no mapping, nothing in it, lengths that differ, or values that are no numbers.
    """
    with seeded_generators(seed):
        curves = train(seed)
    if not isinstance(curves, Mapping) or not set(curves) - {STEP}:
        got = "a dict without any" if isinstance(curves, Mapping) else type(curves).__name__
        raise ExperimentError(
            f'train(seed) must return a dict of curves, such as {{"loss": [2.3, 0.7, 0.4]}}, got {got}'
        )
    try:
        checked = {str(name): [float(value) for value in values] for name, values in curves.items()}
    except (TypeError, ValueError, OverflowError) as error:
        raise ExperimentError(f"a curve must be a sequence of numbers: {error}") from error
    lengths = {name: len(values) for name, values in checked.items()}
    if len(set(lengths.values())) > 1 or 0 in lengths.values():
        raise ExperimentError(f"curves must have equal lengths of at least 1, got {lengths}")
    return checked


def runs_of_loop(
    experiment: Mapping[str, Plain],
    curves_by_seed: Mapping[int, dict[str, list[float]]],
    directions: Mapping[str, str] | None = None,
) -> Runs:
    """Return the runs of a loop; every metric's direction is known or declared.

    A regime is read from a training loss, so there must be one.

    Args:
        experiment: from `describe_loop`.
        curves_by_seed: what `call_loop` returned.
        directions: "higher" or "lower" for metrics whose name does not tell.

    Raises:
        ExperimentError: seeds returned other metrics or other points, points do not rise, a
            direction is unknown, the target names no curve, or no curve is a loss.
    """
    longest = max(curves_by_seed.values(), key=_length)
    for seed, curves in curves_by_seed.items():
        _refuse_other_points(seed, curves, longest)
    names = [name for name in longest if name != STEP]
    length = _length(longest)
    declared = _directions(directions or {}, names)
    if all(declared.get(name, higher_is_better(name)) for name in names):
        raise ExperimentError(
            f"none of the curves {names} is better lower, and what became of a run is read from its "
            "loss: return the training loss too"
        )
    return Runs(
        experiment=experiment,
        seeds=tuple(curves_by_seed),
        points=np.array(longest.get(STEP, range(length)), dtype=float),
        curves={
            name: np.array(
                [
                    curves[name] + [math.nan] * (length - _length(curves))
                    for curves in curves_by_seed.values()
                ]
            )
            for name in names
        },
        higher_is_better=declared,
        engine="loop",
    )


def _length(curves: dict[str, list[float]]) -> int:
    return len(next(iter(curves.values())))


def _refuse_other_points(
    seed: int, curves: dict[str, list[float]], longest: dict[str, list[float]]
) -> None:
    """Only a run that diverged may be shorter than the others: it is NaN from there on."""
    length = _length(curves)
    same = curves.keys() == longest.keys() and (
        curves.get(STEP, []) == longest.get(STEP, [])[:length]
    )
    diverged = any(not math.isfinite(values[-1]) for values in curves.values())
    if not same or (length < _length(longest) and not diverged):
        raise ExperimentError(
            f"train({seed}) returned {length} points of {sorted(curves)}, another seed "
            f"{_length(longest)} of {sorted(longest)}: every seed must return the same metrics, "
            "read at the same steps (a run whose last value is not finite may end early)"
        )


def _directions(given: Mapping[str, str], names: Iterable[str]) -> dict[str, bool]:
    names = list(names)
    if wrong := {k: v for k, v in given.items() if k not in names or v not in {"higher", "lower"}}:
        raise ExperimentError(
            f'directions must say "higher" or "lower" for one of {names}, got {wrong}'
        )
    declared = {name: value == "higher" for name, value in given.items()}
    unknown = [n for n in names if n not in declared and higher_is_better(n) is None]
    if unknown:
        raise ExperimentError(
            f"it is not known whether {unknown} are better higher or lower: "
            f'declare it, directions={{"{unknown[0]}": "higher"}}'
        )
    return declared
