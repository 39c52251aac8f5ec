"""What a test says of its own gates: which are compared, how strictly, in which direction."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import TYPE_CHECKING, Literal, TypeVar

import numpy as np

from dlbench import metrics
from dlbench.errors import GateError
from dlbench.gate.entry import STEPS_TO_TARGET, TRAINING_LOSS

if TYPE_CHECKING:
    from dlbench.gate.entry import Entry

Scale = Literal["log", "linear"]
Unit = Literal["log", "points", "linear"]
"""What a difference is counted in: a log ratio, a share (0.01 is a point), or a share of the
baseline's size."""

VAL_LOSS = "val_loss"
FAILED = "failed"
PARAMETERS = "parameters"
POINTS = "points"

FIXED = (TRAINING_LOSS, VAL_LOSS, STEPS_TO_TARGET, FAILED, PARAMETERS, POINTS)
"""The gates that every case can have; a validation curve is one under its own name, `val_…`."""

MARGINS: Mapping[str, float] = {TRAINING_LOSS: 0.01, VAL_LOSS: 0.02, STEPS_TO_TARGET: 0.05}
METRIC_MARGIN: Mapping[Unit, float] = {"points": 0.005, "log": 0.02, "linear": 0.02}
"""Of every other validation curve."""

LEAST_PAIRS: Mapping[str, int] = {TRAINING_LOSS: 5, VAL_LOSS: 5}
LEAST_OTHERS = 8
"""Pairs (for the failed share, seeds on each side) below which the other gates do not run."""

ALL = "*"
"""The key, in a table by gate, of what holds for every gate that the table does not name."""

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Rules:
    """What is compared of a case; made by `Rules.of`, which checks it."""

    gates: tuple[str, ...] | None = None
    """The gates that are compared; None for all."""
    margins: Mapping[str, float] = field(default_factory=dict)
    """By gate, or under `ALL`: what is tolerated, as a share; 0.01 is 1 %, or a point."""
    higher_is_better: Mapping[str, bool] = field(default_factory=dict)
    """The direction of validation curves, where declared."""
    scales: Mapping[str, Scale] = field(default_factory=dict)
    """By gate, or under `ALL`."""

    @classmethod
    def of(
        cls,
        gates: object = None,
        margin: object = None,
        higher_is_better: object = None,
        scale: object = None,
    ) -> Rules:
        """Return the rules that `@pytest.mark.convergence(…)` states.

        Args:
            gates: one name or several; by default all that a case has.
            margin: a share above 0 and below 1 for every gate, or a dict by gate.
            higher_is_better: a dict from validation curves to True or False.
            scale: "log" (ratios, the default) or "linear", for values that may be 0 or less; for
                every gate, or a dict by gate.

        Raises:
            GateError: a gate that there is not, or a value that cannot be meant.
        """
        directions = {} if higher_is_better is None else higher_is_better
        if not isinstance(directions, Mapping):
            raise GateError(
                'higher_is_better must be a dict such as {"val_score": True}, got '
                f"{higher_is_better!r}"
            )
        for name, value in directions.items():
            _check_gate("higher_is_better", name, _is_curve)
            if not isinstance(value, bool):
                raise GateError(f"higher_is_better[{name!r}] must be True or False, got {value!r}")
        return cls(
            gates=None if gates is None else _gates(gates),
            margins=_by_gate("margin", margin, _margin, lambda g: _is_curve(g) or g in MARGINS),
            higher_is_better=dict(directions),
            scales=_by_gate("scale", scale, _scale, lambda g: _is_curve(g) or g == TRAINING_LOSS),
        )

    def check(self, names: Iterable[str], directions: Mapping[str, bool] | None = None) -> None:
        """Check these rules against what a case has, before or after it is trained.

        Args:
            names: the validation curves (`val_…`) and, where there is a target, `steps_to_target`;
                other names are passed over.
            directions: those that are known beside the rules' own.

        Raises:
            GateError: the rules speak of a curve that there is not, or of the steps to a target
                where there is none; or nobody says whether a curve is better higher.
        """
        there = set(names)
        optional = {name for name in there if _is_curve(name)} | (there & {STEPS_TO_TARGET})
        known = [TRAINING_LOSS, FAILED, PARAMETERS, POINTS, *sorted(optional)]
        spoken = (
            ("gates", self.gates or ()), ("margin", self.margins),
            ("higher_is_better", self.higher_is_better), ("scale", self.scales),
        )  # fmt: skip
        for key, said in spoken:
            for name in said:
                if name not in known and name != ALL:
                    raise GateError(
                        f"{key} names {name!r}, which this case does not have; it has "
                        f"{', '.join(known)}{_hint(name, known)}"
                    )
        for name in sorted(optional - {STEPS_TO_TARGET}):
            if self.compares(name) and self.direction(name, directions or {}) is None:
                raise GateError(
                    f"it is not known whether {name!r} is better higher or lower: declare it, "
                    f"@pytest.mark.convergence(higher_is_better={{{name!r}: True}})"
                )

    def compares(self, gate: str) -> bool:
        """Return whether a gate is compared where a case has it."""
        return self.gates is None or gate in self.gates

    def direction(self, curve: str, known: Mapping[str, bool]) -> bool | None:
        """Return whether a curve is better higher: as declared, as known, or as its name tells."""
        declared = self.higher_is_better.get(curve, known.get(curve))
        return metrics.higher_is_better(curve) if declared is None else declared

    def margin(self, gate: str, unit: Unit) -> float:
        """Return what is tolerated of a gate, as a share."""
        default = MARGINS.get(gate, METRIC_MARGIN[unit])
        return self.margins.get(gate, self.margins.get(ALL, default))

    def scale(self, gate: str) -> Scale:
        """Return the scale on which a loss or a metric without bounds is compared."""
        return self.scales.get(gate, self.scales.get(ALL, "log"))


