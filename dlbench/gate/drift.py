"""What an accept changes of a case, in medians: old to new, and the drift since its first accept.

The gate compares with what was accepted last. So a suite that is accepted after each small loss
never goes red, and ends far from where it began: the drift is counted from the first accept, over
all later ones. A changed experiment does not begin a new count, since a sequence of deliberate
small changes is how such a loss comes; only a case that was not there, or a drift that was allowed
by name, does. Medians over other seeds differ without any change: old and new are compared on the
seeds that both have, and the change on those is added to the drift that there was.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np

from dlbench.gate.changes import changes
from dlbench.gate.comparisons import Measure, failed, measure_of, select
from dlbench.gate.entry import STEPS_TO_TARGET
from dlbench.plain import digest

if TYPE_CHECKING:
    from collections.abc import Iterable

    from dlbench.gate.entry import Entry
    from dlbench.gate.rules import Rules, Unit

MOST_DRIFT = 3
"""Margins: a case that drifted further is accepted only where that is asked for."""

EXACT = 1e-8
"""Smaller changes are those of writing a value with nine digits."""

LEAST_SHOWN = 5e-4
"""A change that shows in a percentage with one decimal."""

What = Literal["added", "removed", "renamed", "changed", "same"]


class Effect(NamedTuple):
    """What an accept changes of one gate's median over the seeds that trained; worse is positive.

    A change is a share, 0.03 for 3 %, or for 3 points, on the seeds that both sides have; None where
    one side has no such value, or no seed is on both.
    """

    gate: str
    unit: Unit
    before: float | None
    """The median that was accepted before; of the training loss, a loss and not its log."""
    after: float | None
    change: float | None
    """From the last accept."""
    drift: float | None
    """From the first accept."""
    margin: float
    common: int | None = None
    """The seeds that both sides have, where one has others, too."""

    @property
    def drifted(self) -> bool:
        """Whether the drift is for the worse, and beyond three margins."""
        most = MOST_DRIFT * self.margin
        if self.unit == "log":  # as steps of a margin add up: 1.01 to the third is 3.03 %
            most = math.expm1(MOST_DRIFT * math.log1p(self.margin))
        return self.drift is not None and self.drift > most

    def __str__(self) -> str:
        """Return both medians and the changes, in words."""
        if self.before is None or self.after is None:
            median = self.after if self.before is None else self.before
            return (
                f"{self.gate} {_shown(self.gate, median)}{' is gone' if self.after is None else ''}"
            )
        medians = [_shown(self.gate, median) for median in (self.before, self.after)]
        on = {None: "", 0: ": no common seeds", 1: " on 1 common seed"}.get(
            self.common, f" on {self.common} common seeds"
        )
        words = [worse_or_better(self.change, self.unit) + on]
        if abs((self.drift or 0.0) - (self.change or 0.0)) >= LEAST_SHOWN:
            words.append(f"{worse_or_better(self.drift, self.unit)} since the first accept")
        return f"{self.gate} {medians[0]} -> {medians[1]} ({', '.join(words)})"


@dataclass(frozen=True, slots=True)
class Change:
    """What an accept changes of one case."""

    what: What
    old: Entry | None
    new: Entry | None
    effects: tuple[Effect, ...] = ()

    @property
    def case(self) -> str:
        """The case's id: as it is now, or as it was if it is gone."""
        return "".join(case_of(entry) for entry in [self.new or self.old] if entry)

    @property
    def drifted(self) -> tuple[Effect, ...]:
        """The gates that drifted too far."""
        return tuple(effect for effect in self.effects if effect.drifted)

    def __str__(self) -> str:
        """Return one line: what happened to the case, its medians old and new, and what differs."""
        parts = [str(effect) for effect in self.effects if self.what != "same"]
        if self.old and self.new:
            before, after = regimes_of(self.old), regimes_of(self.new)
            parts += [f"{before} -> {after}"] if before != after else []
            parts += changes(self.old.parameters, self.new.parameters)
            parts += changes(self.old.experiment, self.new.experiment)
        was = f" (was {case_of(self.old)})" if self.what == "renamed" and self.old else ""
        return f"{self.what} {self.case}{was}" + (f": {'; '.join(parts)}" if parts else "")


