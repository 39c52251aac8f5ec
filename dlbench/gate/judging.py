"""A case's verdict from its two entries: every gate, pairing, rounding, and what differs."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from dlbench.errors import GateError
from dlbench.gate.changes import changes
from dlbench.gate.comparisons import (
    Comparison,
    Degree,
    Pairing,
    compare_exactly,
    compare_failures,
    compare_values,
    failed,
    largest_unseen,
    margin_in,
    pair,
)
from dlbench.gate.incomparable import FIRST_LOOK, incomparable
from dlbench.gate.rounding import Rounding, judge_rounding
from dlbench.gate.rules import (
    FAILED,
    LEAST_OTHERS,
    PARAMETERS,
    POINTS,
    Rules,
    least_pairs,
    tests_of,
)
from dlbench.gate.verdict import SEVERITY, Link, Look, Verdict
from dlbench.statistics import excess_share, pairs_needed, smallest_effect

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from dlbench.gate.entry import Entry

SHARES: Mapping[Look, float] = {"first": 0.2, "last": 0.8}
"""Of a test's error rate, what each look takes: two looks together never take more than all."""

LIKELY = 0.5
"""More seeds are trained where they are as likely as not to show an effect as large as the one seen.

Any surer, and the second look would hardly ever be taken: with 16 and 32 seeds and a rate of 4.2e-5
a mean that lies 1.55 standard deviations beyond the margin is found at the first look already; 32
seeds find 1.29 of them 99 times in 100, and 0.81 every other time. Without a change a mean lies so
far out 3 times in 1,000, so that the extra seeds cost next to nothing."""


def compare(
    accepted: Entry, new: Entry, rules: Rules, *, look: Look, first_look: int = FIRST_LOOK
) -> Verdict:
    """Return the verdict on a case.

    Args:
        accepted: the baseline's entry.
        new: made with the accepted entry's floor; its seeds are matched by value.
        rules: what the test says of its gates.
        look: "last" where all the baseline's seeds were trained, else "first".
        first_look: seeds that the first look takes at least, where the baseline has as many.

    Raises:
        GateError: the rules name what the case does not have; the floors differ; the accepted
            entry has no error rate.
    """
    if accepted.kind != "parameters":
        known = {**new.higher_is_better, **accepted.higher_is_better}
        rules.check({**accepted.values, **new.values}, known)
    told = Verdict(
        accepted.key,
        "incomparable",
        look,
        of=len(accepted.seeds),
        differs=changes(accepted.experiment, new.experiment),
        drift=changes(accepted.environment, new.environment),
    )
    least = first_look if look == "first" else len(accepted.seeds)
    if reason := incomparable(accepted, new, rules, least):
        return replace(told, reason=reason)
    pairing = pair(accepted, new)
    alpha = _alpha(accepted, rules)
    exact = tuple(_exact_gates(accepted, new, rules))
    compared, skipped = _gates(pairing, rules, alpha * SHARES[look])
    broken, unknown = _broken(pairing)
    link: Link = "broken" if broken else "unproven" if unknown else "intact"
    share = alpha * len(tests_of(accepted, rules))  # what all of the case's tests take together
    rounding = judge_rounding(pairing, share, paired=link == "intact") if share else Rounding()
    newly = failed(pairing.new) & ~failed(pairing.accepted)
    told = replace(
        told,
        comparisons=exact + compared,
        skipped=skipped,
        seeds=len(pairing.new.seeds),
        link=link,
        broken=broken,
        rounding=rounding,
        newly_failed=tuple(pairing.new.seeds[index] for index in np.flatnonzero(newly)),
        notes=tuple(_notes(accepted, new)),
    )
    return replace(told, degree=_degree(told, pairing))


def wants_more(verdict: Verdict, accepted: Entry, new: Entry) -> bool:
    """Return whether training the rest of the baseline's seeds would decide a case.

    It would where a gate's mean lies beyond its margin and the pairs that show it are within the
    baseline's; where a gate that cannot tell would with them; where as large a share of failures
    among them would be an excess. No more than rounding is no reason against it: where rounding
    moves a case far, a slow-down hides in it.
    """
    if not 0 < verdict.seeds < len(accepted.seeds):
        return False
    if verdict.degree in {"regressed", "identical", "incomparable"}:
        return False
    alpha, growth = (accepted.alpha or 0.0) * SHARES["last"], len(accepted.seeds) / verdict.seeds
    return any(
        _more_failures(accepted, new, alpha)
        if found.gate == FAILED
        else _more_pairs(found, int(found.pairs * growth), alpha)
        for found in verdict.comparisons
        if found.unit is not None or found.gate == FAILED
    )


