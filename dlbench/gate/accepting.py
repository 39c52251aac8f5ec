"""Accepting: new entries become the baseline that later runs are compared with.

Nothing else ever writes a baseline. What is accepted is merged into the files as they are at that
moment, under a lock, so that of two accepts at once nothing is lost; what was not run stays as it
is. Everything that could refuse an accept is looked at before the first file is written.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, TypeAlias, get_args

from dlbench.errors import BaselineError
from dlbench.gate.blind import blind_gates, too_few_seeds
from dlbench.gate.comparisons import compare_values, pair
from dlbench.gate.drift import Change, case_of, change_of, first_of, renames, summary_of
from dlbench.gate.lock import PATIENCE, locked
from dlbench.gate.rules import Rules, tests_of
from dlbench.gate.text import Accepted, rounded
from dlbench.history.record import Kind

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping
    from pathlib import Path

    from dlbench.gate.baseline import Baseline
    from dlbench.gate.entry import Entry
    from dlbench.history.record import Record

Place: TypeAlias = tuple[str, str]
"""Where a case stands: its module and its key."""

NO_RULES = Rules()


@dataclass(frozen=True, slots=True)
class Acceptance:
    """What an accept did."""

    changes: tuple[Change, ...]
    """A case each: added, removed, renamed, changed, or measured again with the same outcome."""
    refused: Mapping[str, str] = field(default_factory=dict)
    """By case, why it was not taken; its entry, if it had one, is as it was."""
    blind: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """By case that was taken, the gates that cannot fail with its seeds, and what they need."""
    alpha: float = 0.0
    """The error rate of each test of the cases that were taken."""
    tests: int = 0
    """How many tests the whole baseline makes."""
    written: tuple[Path, ...] = ()
    """The files that changed."""


def acceptable(record: Record) -> str | None:
    """Return why a record cannot become a baseline, or None where it can.

    What the record does not hold, its caller must know: no subtest failed, and no phase of the test.
    """
    if record["outcome"] != "passed":
        message = f": {record['message']}" if record["message"] else ""
        return f"its test did not pass but {record['outcome']}{message}"
    if record["bounds"] != "enforced":
        return "its test's own bounds were off, as with --dlbench-quick or another workload"
    if record["kind"] not in get_args(Kind):
        return f"it is of the unknown kind {record['kind']!r}"
    if record["parameters" if record["kind"] == "parameters" else "runs"] is None:
        return "it holds nothing that could be compared"
    return None


def accept(  # noqa: PLR0913 - each by keyword
    baseline: Baseline,
    entries: Iterable[Entry],
    *,
    false_alarm: float = 0.01,
    rules: Mapping[str, Rules] | None = None,
    whole: Mapping[str, Collection[str]] | None = None,
    drift: bool = False,
    patience: float = PATIENCE,
) -> Acceptance:
    """Write new entries into the baseline, each in place of the case's entry if it has one.

    Args:
        baseline: where the files are.
        entries: of cases that passed; of two for one case the last counts.
        false_alarm: the share of runs of the whole suite that may go red without cause. It is
            divided over all tests of the baseline as it is after this accept, and written into
            the entries that are accepted now; what stays keeps the rate it was accepted with.
        rules: by case (`case_of`), what its test says of its gates; by default nothing.
        whole: by module that was collected whole, the keys that are still there. An entry of such
            a module is removed where its key is not among them.
        drift: take cases too that drifted more than three margins for the worse, and count their
            drift from here on.
        patience: seconds to wait for another accept.

    Raises:
        BaselineError: nothing to accept, everything refused, a file that cannot be read or
            written, or another accept that does not end. Before the first file is written
            everything is read; each file is then written whole or not at all.
    """
    fresh = {_place(entry): rounded(entry) for entry in entries}
    if not fresh:
        raise BaselineError(
            "nothing to accept: no case passed with its bounds enforced; nothing was written"
        )
    whole = whole or {}
    with locked(baseline.root, patience):
        modules = {*baseline.modules(), *whole, *(module for module, _ in fresh)}
        stored = {
            (module, key): case
            for module in sorted(modules)
            for key, case in baseline.read(module).items()
        }
        gone = {place for place in stored if place not in fresh and is_gone(place, whole)}
        merge = _Merge(stored, fresh, gone, rules or {}, false_alarm)
        outcome, taken, removed = merge.done(drift=drift)
        merged = {place: case for place, case in stored.items() if place not in removed} | taken
        touched = sorted({module for module, _ in [*taken, *removed]})
        contents = {module: baseline.format(module, _of(module, merged)) for module in touched}
        written: list[Path] = []
        for module, content in contents.items():
            written += baseline.write(module, content)
    return replace(outcome, written=tuple(written))


@dataclass(frozen=True, slots=True)
class _Merge:
    """The accepted cases as they are stored, and what is to be accepted."""

    stored: Mapping[Place, Accepted]
    fresh: Mapping[Place, Entry]
    gone: Collection[Place]
    rules: Mapping[str, Rules]
    false_alarm: float

    def done(self, *, drift: bool) -> tuple[Acceptance, dict[Place, Accepted], set[Place]]:
        """Return what the accept does, the cases that it writes, and those that it removes.

        Raises:
            BaselineError: every case is refused.
        """
        changes = self._changes()
        alpha, _ = self._alpha(self.fresh, self.gone)
        refused = {
            place: why
            for place, change in changes.items()
            if (why := self._refusal(place, change, alpha, drift=drift))
        }
        reasons = {case_of(self.fresh[place]): why for place, why in refused.items()}
        taken = {place: change for place, change in changes.items() if place not in refused}
        if not taken:
            listed = "; ".join(f"{case}: {why}" for case, why in reasons.items())
            raise BaselineError(f"every case was refused, nothing was written: {listed}")
        # A case whose new name is refused keeps its entry, and with it its history.
        kept = {_place(old) for place in refused if (old := changes[place].old)}
        removed = set(self.gone) - kept
        alpha, tests = self._alpha(taken, removed)
        every = sorted([*taken.values(), *self._removals(removed, taken)], key=_case)
        blind = {place: self._blind(place, alpha) for place in taken}
        outcome = Acceptance(
            changes=tuple(every),
            refused=reasons,
            blind={case_of(self.fresh[place]): gates for place, gates in blind.items() if gates},
            alpha=alpha,
            tests=tests,
        )
        accepted = {p: self._accepted(p, change, alpha, drift=drift) for p, change in taken.items()}
        return outcome, accepted, removed

    def _refusal(self, place: Place, change: Change, alpha: float, *, drift: bool) -> str:
        entry = self.fresh[place]
        if not entry.bounded:
            return "its test's own bounds were off"
        if why := _never_comparable(entry, self._rules_of(entry), alpha):
            return why
        why = too_few_seeds(entry, self._rules_of(entry), alpha)
        if why or drift or not change.drifted:
            return why
        effects = "; ".join(str(effect) for effect in change.drifted)
        return (
            f"it drifted further than three margins since it was first accepted: {effects}. "
            "--dlbench-accept=drift takes it all the same, and counts its drift from here on"
        )

    def _changes(self) -> dict[Place, Change]:
        old = {place: self.stored[place].entry for place in self.fresh if place in self.stored}
        added = [entry for place, entry in self.fresh.items() if place not in old]
        gone = [self.stored[place].entry for place in sorted(self.gone)]
        old |= {_place(new): entry for entry, new in renames(gone, added)}
        return {
            place: change_of(old.get(place), entry, self._rules_of(entry))
            for place, entry in sorted(self.fresh.items())
        }

    def _removals(
        self, removed: Collection[Place], taken: Mapping[Place, Change]
    ) -> Iterable[Change]:
        """Yield the removals, without the cases that go on under a new name."""
        renamed = {_place(change.old) for change in taken.values() if change.old}
        for place in removed:
            if place not in renamed:
                yield change_of(self.stored[place].entry, None, NO_RULES)

    def _alpha(self, taken: Collection[Place], removed: Collection[Place]) -> tuple[float, int]:
        """Return each test's share of the suite's error rate, and how many tests there are.

        Args:
            taken: the new cases that are in it.
            removed: the stored cases that are not; every other is.
        """
        stays = self.stored.keys() - set(removed) - set(taken)
        entries = [*(self.fresh[p] for p in taken), *(self.stored[p].entry for p in stays)]
        tests = sum(len(tests_of(entry, self._rules_of(entry))) for entry in entries)
        return self.false_alarm / max(1, tests), tests

    def _accepted(self, place: Place, change: Change, alpha: float, *, drift: bool) -> Accepted:
        entry = self.fresh[place]
        first = first_of(
            change.old, entry, self._rules_of(entry), anew=drift and bool(change.drifted)
        )
        entry = rounded(replace(entry, alpha=alpha if entry.seeds else None, first=first))
        if change.what == "same":  # the summary tells of the last accept that changed something
            return Accepted(entry, self.stored[place].summary)
        return Accepted(entry, summary_of(entry, change))

    def _blind(self, place: Place, alpha: float) -> tuple[str, ...]:
        entry = self.fresh[place]
        return blind_gates(entry, self._rules_of(entry), alpha)

    def _rules_of(self, entry: Entry) -> Rules:
        return self.rules.get(case_of(entry), NO_RULES)


def _never_comparable(entry: Entry, rules: Rules, alpha: float) -> str:
    """Return why nothing could be compared with an entry, such as values that are no numbers."""
    itself = pair(entry, entry)
    found = [
        compare_values(gate, itself, rules, alpha) for gate in entry.values if rules.compares(gate)
    ]
    return "; ".join(
        comparison.note
        for comparison in found
        if not isinstance(comparison, str) and comparison.degree == "incomparable"
    )


def is_gone(place: Place, whole: Mapping[str, Collection[str]]) -> bool:
    """Return whether an accepted case is no longer there.

    Args:
        place: its module and key.
        whole: by module that was collected whole, the keys that are there.
    """
    module, key = place
    return module in whole and key not in whole[module]


def _of(module: str, cases: Mapping[Place, Accepted]) -> dict[str, Accepted]:
    return {key: case for (of, key), case in cases.items() if of == module}


def _place(entry: Entry) -> Place:
    return entry.module, entry.key


def _case(change: Change) -> str:
    return change.case


# ---- ids


def numbered(key: str, arguments: Collection[str] | None = None) -> bool:
    """Return whether pytest numbered a parameter of a case itself: `model0`, `<lambda>`, `build1`.

    Such an id says where in a list a value stands. With another list it means another case, and
    what was accepted under it is compared with that: `ids=` or `pytest.param(…, id=…)` names it.

    Args:
        key: a case's key.
        arguments: the names of the test's parameters, by which pytest numbers; where they are not
            known, every word with a number behind it is taken for one.
    """
    _, bracket, rest = key.partition("[")
    parts = rest.rpartition("]")[0].split("-") if bracket else []
    words = r"[^\W\d]\w*?" if arguments is None else "|".join(map(re.escape, arguments)) or "(?!)"
    return any(re.fullmatch(rf"(<lambda>\d*|({words})_?\d+)", part) for part in parts)