def case_of(entry: Entry) -> str:
    """Return a case's id as pytest takes it, from the root folder on, with its call's name."""
    folder, slash, _ = entry.module.rpartition("/")
    return f"{folder}{slash}{entry.key}"


def change_of(old: Entry | None, new: Entry | None, rules: Rules) -> Change:
    """Return what an accept changes of a case.

    Args:
        old: what was accepted before; None for a case that was not there.
        new: what is accepted now; None for a case that is taken out.
        rules: the case's scales, directions and margins.
    """
    what: What = "changed"
    if old is None or new is None:
        what = "added" if old is None else "removed"
    elif case_of(old) != case_of(new):
        what = "renamed"
    elif measured(old) == measured(new):
        what = "same"
    names = {**(old.values if old else {}), **(new.values if new else {})} if new else {}
    return Change(what, old, new, tuple(_effect(name, old, new, rules) for name in names))


def measured(entry: Entry) -> Entry:
    """Return an entry without what accepting adds to it, and without where it was measured."""
    return replace(
        entry, environment={}, yardstick=(), repeats=None, alpha=None, first={}, bounded=True
    )


def medians(entry: Entry) -> dict[str, float]:
    """Return each value's median over the seeds that trained; NaN where none did."""
    trained = ~failed(entry)
    found = {}
    for name, values in entry.values.items():
        known = np.array(values, dtype=float)[trained]
        known = known[~np.isnan(known)]
        found[name] = float(np.median(known)) if known.size else math.nan
    return found


def first_of(
    old: Entry | None, new: Entry, rules: Rules, *, anew: bool = False
) -> dict[str, float]:
    """Return the medians from which a newly accepted entry's drift counts.

    Where the seeds are others than before, they are moved so that the drift to the new entry's
    medians is the drift that there was and the change on common seeds; without any, the former.

    Args:
        old: what was accepted before; None for a case that was not there.
        new: what is accepted now.
        rules: the case's scales and directions.
        anew: count from this accept on.
    """
    now = medians(new)
    if old is None or anew:
        return now
    if set(old.seeds) == set(new.seeds):
        return {name: _first(old, name, median) for name, median in now.items()}
    return now | {name: _moved_first(name, old, new, rules) for name in now if name in old.values}


def renames(gone: Iterable[Entry], added: Iterable[Entry]) -> list[tuple[Entry, Entry]]:
    """Return the pairs of a gone and an added case that look like one case under a new name.

    They have the same experiment and seeds, and nothing else gone or added has. What a loop of the
    user's own does is not known: there the curves must be the same too.
    """
    sides = [_by_likeness(entries) for entries in (gone, added)]
    return [
        (sides[0][likeness][0], sides[1][likeness][0])
        for likeness in sides[0]
        if len(sides[0][likeness]) == len(sides[1].get(likeness, ())) == 1
    ]


def summary_of(entry: Entry, change: Change) -> str:
    """Return the line of an accepted case that people read: seeds, medians, what changed."""
    counts = ", ".join(f"{name} {count:,}" for name, count in entry.parameters.items())
    if not entry.seeds:
        return counts or "nothing measured"
    shown = ", ".join(
        f"{effect.gate} {_shown(effect.gate, effect.after)}"
        for effect in change.effects
        if effect.after is not None
    )
    text = f"{regimes_of(entry)}: {shown}"
    moved = [
        f"{effect.gate} {worse_or_better(effect.change, effect.unit)}"
        for effect in change.effects
        if effect.change is not None
    ]
    return f"{text}; since the last accept: {', '.join(moved)}" if moved else text


def regimes_of(entry: Entry) -> str:
    """Return how many seeds became what: `32 seeds converged`."""
    counts = Counter(entry.regimes)
    parts = [f"{count} {regime}" for regime, count in sorted(counts.items())]
    if len(counts) == 1:
        return f"{len(entry.seeds)} seeds {entry.regimes[0]}"
    return f"{len(entry.seeds)} seeds, {', '.join(parts)}" if parts else ""


