"""The gate, tried on known bugs in real trainings, beside the rules that others use.

Collected only when named, a quarter of an hour on one thread:

    DLBENCH_STUDY=study pytest benchmarks/internals/test_gate.py -s

The folder keeps the trained runs, which are read again the next time, and gets the pictures and the
tables (`tables.md`) of `docs/gate.md`. Without it nothing is kept.
"""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from benchmarks.internals.alarms import LOOKS, Replays, replayed_suites
from benchmarks.internals.bugs import (
    BUGS,
    DROPPED_BATCH,
    FROZEN_BIAS,
    HARMLESS,
    MOVED,
    SETTINGS,
)
from benchmarks.internals.judges import (
    RULES,
    drawn,
    effects,
    judged,
    share_caught,
    shares_flagged,
)
from benchmarks.internals.pictures import draw_pairs, draw_power, draw_rules
from benchmarks.internals.pools import ALPHA, BUG_RUNS, CLEAN_RUNS, FEW_RUNS, Pool, pool_of
from dlbench.gate.comparisons import select
from dlbench.gate.entry import TRAINING_LOSS
from dlbench.gate.judging import SHARES, compare
from dlbench.gate.rules import FAILED
from dlbench.statistics import smallest_effect

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from dlbench.gate.verdict import Verdict

SUITES = 10_000
DRAWS = 200
COUNTS = (5, 8, 16, 32)
"""Seeds accepted, and trained anew."""

FACTOR = 8.5
"""A bug this many standard errors beyond the margin is caught 99 times in 100, from 16 seeds on."""
CERTAIN_FROM = 16

HARMLESS_DRAWS = 300

COMPARED = 100
"""Replays whose p values are held against the gate's own, for each case and change."""


@dataclass(frozen=True)
class Study:
    """The pools, and what was found in them so far."""

    pools: list[Pool]
    folder: Path
    caught: dict[tuple[str, str | None, int], float] = field(default_factory=dict)

    def share(self, pool: Pool, change: str | None, n: int) -> float:
        """Return the share of draws of n seeds that the gate calls worse."""
        key = (pool.name, change, n)
        if key not in self.caught:
            self.caught[key] = share_caught(pool, change, n, DRAWS)
        return self.caught[key]

    def bugs(self) -> Iterator[tuple[Pool, str]]:
        """Yield every pool with each bug it was trained with."""
        for pool in self.pools:
            for bug in BUGS:
                if bug.name in pool.changed:
                    yield pool, bug.name

    def show(self, title: str, head: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
        """Print a table, and add it to the folder's file."""
        lines = [f"| {' | '.join(row)} |" for row in (head, ["---"] * len(head), *rows)]
        text = "\n".join(["", title, "", *lines, ""])
        print(text)
        with (self.folder / "tables.md").open("a", encoding="utf-8") as file:
            file.write(text)


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Study:
    """Return the pools, trained where the folder does not hold them yet."""
    named = os.environ.get("DLBENCH_STUDY")
    folder = Path(named) if named else tmp_path_factory.mktemp("study")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "tables.md").write_text("", encoding="utf-8")
    return Study([pool_of(setting, folder) for setting in SETTINGS], folder)


def test_pools(study: Study) -> None:
    """Every case has 512 clean runs, as many with moved weights, and 128 with each bug."""
    for pool in study.pools:
        assert len(pool.clean.seeds) == len(pool.changed[MOVED.name].seeds) == CLEAN_RUNS
    for pool, bug in study.bugs():
        assert pool.changed[bug].seeds == pool.clean.seeds[:BUG_RUNS]
    rows = []
    for pool in study.pools:
        losses, moved = pool.losses(), pool.losses(MOVED.name)
        sizes = (np.std(losses), np.std(losses[1::2] - losses[::2]), np.std(moved - losses))
        rows.append((pool.name, *(f"{100 * size:.2g} %" for size in sizes)))
    head = ("case", "seeds", "two seeds", "one seed, weights moved by 1e-6")
    study.show("Standard deviation of the training loss over the run", head, rows)


