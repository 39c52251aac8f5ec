"""One gate at a time: the differences between paired seeds, and what they say."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal, NamedTuple, TypeAlias

import numpy as np

from dlbench.gate.entry import STEPS_TO_TARGET, TRAINING_LOSS
from dlbench.gate.rules import (
    FAILED,
    LEAST_OTHERS,
    LEAST_PAIRS,
    VAL_LOSS,
    Rules,
    Unit,
    least_pairs,
)
from dlbench.metrics import FAILED as FAILED_REGIMES
from dlbench.metrics import higher_is_better
from dlbench.statistics import Test, equivalence, excess_share, shift, smallest_effect

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from dlbench.gate.entry import Entry

    Array: TypeAlias = NDArray[np.float64]
    Mask: TypeAlias = NDArray[np.bool_]

Degree = Literal[
    "regressed", "improved", "identical", "rounding", "equivalent", "compatible", "undecided",
    "missing", "new", "incomparable",
]  # fmt: skip

EQUIVALENCE_ALPHA = 0.05
"""Of the two one-sided tests inside the margin: they raise no alarm, so it is not divided."""

VISIBLE = 0.25
"""A gate that would not see a slow-down of 25 % (or of 25 points) cannot tell."""

NEVER = 2.0
"""A run that never reached its target counts as having taken this many times its budget."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """What one gate says of one case; effects are signed so that positive is worse."""

    gate: str
    degree: Degree
    note: str = ""
    """What there is to say beside the figures: counts, or why there are none."""
    test: Test | None = None
    """Of a shift beyond the margin towards worse, in `unit`; for the failed share, of its excess."""
    unit: Unit | None = None
    higher_is_better: bool = False
    margin: float | None = None
    """As a share: 0.01 is 1 %, or a point."""
    pairs: int = 0
    """Seeds that trained on both sides."""
    of: int = 0
    """Seeds that are on both sides."""
    deviation: float | None = None
    """The standard deviation of the paired differences."""
    sees: float | None = None
    """The smallest true effect that would have been found in 99 of 100 trials, in `unit`; None
    where none would."""


class Pairing(NamedTuple):
    """Two entries reduced to the seeds that both have, in rising order."""

    accepted: Entry
    new: Entry
    whole: Entry
    """The accepted entry with all of its seeds."""

    @property
    def trained(self) -> Mask:
        """Shape `(seeds,)`: whether a seed trained on both sides."""
        either: Mask = failed(self.accepted) | failed(self.new)
        return ~either

    @property
    def same_curves(self) -> Mask:
        """Shape `(seeds,)`: whether a seed's curves are equal bit for bit."""
        old, new = self.accepted.curves, self.new.curves
        if not old or not new:
            return np.zeros(len(self.new.seeds), dtype=bool)
        return np.array([a == b for a, b in zip(old, new, strict=True)], dtype=bool)


def pair(accepted: Entry, new: Entry) -> Pairing:
    """Return both entries on the seeds they share, matched by value."""
    common = sorted(set(accepted.seeds) & set(new.seeds))
    return Pairing(select(accepted, common), select(new, common), accepted)


