"""The gate as a pytest run applies it, and beside it the rules that others use."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from scipy import stats

from dlbench.gate.comparisons import failed, measure_of, select
from dlbench.gate.entry import STEPS_TO_TARGET
from dlbench.gate.incomparable import FIRST_LOOK
from dlbench.gate.judging import compare, wants_more
from dlbench.gate.rules import Rules
from dlbench.statistics import shift, welch

if TYPE_CHECKING:
    from benchmarks.internals.pools import Pool
    from dlbench.gate.entry import Entry
    from dlbench.gate.verdict import Verdict

RULES = Rules.of()
"""What a test compares that says nothing about it."""

LOOSE = 0.01
"""The error rate that Welch's test is run at: a hundredth of one, not of a suite's."""

REFERENCE, SUBMISSION = 20, 10
"""Runs that MLPerf's rule asks of a reference and of a submission."""

RULE_SEEDS = 16


def judged(accepted: Entry, new: Entry) -> Verdict:
    """Return the verdict after one look or two, as `dlbench.plugin.gating` comes to it."""
    if len(accepted.seeds) <= FIRST_LOOK:
        return compare(accepted, new, RULES, look="last")
    few = select(new, accepted.seeds[:FIRST_LOOK])
    verdict = compare(accepted, few, RULES, look="first")
    if wants_more(verdict, accepted, few) and len(new.seeds) == len(accepted.seeds):
        verdict = compare(accepted, new, RULES, look="last")
    return verdict


def drawn(
    pool: Pool, change: str | None, rows: np.ndarray, other: np.ndarray
) -> tuple[Entry, Entry]:
    """Return an accepted entry and a new one.

    Args:
        pool: where both come from.
        change: of the new one; None for a fresh draw without a change.
        rows: shape `(n,)`, the accepted seeds' places.
        other: shape `(n,)`, those of the fresh draw.
    """
    accepted = select(pool.clean, [pool.clean.seeds[row] for row in rows])
    if change is not None:
        return accepted, select(pool.changed[change], accepted.seeds)
    fresh = select(pool.clean, [pool.clean.seeds[row] for row in other])
    return accepted, replace(fresh, seeds=accepted.seeds)


@dataclass(frozen=True)
class Effect:
    """What a change does to one gate's value, over all pairs of a pool that trained."""

    mean: float
    deviation: float
    margin: float
    pairs: int

    def threshold(self, n: int, factor: float) -> float:
        """Return margin + factor x deviation / √n."""
        return float(self.margin + factor * self.deviation / np.sqrt(n))


def effects(pool: Pool, change: str) -> dict[str, Effect]:
    """Return the effect of a change on each gate, in the gate's unit; positive is worse."""
    new = pool.changed[change]
    old = select(pool.clean, new.seeds)
    trained = ~(failed(old) | failed(new))
    found = {}
    for gate in pool.clean.values:
        measure = measure_of(gate, pool.clean, RULES)
        margin = RULES.margin(gate, measure.unit)
        moved = measure.worse * (measure.take(new, trained) - measure.take(old, trained))
        found[gate] = Effect(
            mean=float(moved.mean()),
            deviation=float(moved.std(ddof=1)),
            margin=float(np.log1p(margin)) if measure.unit == "log" else margin,
            pairs=int(trained.sum()),
        )
    return found


# ---- others' rules


def golden_value(old: np.ndarray, new: np.ndarray) -> bool:
    """Return whether one seed's loss lies outside ±5 % of the value that was kept.

    Args:
        old: shape `(seeds,)`, log losses over the run; the first is the one seed.
        new: as `old`.
    """
    return bool(abs(np.expm1(new[0] - old[0])) > 0.05)


def mean_loss(old: np.ndarray, new: np.ndarray) -> bool:
    """Return whether the mean loss over the seeds is more than 5 % larger than it was."""
    return bool(np.exp(new).mean() > 1.05 * np.exp(old).mean())