def test_power(study: Study) -> None:
    """Every bug that lies 8.5 standard errors beyond a margin is caught 99 times in 100."""
    rows = []
    for pool, bug in study.bugs():
        effect = effects(pool, bug)[TRAINING_LOSS]
        size = f"{round(100 * np.expm1(effect.mean), 1) + 0.0:+.1f} %"
        shares = (percent(study.share(pool, bug, n)) for n in COUNTS)
        rows.append((pool.name, bug, size, f"{100 * effect.deviation:.2f} %", *shares))
    head = ("case", "bug", "effect", "sd of a pair", *(f"{n} seeds" for n in COUNTS))
    study.show("Share called worse (%)", head, rows)
    counts = [n for n in COUNTS if n >= CERTAIN_FROM]
    certain = [
        (pool, bug, n)
        for pool, bug in study.bugs()
        for n in counts
        if any(
            e.mean >= e.threshold(n, FACTOR) for e in effects(pool, bug).values() if e.pairs > 100
        )
    ]
    print(
        f"{len(certain)} of {len(counts) * len(rows)} lie {FACTOR} standard errors beyond a margin"
    )
    assert len(certain) >= 40
    assert [
        (pool.name, bug, n) for pool, bug, n in certain if study.share(pool, bug, n) < 0.99
    ] == []
    draw_power(study.pools, study.caught, counts, FACTOR, study.folder / "gate-power.png")
    draw_pairs(
        study.pools[0],
        (BUGS[0].name, DROPPED_BATCH.name, FROZEN_BIAS.name, MOVED.name),
        study.folder / "gate-pairs.png",
    )


def test_certain_effects(study: Study) -> None:
    """The factor of 8.5 is that of 16 seeds, within 3 %; it is smaller with 32."""
    factors = {
        n: smallest_effect(1.0, n, margin=0, alpha=ALPHA * SHARES["last"]) * n**0.5 for n in COUNTS
    }
    rows = [(f"{n}", f"{found:.1f}", f"{1 + found / n**0.5:.1f} %") for n, found in factors.items()]
    head = ("seeds", "standard errors beyond the margin", "with a pair's sd of 1 %")
    study.show("What is caught 99 times in 100, by theory", head, rows)
    assert abs(factors[16] / FACTOR - 1) < 0.03
    assert factors[32] < FACTOR < factors[8] < factors[5]


def test_rules_of_others(study: Study) -> None:
    """Nothing harmless is worse for the gate; a golden value on one seed fails by mere seeds."""
    for pool in study.pools:
        changes = (None, MOVED.name, *(bug for other, bug in study.bugs() if other is pool))
        table = {
            change or "other seeds, no change": {
                **shares_flagged(pool, change, DRAWS),
                "dlbench": study.share(pool, change, 32),
            }
            for change in changes
        }
        rows = [(name, *map(percent, shares.values())) for name, shares in table.items()]
        study.show(f"{pool.name}: flagged (%)", ("change", *next(iter(table.values()))), rows)
        harmless, *_ = table.values()
        assert study.share(pool, None, 32) == study.share(pool, MOVED.name, 32) == 0
        if pool is study.pools[0]:
            assert harmless["golden ±5 %"] > 0.3
            draw_rules(table, study.folder / "gate-rules.png")


def test_rounding(study: Study) -> None:
    """A frozen bias and a dropped batch are seen as changed; rounding by other means is not."""
    rows = []
    for pool in study.pools:
        for change in (FROZEN_BIAS, DROPPED_BATCH):
            if change.name in pool.changed:
                found = verdicts(pool, change.name)
                beyond = sum(verdict.rounding.beyond is True for verdict in found) / DRAWS
                rows.append((pool.name, change.name, percent(beyond)))
                assert not {verdict.degree for verdict in found} & {"identical", "rounding"}
                assert beyond >= 0.99
        moved = [same_start(pool, MOVED.name, draw) for draw in range(HARMLESS_DRAWS)]
        beyond = sum(verdict.rounding.beyond is not False for verdict in moved) / HARMLESS_DRAWS
        rows.append((pool.name, MOVED.name, percent(beyond)))
        assert beyond <= 0.01
        for change in HARMLESS:
            if len(pool.changed[change.name].seeds) == FEW_RUNS:
                accepted = select(pool.clean, pool.clean.seeds[: COUNTS[-1]])
                verdict = judged(accepted, pool.changed[change.name])
                rows.append((pool.name, change.name, verdict.degree))
                assert verdict.degree in {"identical", "rounding"}
                assert not verdict.rounding.beyond
    study.show("Beyond rounding (%)", ("case", "change", "seen"), rows)