def _more_pairs(found: Comparison, pairs: int, alpha: float) -> bool:
    """Return whether a gate would be decided with so many pairs."""
    if found.test is None or found.deviation is None:
        return pairs >= least_pairs(found.gate)
    effect, deviation, margin = found.test.estimate, found.deviation, margin_in(found)
    needed = pairs_needed(effect, deviation, margin=margin, alpha=alpha, power=LIKELY)
    if needed is not None and needed <= pairs:
        return True
    if found.degree != "undecided":
        return False
    sees = smallest_effect(deviation, pairs, margin=margin, alpha=alpha)
    return sees <= largest_unseen(found.unit)


def _more_failures(accepted: Entry, new: Entry, alpha: float) -> bool:
    bad, before, n = failed(new), failed(accepted), len(accepted.seeds)
    if n < LEAST_OTHERS:
        return False
    if len(new.seeds) < LEAST_OTHERS:
        return True
    count = round(float(bad.mean()) * n)
    return excess_share(count, n, int(before.sum()), n, alpha=alpha).significant


def _alpha(accepted: Entry, rules: Rules) -> float:
    if accepted.alpha is None and tests_of(accepted, rules):
        raise GateError(f"{accepted.key}: the accepted entry has no error rate: accept it again")
    return accepted.alpha or 0.0


def _exact_gates(accepted: Entry, new: Entry, rules: Rules) -> Iterator[Comparison]:
    if rules.compares(PARAMETERS):
        for name, count in accepted.parameters.items():
            label = name if name == PARAMETERS else f"{name} {PARAMETERS}"
            yield compare_exactly(PARAMETERS, count, new.parameters.get(name), label)
    if rules.compares(POINTS) and accepted.kind != "parameters":
        yield compare_exactly(POINTS, accepted.points, new.points, "evaluation points")


def _gates(
    pairing: Pairing, rules: Rules, alpha: float
) -> tuple[tuple[Comparison, ...], dict[str, str]]:
    """Return the comparisons of the gates that take a share of the error rate; and who did not run."""
    if pairing.whole.kind == "parameters":
        return (), {}
    results: dict[str, Comparison | str] = {
        gate: compare_values(gate, pairing, rules, alpha)
        for gate in pairing.whole.values
        if rules.compares(gate)
    }
    if rules.compares(FAILED):
        results[FAILED] = compare_failures(pairing, alpha)
    compared = tuple(result for result in results.values() if not isinstance(result, str))
    return compared, {gate: why for gate, why in results.items() if isinstance(why, str)}


def _broken(pairing: Pairing) -> tuple[tuple[str, ...], bool]:
    """Return what does not pair, and whether anything about pairing is unknown."""
    broken, unknown = [], False
    for what in ("starts", "orders"):
        old, new = getattr(pairing.accepted, what), getattr(pairing.new, what)
        if not old or not new:
            unknown = True
        elif old != new:
            broken.append({"starts": "initial weights", "orders": "order of data"}[what])
    return tuple(broken), unknown


def _notes(accepted: Entry, new: Entry) -> Iterator[str]:
    if fresh := [name for name in new.values if name not in accepted.values]:
        yield f"not in the baseline, so not compared: {', '.join(fresh)}"
    if accepted.repeats is False:
        yield "the loop does not repeat: one seed gave other curves the second time"


def _degree(told: Verdict, pairing: Pairing) -> Degree:
    degrees = [found.degree for found in told.comparisons] or ["undecided"]
    worst = max(degrees, key=SEVERITY.index)
    if worst in {"regressed", "improved", "incomparable"} or not told.seeds:
        return worst
    if pairing.same_curves.all():
        return "identical"
    same_failures = bool((failed(pairing.new) == failed(pairing.accepted)).all())
    if told.rounding.beyond is False and same_failures:
        return "rounding"
    return "equivalent" if worst == "identical" else worst