def least_pairs(gate: str) -> int:
    """Return the pairs below which a gate is not decided."""
    return LEAST_PAIRS.get(gate, LEAST_OTHERS)


def tests_of(entry: Entry, rules: Rules) -> tuple[str, ...]:
    """Return the gates of a case that take a share of the suite's error rate.

    With fewer than 8 seeds only the losses are compared. Exact gates take nothing.
    """
    found = [*(gate for gate in entry.values if rules.compares(gate))]
    if entry.values and rules.compares(FAILED):
        found.append(FAILED)
    return tuple(gate for gate in found if len(entry.seeds) >= LEAST_OTHERS or gate in LEAST_PAIRS)


def _is_curve(gate: str) -> bool:
    return gate.startswith("val_")


def _is_gate(gate: str) -> bool:
    return gate in FIXED or _is_curve(gate)


def _gates(gates: object) -> tuple[str, ...]:
    chosen = (gates,) if isinstance(gates, str) else gates
    if not isinstance(chosen, Iterable):
        raise GateError(f'gates must be names such as ["training_loss"], got {gates!r}')
    names = tuple(chosen)
    if not names or isinstance(gates, Mapping):
        raise GateError(
            f"gates must name at least one gate, got {gates!r}; "
            "to compare nothing, --dlbench-gate=off"
        )
    for name in names:
        _check_gate("gates", name, _is_gate)
    return tuple(dict.fromkeys(names))


def _by_gate(
    key: str, value: object, check: Callable[[str, object], _T], takes: Callable[[str], bool]
) -> dict[str, _T]:
    """Return a value for all gates, or a dict by gate, as a dict by gate."""
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        return {ALL: check(key, value)}
    for name in value:
        _check_gate(key, name, takes)
    return {name: check(f"{key}[{name!r}]", item) for name, item in value.items()}


def _check_gate(key: str, name: object, takes: Callable[[str], bool]) -> None:
    if not isinstance(name, str) or not takes(name):
        choices = [gate for gate in FIXED if takes(gate)]
        raise GateError(
            f"{key} names {name!r}, expected one of {', '.join(choices)} or a validation curve by "
            f"its name, val_…{_hint(str(name), [*choices, 'val_accuracy'])}"
        )


def _hint(name: str, names: Iterable[str]) -> str:
    near = get_close_matches(name, list(names), n=1)
    return f". Did you mean {near[0]!r}?" if near else ""


def _margin(key: str, value: object) -> float:
    if (
        not isinstance(value, (int, float, np.integer, np.floating))
        or isinstance(value, bool)
        or not math.isfinite(value)
        or not 0 < value < 1
    ):
        raise GateError(
            f"{key} must be a share above 0 and below 1, 0.05 for 5 % (or for 5 points of a "
            f"metric that ends at 1), got {value!r}"
        )
    return float(value)


def _scale(key: str, value: object) -> Scale:
    if value == "log":
        return "log"
    if value == "linear":
        return "linear"
    raise GateError(
        f'{key} must be "log" or "linear", got {value!r}{_hint(str(value), ("log", "linear"))}'
    )
