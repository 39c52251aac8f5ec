"""False alarms of a whole suite: 60 cases replayed many times, without anything wrong.

The gate takes a millisecond or two for a case, and a million cases are judged. So every replay's
p values are computed at once, by the same formulas on arrays, at both looks; and every case that
either look might find worse is handed to the gate itself, which alone decides. A case that neither
look finds worse is not worse for the gate, whichever looks it takes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy import special, stats

from benchmarks.internals.judges import RULES, drawn, judged
from benchmarks.internals.pools import ALPHA
from dlbench.gate.comparisons import failed, measure_of
from dlbench.gate.entry import TRAINING_LOSS
from dlbench.gate.incomparable import FIRST_LOOK
from dlbench.gate.judging import SHARES
from dlbench.gate.rules import FAILED, MARGINS, least_pairs
from dlbench.gate.suite import SHARE, judge_suite

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from benchmarks.internals.pools import Pool
    from dlbench.gate.verdict import Look, Verdict

CASES = 60
SEEDS = 32
LOOKS: Mapping[Look, int] = {"first": FIRST_LOOK, "last": SEEDS}

SURE = 1.001
"""A p value below so many times the error rate is left to the gate."""
SUITE_SURE = 10.0
"""The same for the mean effect of a suite, whose cases may have taken different looks."""
CHUNK = 2000


@dataclass(frozen=True)
class Column:
    """One gate's value for all runs of a pool, larger where worse."""

    old: np.ndarray
    new: np.ndarray
    margin: float
    least: int


class Replays:
    """Replays of one pool's case: the accepted seeds and the new ones, and what each look finds."""

    def __init__(self, pool: Pool, change: str | None, count: int, seed: Sequence[int]) -> None:
        """Draw the seeds.

        Args:
            pool: of a setting.
            change: of the new runs, from the same seeds; None for a fresh draw.
            count: replays.
            seed: of the draws.
        """
        self.pool, self.change = pool, change
        self._new = pool.entry(change)
        generator = np.random.default_rng(seed)
        size, wanted = len(self._new.seeds), 2 * SEEDS if change is None else SEEDS
        parts = []
        for start in range(0, count, CHUNK):
            keys = generator.random((min(CHUNK, count - start), size))
            parts.append(keys.argsort(axis=1)[:, :wanted].astype(np.int16))
        rows = np.concatenate(parts)
        self.old_rows, self.new_rows = rows[:, :SEEDS], rows[:, -SEEDS:]
        old_codes, new_codes = _codes(pool.clean.curves, self._new.curves)
        self._same = old_codes[self.old_rows] == new_codes[self.new_rows]
        self._bad_old = failed(pool.clean)[self.old_rows]
        self._bad_new = failed(self._new)[self.new_rows]
        self._columns = {gate: self._column(gate) for gate in pool.clean.values}

    def _column(self, gate: str) -> Column:
        clean, new = self.pool.clean, self._new
        measure = measure_of(gate, clean, RULES)
        margin = RULES.margin(gate, measure.unit)
        old_all, new_all = (np.ones(len(entry.seeds), dtype=bool) for entry in (clean, new))
        return Column(
            measure.worse * measure.take(clean, old_all),
            measure.worse * measure.take(new, new_all),
            float(np.log1p(margin)) if measure.unit == "log" else margin,
            least_pairs(gate),
        )

    def moments(self, gate: str, look: Look) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return mean, standard deviation and number of the differences, shape `(replays,)` each."""
        column, n = self._columns[gate], LOOKS[look]
        trained = ~(self._bad_old | self._bad_new)[:, :n]
        moved = column.new[self.new_rows[:, :n]] - column.old[self.old_rows[:, :n]]
        moved = np.where(trained & ~self._same[:, :n], moved, 0.0)
        count = trained.sum(axis=1)
        mean = moved.sum(axis=1) / np.maximum(count, 1)
        squares = (np.where(trained, moved - mean[:, None], 0.0) ** 2).sum(axis=1)
        return mean, np.sqrt(squares / np.maximum(count - 1, 1)), count

    def p(self, gate: str, look: Look) -> np.ndarray:
        """Return the p value of one gate at one look, shape `(replays,)`; 1 where it does not run."""
        if gate == FAILED:
            return self._p_of_failures(LOOKS[look])
        column = self._columns[gate]
        mean, deviation, count = self.moments(gate, look)
        beyond = mean - column.margin
        flat = deviation == 0
        error = np.where(flat, 1.0, deviation) / np.sqrt(np.maximum(count, 1))
        p = special.stdtr(np.maximum(count - 1, 1), -beyond / error)
        p = np.where(flat, np.where(beyond > 0, 2.0**-count, 1.0), p)
        return np.where(count >= column.least, p, 1.0)

    def _p_of_failures(self, n: int) -> np.ndarray:
        now, before = self._bad_new[:, :n].sum(axis=1), self._bad_old.sum(axis=1)
        return np.asarray(stats.hypergeom.sf(now - 1, n + SEEDS, now + before, n))

    def may_be_worse(self) -> np.ndarray:
        """Return which replays a look might find worse, shape `(replays,)`."""
        found = np.zeros(len(self.old_rows), dtype=bool)
        for look, share in SHARES.items():
            for gate in (*self._columns, FAILED):
                if gate != FAILED or self._bad_new.any():
                    found |= self.p(gate, look) < SURE * ALPHA * share
        return found

    def verdict(self, replay: int) -> Verdict:
        """Return what the gate itself says of a replay."""
        return judged(*drawn(self.pool, self.change, self.old_rows[replay], self.new_rows[replay]))


@dataclass(frozen=True)
class Alarms:
    """What came of replaying a suite."""

    suites: int
    red: int
    """Suites with a case worse, or worse as a whole."""
    cases: int
    worse_cases: int
    worse_means: int
    judged: int
    """Cases that the gate itself judged."""

    @property
    def upper(self) -> float:
        """The upper end of the red share's interval at 95 % (Clopper and Pearson 1934)."""
        return float(stats.binomtest(self.red, self.suites).proportion_ci().high)