def unpaired(old: np.ndarray, new: np.ndarray) -> bool:
    """Return whether Welch's t test, one-sided at 1 %, finds the losses larger."""
    return welch(new, old, alpha=LOOSE).significant


def paired(old: np.ndarray, new: np.ndarray) -> bool:
    """Return whether the paired t test, one-sided at 1 %, finds a slow-down beyond 1 %."""
    return shift(new - old, margin=float(np.log1p(0.01)), alpha=LOOSE).significant


def reference_points(reference: np.ndarray, submission: np.ndarray, *, slower: bool) -> bool:
    """Return whether MLPerf's rule of reference convergence points rejects a submission.

    The smallest and the largest of the updates to the target are left out on both sides, which leaves
    n runs of the reference and k of the submission. Its mean must not lie further from the
    reference's than t s √(1/n + 1/k), with s the standard deviation of all the reference's runs, and t
    Student's at 5 % with n + k - 2 degrees of freedom. More than one run that never got there is
    rejected.

    Source: `mlperf_logging/rcp_checker/rcp_checker.py` of mlcommons/logging.

    Args:
        reference: shape `(n,)`, updates to the target, finite.
        submission: shape `(k,)`; `inf` where never.
        slower: reject what is too slow, the rule's mirror, in place of what is too fast.
    """
    if np.isinf(submission).sum() > 1:
        return True
    kept, sent = np.sort(reference)[1:-1], np.sort(submission)[1:-1]
    n, k = len(kept), len(sent)
    reach = stats.t.ppf(0.95, n + k - 2) * np.std(reference) * np.sqrt(1 / n + 1 / k)
    distance = sent.mean() - kept.mean()
    return bool((distance if slower else -distance) > reach)


def shares_flagged(pool: Pool, change: str | None, draws: int, seed: int = 0) -> dict[str, float]:
    """Return, by rule, the share of draws that it flags; NaN where it cannot be applied.

    Args:
        pool: of a setting.
        change: None for a fresh draw of seeds.
        draws: how many.
        seed: of the draws.
    """
    generator = np.random.default_rng(seed)
    source = pool.entry(change)
    names = ("golden ±5 %", "mean +5 %", "Welch", "paired t", "RCP", "RCP mirrored")
    old, new = pool.losses(), pool.losses(change)
    steps = [np.array(entry.values[STEPS_TO_TARGET]) for entry in (pool.clean, source)]
    reached = np.flatnonzero(np.isfinite(steps[0][: len(new)]))
    applies = len(reached) > 0.9 * len(new)  # a reference has to get there
    flags = []
    for _ in range(draws):
        rows = generator.choice(len(new), 2 * RULE_SEEDS, replace=False)
        here = rows[:RULE_SEEDS]
        there = rows[RULE_SEEDS:] if change is None else here
        losses = (old[here], new[there])
        votes = [rule(*losses) for rule in (golden_value, mean_loss, unpaired, paired)]
        if applies:
            some = generator.choice(reached, REFERENCE, replace=False)
            others = np.setdiff1d(np.arange(len(new)), some)
            sent = steps[1][generator.choice(others, SUBMISSION, replace=False)]
            votes += [reference_points(steps[0][some], sent, slower=way) for way in (False, True)]
        flags.append(votes)
    found = dict(zip(names, np.mean(flags, axis=0), strict=False))
    return {name: float(found.get(name, np.nan)) for name in names}


def share_caught(pool: Pool, change: str | None, n: int, draws: int, seed: int = 0) -> float:
    """Return the share of draws of n seeds in which the gate says worse."""
    generator = np.random.default_rng([seed, n])
    size = len(pool.entry(change).seeds)
    caught = 0
    for _ in range(draws):
        rows = generator.choice(size, 2 * n if change is None else n, replace=False)
        caught += judged(*drawn(pool, change, rows[:n], rows[n:])).degree == "regressed"
    return caught / draws