def worse_or_better(change: float | None, unit: Unit) -> str:
    """Return a change in words: `3.1 % worse`."""
    if change is None:
        return "not comparable"
    if math.isinf(change):
        return "lost"
    if change == 0:
        return "unchanged"
    size = 100 * abs(change)
    number = f"{size:,.1f}" if abs(change) >= LEAST_SHOWN else f"{size:.1g}"
    return f"{number} {'points' if unit == 'points' else '%'} {'worse' if change > 0 else 'better'}"


def _effect(gate: str, old: Entry | None, new: Entry | None, rules: Rules) -> Effect:
    sides = [side if side and gate in side.values else None for side in (old, new)]
    before, after = sides
    reference = before or after
    assert reference is not None  # noqa: S101 - the gate is one of either side's
    measure = measure_of(gate, reference, rules)
    change = drift = common = None
    if before and after:
        past, step = _steps(measure, before, after)
        change, drift = (_share(measure, moved) for moved in (step, past + step))
        if set(before.seeds) != set(after.seeds):
            common = len(set(before.seeds) & set(after.seeds))
    margin = rules.margin(gate, measure.unit)
    shown = [None if side is None else _median(measure, side, gate) for side in sides]
    return Effect(gate, measure.unit, shown[0], shown[1], change, drift, margin, common)


def _steps(measure: Measure, old: Entry, new: Entry) -> tuple[float, float]:
    """Return how far a value had drifted until the last accept, and its change since.

    Returns:
        Both in the measure, positive where worse; NaN where it is not known, infinite where no seed
        trains any more.
    """
    common = sorted(set(old.seeds) & set(new.seeds))
    first = _level(measure, old, _first(old, measure.gate, math.nan))
    past = _moved(measure, first, _level(measure, old, medians(old)[measure.gate]))
    before, after = (
        _level(measure, side, medians(side)[measure.gate])
        for side in (select(old, common), select(new, common))
    )
    return past, _moved(measure, before, after)


def _moved_first(gate: str, old: Entry, new: Entry, rules: Rules) -> float:
    """Return where a value's drift counts from over the new entry's seeds."""
    measure = measure_of(gate, old, rules)
    past, step = _steps(measure, old, new)
    drift = past + (0.0 if math.isnan(step) else step)
    median = medians(new)[gate]
    if not math.isfinite(drift):
        return median
    level = _level(measure, new, median) - measure.worse * drift
    if measure.unit != "log":
        return level * measure.size
    return level if measure.logged else math.exp(min(level, 700.0))


def _first(old: Entry, name: str, now: float) -> float:
    """Return where a value's drift counts from: a value that was never there, from now."""
    first = old.first.get(name, math.nan)  # NaN where no seed trained then
    return medians(old).get(name, now) if math.isnan(first) else first


def _median(measure: Measure, entry: Entry, gate: str) -> float:
    median = medians(entry)[gate]
    return math.exp(min(median, 700.0)) if measure.logged else median


def _level(measure: Measure, entry: Entry, median: float) -> float:
    """Return a median as the gate measures it."""
    alone = replace(entry, values={measure.gate: (median,)})
    return float(measure.take(alone, np.ones(1, dtype=bool))[0])


def _moved(measure: Measure, before: float, now: float) -> float:
    """Return a change of a level, positive where worse; NaN where there was none, or infinite."""
    if not math.isfinite(before):
        return math.nan
    if not math.isfinite(now):
        return math.inf  # no seed trains any more
    change = measure.worse * (now - before)
    return 0.0 if abs(change) < EXACT else change


def _share(measure: Measure, moved: float) -> float | None:
    if math.isnan(moved):
        return None
    return math.expm1(min(moved, 700.0)) if measure.unit == "log" and moved < math.inf else moved


def _shown(gate: str, median: float | None) -> str:
    if median is None or math.isnan(median):
        return "none"
    if gate == STEPS_TO_TARGET:
        return "never" if math.isinf(median) else f"{median:,.0f}"
    return f"{median:.4g}"


def _by_likeness(entries: Iterable[Entry]) -> dict[tuple[object, ...], list[Entry]]:
    found: defaultdict[tuple[object, ...], list[Entry]] = defaultdict(list)
    for entry in entries:
        if entry.experiment:
            curves = entry.curves if entry.kind == "loop" else ()
            found[digest(entry.experiment), entry.seeds, curves].append(entry)
    return found