def replayed_suites(
    pools: Sequence[Pool], change: str | None, suites: int, seed: int = 0
) -> Alarms:
    """Return how many suites of 60 cases go red.

    Args:
        pools: the cases, each in equal number.
        change: a harmless one, from the same seeds; None for a fresh draw.
        suites: how many.
        seed: of the draws.
    """
    each = CASES // len(pools)
    cases = [
        Replays(pool, change, suites, [seed, number, copy])
        for number, pool in enumerate(pools)
        for copy in range(each)
    ]
    worse, by_gate = np.zeros(suites, dtype=int), 0
    for case in cases:
        for replay in np.flatnonzero(case.may_be_worse()):
            by_gate += 1
            worse[replay] += case.verdict(int(replay)).degree == "regressed"
    suspects, means = _suspect_means(cases), np.zeros(suites, dtype=bool)
    for suite in np.flatnonzero(suspects):
        means[suite] = judge_suite([case.verdict(int(suite)) for case in cases]).worse
    return Alarms(
        suites=suites,
        red=int(((worse > 0) | means).sum()),
        cases=suites * len(cases),
        worse_cases=int(worse.sum()),
        worse_means=int(means.sum()),
        judged=by_gate + int(suspects.sum()) * len(cases),
    )


def _suspect_means(cases: Sequence[Replays]) -> np.ndarray:
    """Return which suites might be worse by their mean effect, shape `(suites,)`."""
    margin, found = np.log1p(MARGINS[TRAINING_LOSS]), False
    for look in LOOKS:
        effects = np.stack([case.moments(TRAINING_LOSS, look)[0] for case in cases], axis=1)
        error = effects.std(axis=1, ddof=1) / np.sqrt(effects.shape[1])
        t = (effects.mean(axis=1) - margin) / np.maximum(error, 1e-300)
        found |= special.stdtr(effects.shape[1] - 1, -t) < SUITE_SURE * SHARE * 0.01
    return np.asarray(found)


def _codes(*columns: Sequence[str]) -> list[np.ndarray]:
    """Return digests as whole numbers, equal just where they are."""
    known = {text: code for code, text in enumerate(sorted(set().union(*columns)))}
    return [np.array([known[text] for text in column]) for column in columns]