def select(entry: Entry, seeds: Iterable[int]) -> Entry:
    """Return an entry with some of its seeds, in the order given."""
    at = {seed: index for index, seed in enumerate(entry.seeds)}
    chosen = [at[seed] for seed in seeds]

    def pick(values: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(values[index] for index in chosen) if values else ()

    return replace(
        entry,
        seeds=tuple(entry.seeds[index] for index in chosen),
        regimes=pick(entry.regimes),
        values={name: tuple(row[i] for i in chosen) for name, row in entry.values.items()},
        starts=pick(entry.starts),
        orders=pick(entry.orders),
        curves=pick(entry.curves),
        yardstick=tuple(entry.yardstick[i] for i in chosen) if entry.yardstick else (),
    )


def failed(entry: Entry) -> Mask:
    """Return by seed whether a run diverged or stalled, shape `(seeds,)`."""
    return np.array([regime in FAILED_REGIMES for regime in entry.regimes], dtype=bool)


def compare_exactly(gate: str, old: int | None, new: int | None, label: str) -> Comparison:
    """Return the comparison of a number that must not change.

    Args:
        gate: `parameters`, where a change is worse, or `points`, where it leaves nothing to compare.
        old: accepted.
        new: measured now; None where it is gone.
        label: what the number is called.
    """
    if old == new:
        return Comparison(gate, "identical")
    texts = ["none" if count is None else f"{count:,}" for count in (old, new)]
    degree: Degree = "incomparable" if gate == "points" else "regressed"
    return Comparison(gate, degree, note=f"{label} {texts[0]} → {texts[1]}")


def compare_failures(pairing: Pairing, alpha: float) -> Comparison | str:
    """Return the comparison of the shares of runs that diverged or stalled, by Fisher's exact test.

    Against all the baseline's seeds. With too few seeds for a test, a run that failed here alone
    leaves the gate undecided.

    Returns:
        The comparison; or, in words, why there is none.
    """
    bad, bad_before = failed(pairing.new), failed(pairing.whole)
    count, n, before, n_before = int(bad.sum()), bad.size, int(bad_before.sum()), bad_before.size
    newly = bool((bad & ~failed(pairing.accepted)).any())
    note = f"{count} of {n} failed, {before} of {n_before} in the baseline"
    if min(n, n_before) < LEAST_OTHERS:
        why = f"takes {LEAST_OTHERS} seeds on each side, got {n} and {n_before}"
        return Comparison(FAILED, "undecided", note=f"{note}: a test {why}") if newly else why
    if not count and not before:
        return Comparison(FAILED, "identical", note=note, pairs=n, of=n)
    worse = excess_share(count, n, before, n_before, alpha=alpha)
    better = excess_share(before, n_before, count, n, alpha=alpha)
    degree: Degree = "compatible"
    if worse.significant:
        degree = "regressed"
    elif better.significant:
        degree = "improved"
    elif (bad == failed(pairing.accepted)).all():
        degree = "identical"
    return Comparison(FAILED, degree, note=note, test=worse, pairs=n, of=n)


def compare_values(gate: str, pairing: Pairing, rules: Rules, alpha: float) -> Comparison | str:
    """Return the comparison of a value by seed, by a paired t test over the pairs that trained.

    Returns:
        The comparison; or, in words, why the gate does not run.
    """
    least, trained = least_pairs(gate), pairing.trained
    if why := _too_few(gate, pairing):
        return why
    broken = _unusable(gate, pairing)
    if broken is not None:
        return broken
    measure = measure_of(gate, pairing.whole, rules)
    told = Comparison(
        gate,
        "undecided",
        unit=measure.unit,
        higher_is_better=measure.higher,
        margin=rules.margin(gate, measure.unit),
        pairs=int(trained.sum()),
        of=trained.size,
    )
    values = [measure.take(side, trained) for side in (pairing.accepted, pairing.new)]
    if not all(np.isfinite(side).all() for side in values):
        return replace(told, degree="incomparable", note=_no_logarithm(gate))
    if told.pairs < least:
        note = f"{told.pairs} of {told.of} pairs trained on both sides, at least {least} are needed"
        return replace(told, note=note)
    differences = np.where(
        pairing.same_curves[trained], 0.0, measure.worse * (values[1] - values[0])
    )
    return decide(told, differences, alpha)


def decide(told: Comparison, differences: Array, alpha: float) -> Comparison:
    """Return a comparison with the degree that its differences show.

    Args:
        told: gate, unit and margin.
        differences: shape `(pairs,)`, positive where worse, in the comparison's unit.
        alpha: the error rate of this look.
    """
    margin = margin_in(told)
    worse = shift(differences, margin=margin, alpha=alpha)
    better = shift(-differences, margin=margin, alpha=alpha)
    deviation = float(np.std(differences, ddof=1))
    sees = smallest_effect(deviation, differences.size, margin=margin, alpha=alpha)
    degree: Degree = "undecided"
    if worse.significant:
        degree = "regressed"
    elif better.significant:
        degree = "improved"
    elif not differences.any():
        degree = "identical"
    elif equivalence(differences, margin=margin, alpha=EQUIVALENCE_ALPHA).significant:
        degree = "equivalent"
    elif sees <= largest_unseen(told.unit):
        degree = "compatible"
    return replace(
        told,
        degree=degree,
        test=worse,
        deviation=deviation,
        sees=sees if math.isfinite(sees) else None,
    )


def margin_in(comparison: Comparison) -> float:
    """Return a comparison's margin in its unit: the log of 1.01 for 1 %."""
    margin = comparison.margin or 0.0
    return math.log1p(margin) if comparison.unit == "log" else margin


def largest_unseen(unit: Unit | None) -> float:
    """Return `VISIBLE` in a unit."""
    return math.log1p(VISIBLE) if unit == "log" else VISIBLE


class Measure(NamedTuple):
    """How a gate's values become numbers whose differences are compared."""

    gate: str
    unit: Unit
    size: float
    """What a difference is divided by, in points and on a linear scale."""
    higher: bool
    """Whether a higher value is better."""
    logged: bool
    """Whether the entry's values are logs already."""

    @property
    def worse(self) -> float:
        """The sign that makes a change for the worse positive."""
        return -1.0 if self.higher else 1.0

    def take(self, entry: Entry, chosen: Mask) -> Array:
        """Return an entry's values in this measure for the chosen seeds; not finite if impossible."""
        values: Array = np.array(entry.values[self.gate], dtype=float)[chosen]
        if self.unit != "log":
            return np.divide(values, self.size)
        if self.logged:
            return values
        if self.gate == STEPS_TO_TARGET:  # 0 where the target was reached before the first update
            values = np.clip(np.where(values == np.inf, NEVER * entry.budget, values), 1, None)
        if self.gate == VAL_LOSS:
            values = np.where(values >= 0, np.maximum(values, entry.floor), np.nan)
        with np.errstate(divide="ignore", invalid="ignore"):
            logs: Array = np.log(values)
        return logs


def measure_of(gate: str, accepted: Entry, rules: Rules) -> Measure:
    """Return how a gate is measured; the accepted entry alone decides.

    A metric whose name says that it ends at 1 is counted in points, in hundreds where its values
    are percentages. On a linear scale a difference is a share of the baseline's median size or,
    where that is smaller (a loss about 0), of the standard deviation of its seeds.
    """
    values = np.array(accepted.values[gate], dtype=float)[~failed(accepted)]
    values = values[np.isfinite(values)]
    if gate == STEPS_TO_TARGET:
        return Measure(gate, "log", 1.0, higher=False, logged=False)
    higher = gate != TRAINING_LOSS and bool(rules.direction(gate, accepted.higher_is_better))
    top = float(np.max(values, initial=0.0))
    if higher_is_better(gate) and top <= 100:  # noqa: PLR2004 - percent
        return Measure(gate, "points", 1.0 if top <= 1 else 100.0, higher=higher, logged=False)
    if rules.scale(gate) == "log":
        return Measure(gate, "log", 1.0, higher=higher, logged=gate == TRAINING_LOSS)
    size = abs(float(np.median(values))) if values.size else 0.0
    spread = float(np.std(values, ddof=1)) if values.size > 1 else 0.0
    return Measure(gate, "linear", max(size, spread) or 1.0, higher=higher, logged=False)


def _too_few(gate: str, pairing: Pairing) -> str:
    """Return why a gate does not run; a gate that runs may still lack pairs."""
    seeds, least = min(len(pairing.new.seeds), len(pairing.whole.seeds)), least_pairs(gate)
    trained = int((~failed(pairing.whole)).sum())
    if gate not in LEAST_PAIRS and seeds < least:
        return f"takes {least} seeds on each side, got {len(pairing.new.seeds)} and " + str(
            len(pairing.whole.seeds)
        )
    if trained < least and seeds >= LEAST_OTHERS:
        # Known when it was accepted; the failed share is all there is to compare.
        return f"{trained} of the baseline's {len(pairing.whole.seeds)} seeds trained, fewer than {least}"
    return ""


def _unusable(gate: str, pairing: Pairing) -> Comparison | None:
    """Return the verdict on values that are no numbers though the run trained."""
    sides: tuple[tuple[Entry, Degree, str], ...] = (
        (pairing.accepted, "incomparable", " in the baseline"),
        (pairing.new, "regressed", ""),
    )
    for entry, degree, where in sides:
        values = np.array(entry.values[gate], dtype=float)
        wrong = ~np.isfinite(values) & ~failed(entry)
        if gate == STEPS_TO_TARGET:
            wrong &= values != np.inf  # the target was never reached
        if wrong.any():
            seeds = ", ".join(str(entry.seeds[index]) for index in np.flatnonzero(wrong))
            note = f"{gate} is not finite{where} for seeds that trained: {seeds}"
            if gate == TRAINING_LOSS:
                return Comparison(gate, "incomparable", note=_no_logarithm(gate))
            return Comparison(gate, degree, note=note)
    return None


def _no_logarithm(gate: str) -> str:
    return (
        f"{gate} has values of 0 or less, of which there is no log: declare "
        f'@pytest.mark.convergence(scale={{"{gate}": "linear"}}) and accept again'
    )