@pytest.mark.parametrize("change", [None, MOVED.name], ids=["other seeds", "same seeds"])
def test_false_alarms(study: Study, change: str | None) -> None:
    """A suite of 60 cases goes red without cause in at most 1 % of runs, with confidence of 95 %."""
    for pool in study.pools:
        check_against_gate(pool, change)
    alarms = replayed_suites(study.pools, change, SUITES)
    row = (
        f"{alarms.suites:,}", f"{alarms.red}", f"{100 * alarms.upper:.3f} %",
        f"{alarms.worse_cases} of {alarms.cases:,}", f"{alarms.worse_means}", f"{alarms.judged:,}",
    )  # fmt: skip
    head = ("suites", "red", "at most", "cases worse", "worse by their mean", "judged by the gate")
    study.show(f"False alarms: {change or 'other seeds'}", head, [row])
    assert alarms.upper <= 0.01


def test_lost_pairing(study: Study) -> None:
    """Other seeds are never called worse in 200 draws a case; what they hide is large."""
    rows = []
    for pool in study.pools:
        found = verdicts(pool, None)
        assert not {v.degree for v in found} - {"equivalent", "compatible", "undecided"}
        assert {v.link for v in found} == {"broken"}
        untold = Counter(c.gate for v in found for c in v.having("undecided"))
        named = ", ".join(f"{gate} {percent(n / DRAWS)}" for gate, n in untold.most_common())
        case = sum(verdict.degree == "undecided" for verdict in found)
        losses = [v.comparison(TRAINING_LOSS) for v in found]
        size = np.expm1(np.median([c.sees for c in losses if c is not None and c.sees]))
        shown = f"{100 * size:.0f} %" if size < 1 else "above 100 %"
        rows.append((pool.name, percent(case / DRAWS), named, shown))
    head = ("case", "cannot tell", "which gate cannot", "the loss would show")
    study.show("What is left without pairs (%)", head, rows)


# ---- what the tests share


def percent(share: float) -> str:
    """Return a share in per cent; a dash where there is none."""
    return "–" if np.isnan(share) else f"{100 * share:.3g}"


def verdicts(pool: Pool, change: str | None) -> list[Verdict]:
    """Return the gate's verdicts on draws of 32 seeds."""
    replays = Replays(pool, change, DRAWS, [1, 1])
    return [replays.verdict(replay) for replay in range(DRAWS)]


def same_start(pool: Pool, change: str, draw: int) -> Verdict:
    """Return a verdict on runs whose moved weights count as the accepted ones.

    So they stand for another machine's arithmetic, which moves runs that start alike.
    """
    generator = np.random.default_rng([3, draw])
    rows = generator.choice(BUG_RUNS, COUNTS[-1], replace=False)
    accepted, new = drawn(pool, change, rows, rows)
    return judged(accepted, replace(new, starts=accepted.starts))


def check_against_gate(pool: Pool, change: str | None) -> None:
    """Hold the p values of some replays against the gate's own, gate by gate, at both looks."""
    replays = Replays(pool, change, COMPARED, [2, 2])
    for look, n in LOOKS.items():
        p = {gate: replays.p(gate, look) for gate in (*pool.clean.values, FAILED)}
        for replay in range(COMPARED):
            rows = replays.old_rows[replay], replays.new_rows[replay]
            accepted, new = drawn(pool, change, *rows)
            verdict = compare(accepted, select(new, accepted.seeds[:n]), RULES, look=look)
            for found in verdict.comparisons:
                if found.test is not None:
                    assert p[found.gate][replay] == pytest.approx(found.test.p, rel=1e-9)
