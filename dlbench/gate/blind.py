"""Gates that could never fail with the seeds given: what is refused or named at accept."""

from __future__ import annotations

import math
from bisect import bisect_left
from typing import TYPE_CHECKING

from dlbench.gate.comparisons import failed
from dlbench.gate.judging import SHARES
from dlbench.gate.rules import FAILED, least_pairs
from dlbench.statistics import excess_share

if TYPE_CHECKING:
    from dlbench.gate.entry import Entry
    from dlbench.gate.rules import Rules

MOST_SEEDS = 4096
"""A gate that needs more seeds than these needs more than anybody trains."""


def too_few_seeds(entry: Entry, rules: Rules, alpha: float) -> str:
    """Return why a case has too few seeds to be accepted, in words with the number it needs.

    Judged as if every run had trained: it is the number of seeds that is refused, not a workload
    whose runs fail. A case is refused where none of its gates could ever fail, or where one cannot
    that the test's rules name. "" where it has enough.

    Args:
        entry: the case.
        rules: what its test says of its gates.
        alpha: the error rate of each test.
    """
    n = len(entry.seeds)
    needs = {gate: seeds_needed(gate, n, 0, alpha) for gate in _tested(entry, rules)}
    lacking = {gate: seeds for gate, seeds in needs.items() if seeds > n}
    if not lacking or (len(lacking) < len(needs) and rules.gates is None):
        return ""
    least = min(lacking.values()) if rules.gates is None else max(lacking.values())
    return (
        f"with {n} seeds {', '.join(lacking)} could never fail: it needs {least} or more, "
        f"--dlbench-seeds={least} or seeds={least} in the call"
    )


def blind_gates(entry: Entry, rules: Rules, alpha: float) -> tuple[str, ...]:
    """Return the gates of a case that cannot fail with its seeds, in words, and what they need.

    Such as the failed share where most runs fail already, by design: the other gates stand. Gates
    that need as many seeds are told together.
    """
    n, bad = len(entry.seeds), int(failed(entry).sum())
    words = f"{n} seeds" + (f", {bad} of which failed" if bad else "")
    lacking: dict[int, list[str]] = {}
    for gate in _tested(entry, rules):
        if (seeds := seeds_needed(gate, n, bad, alpha)) > n:
            lacking.setdefault(seeds, []).append(gate)
    return tuple(
        f"{', '.join(gates)} cannot fail with {words}"
        + (
            f": {'it needs' if len(gates) == 1 else 'they need'} {seeds}"
            if seeds <= MOST_SEEDS
            else ""
        )
        for seeds, gates in lacking.items()
    )


def seeds_needed(gate: str, n: int, bad: int, alpha: float) -> int:
    """Return the seeds with which a gate could fail; at most n where it can with n.

    A t test of paired differences can reach any error rate, once it has its pairs. Fisher's test
    cannot with few seeds, even where all of them fail.

    Args:
        gate: its name.
        n: the seeds that there are, >= 1.
        bad: how many of them failed; with other numbers of seeds the share is the same.
        alpha: the error rate of the test, of which the last look takes its share.
    """
    if bad == n:
        return MOST_SEEDS + 1
    if gate != FAILED:
        return math.ceil(least_pairs(gate) * n / (n - bad))
    least, last = least_pairs(FAILED), alpha * SHARES["last"]

    def can_fail(seeds: int) -> bool:
        return excess_share(seeds, seeds, round(bad / n * seeds), seeds).p < last

    if n >= least and can_fail(n):
        return n
    larger = range(max(least, n + 1), MOST_SEEDS + 1)
    return larger.start + bisect_left(larger, True, key=can_fail)


def _tested(entry: Entry, rules: Rules) -> list[str]:
    """Return the gates of a case that make a test, whether or not its seeds suffice for it."""
    gates = [*entry.values, FAILED] if entry.values else []
    return [gate for gate in gates if rules.compares(gate)]
