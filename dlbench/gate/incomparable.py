"""Why two entries cannot be compared: what is measured changed, or there is nothing to compare."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from dlbench.errors import GateError
from dlbench.gate.changes import changes
from dlbench.gate.entry import STEPS_TO_TARGET, TRAINING_LOSS
from dlbench.gate.rules import LEAST_PAIRS, Rules

if TYPE_CHECKING:
    from dlbench.gate.entry import Entry
    from dlbench.plain import Plain

FIRST_LOOK = 16
"""Seeds trained before it is decided whether the rest of the baseline's are needed."""


def incomparable(accepted: Entry, new: Entry, rules: Rules, least: int = FIRST_LOOK) -> str:
    """Return why two entries cannot be compared at all, in words; nothing where they can.

    Args:
        accepted: the baseline's entry.
        new: of this run.
        rules: a gate that they leave out is no reason.
        least: seeds that must be on both sides, where the baseline has as many.

    Raises:
        GateError: the floors differ, so that the losses have other units.
    """
    if accepted.kind != new.kind:
        return f"kind {accepted.kind} -> {new.kind}"
    if accepted.kind == "parameters":
        return ""
    if reason := _unusable_seeds(accepted, new, least):
        return reason
    if accepted.floor != new.floor:
        raise GateError(
            f"{new.key}: the new entry's floor under the losses is {new.floor:g}, the accepted "
            f"one's {accepted.floor:g}: make it by entry_of(record, floor=accepted.floor)"
        )
    reasons = [
        f"{gate} is gone"
        for gate in accepted.values
        if rules.compares(gate) and gate not in new.values
    ]
    scale = "log" if accepted.floor > 0 else "linear"
    if rules.compares(TRAINING_LOSS) and rules.scale(TRAINING_LOSS) != scale:
        reasons.append(
            f"{TRAINING_LOSS} was accepted on a {scale} scale, and is to be compared on a "
            f"{rules.scale(TRAINING_LOSS)} one"
        )
    for curve, higher in accepted.higher_is_better.items():
        declared = curve in rules.higher_is_better or not rules.compares(curve)
        if not declared and new.higher_is_better.get(curve, higher) != higher:
            reasons.append(f"the direction of {curve} changed")
    return "; ".join([*reasons, *_other_measures(accepted, new, rules)])


def _unusable_seeds(accepted: Entry, new: Entry, least: int) -> str:
    for entry, where in ((accepted, "in the baseline"), (new, "here")):
        rows: dict[str, tuple[object, ...]] = {"regimes": entry.regimes, **entry.values}
        for name, row in rows.items():
            if len(row) != len(entry.seeds):
                return f"{name} has {len(row)} values {where} for {len(entry.seeds)} seeds"
        if not entry.values:
            return f"there are no curves {where}"
    common, of = len(set(accepted.seeds) & set(new.seeds)), len(accepted.seeds)
    least = max(1, min(least, of))
    if common < least:
        return (
            f"{common} of the baseline's {of} seeds were trained, at least {least} are needed: "
            f"--dlbench-seeds={least}"
        )
    return ""


def _other_measures(accepted: Entry, new: Entry, rules: Rules) -> list[str]:
    """Return in words which measure changed its meaning: a loss, a metric, the target."""
    old, fresh = accepted.experiment, new.experiment
    gates = [gate for gate in accepted.values if rules.compares(gate)]
    found: list[str] = []
    if any(gate in LEAST_PAIRS for gate in gates):
        found += _changed("loss", old.get("loss"), fresh.get("loss"))
    old_metrics, metrics = old.get("metrics"), fresh.get("metrics")
    if isinstance(old_metrics, Mapping) and isinstance(metrics, Mapping):
        for name in old_metrics:
            if name in metrics and f"val_{name}" in gates:
                found += _changed(f"metrics.{name}", old_metrics[name], metrics[name])
    if STEPS_TO_TARGET in gates and STEPS_TO_TARGET in new.values:
        found += _changed("target", old.get("target"), fresh.get("target"))
    return found


def _changed(name: str, old: Plain, new: Plain) -> tuple[str, ...]:
    return changes({name: old}, {name: new})
