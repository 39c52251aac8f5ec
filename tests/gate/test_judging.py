"""A case's verdict: the worst gate's degree, whatever the order of seeds and whoever stands where."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dlbench.errors import GateError
from dlbench.gate.comparisons import select
from dlbench.gate.judging import SHARES, compare, wants_more
from dlbench.gate.rules import Rules

if TYPE_CHECKING:
    from dlbench.gate.entry import Entry
    from dlbench.gate.verdict import Verdict
    from dlbench.plain import Plain
    from tests.gate.conftest import MakeEntry

ALPHA = 4.2e-5
"""A suite's 1 % over 60 cases of 4 tests."""

PAIRED = {"training_loss": 0.004, "val_loss": 0.01, "val_accuracy": 0.001, "steps_to_target": 0.02}
"""By gate, a standard deviation of paired differences under a real change."""
SLOWER = {"training_loss": 0.03, "val_loss": 0.06, "val_accuracy": 0.01, "steps_to_target": 0.2}
GATES = tuple(PAIRED)


def verdict(accepted: Entry, new: Entry, rules: Rules | None = None, **options: Any) -> Verdict:
    """Return the verdict at the last look, with the error rate of a suite."""
    options.setdefault("look", "last")
    return compare(replace(accepted, alpha=ALPHA), new, rules or Rules(), **options)


def yardstick(n: int) -> tuple[float, ...]:
    """Return how far rounding moves n seeds."""
    return tuple((1e-7 * np.abs(np.random.default_rng(0).standard_normal(n))).tolist())


# ---- degrees


def test_equal_runs_are_identical(make_entry: MakeEntry) -> None:
    """Curves equal bit for bit are identical, at any number of seeds, failed ones included."""
    for n in (3, 6, 16):
        found = verdict(make_entry(n, failed=[1]), make_entry(n, failed=[1]))
        assert (found.degree, found.shown, found.seeds, found.of) == ("identical", "same", n, n)


def test_a_slower_case_is_regressed(make_entry: MakeEntry) -> None:
    """It names the gates, the field that differs and the pairs; nothing needs more seeds."""
    sgd: dict[str, Plain] = {"class": "SGD", "learning_rate": 0.1, "momentum": 0.6}
    changed = {**make_entry().experiment, "optimizer": sgd}
    new = make_entry(worse=SLOWER, noise=PAIRED, experiment=changed)
    found = verdict(make_entry(), new)
    assert (found.degree, found.shown) == ("regressed", "worse")
    assert {gate.gate for gate in found.having("regressed")} == {*GATES}
    assert found.differs == ("optimizer.momentum 0.9 -> 0.6",)
    assert found.link == "intact"
    assert not wants_more(found, make_entry(), new)


@pytest.mark.parametrize("gate", GATES)
def test_one_bad_gate_is_enough(gate: str, make_entry: MakeEntry) -> None:
    """However good the others are."""
    better = {name: -2 * change for name, change in SLOWER.items()}
    new = make_entry(worse=better | {gate: SLOWER[gate]}, noise=PAIRED)
    found = verdict(make_entry(), new)
    assert found.degree == "regressed"
    assert [bad.gate for bad in found.having("regressed")] == [gate]


def test_a_faster_case_is_improved(make_entry: MakeEntry) -> None:
    """Better beyond the margin, and nothing worse."""
    better = {name: -change for name, change in SLOWER.items()}
    found = verdict(make_entry(), make_entry(worse=better, noise=PAIRED))
    assert (found.degree, found.shown) == ("improved", "better")


def test_a_small_change_is_equivalent_and_beyond_rounding(make_entry: MakeEntry) -> None:
    """The verdict tells that more than rounding moved, though it is within every margin."""
    accepted = make_entry(yardstick=yardstick(16))
    found = verdict(accepted, make_entry(noise={gate: PAIRED[gate] / 4 for gate in GATES}))
    assert (found.degree, found.rounding.beyond) == ("equivalent", True)


def test_rounding(make_entry: MakeEntry) -> None:
    """What moved no further than the yardstick is rounding; without one it is equivalent."""
    new = make_entry(noise=dict.fromkeys(GATES, 1e-7))
    assert verdict(make_entry(yardstick=yardstick(16)), new).degree == "rounding"
    bare = verdict(make_entry(), new)
    assert (bare.degree, bare.rounding.beyond) == ("equivalent", None)
    assert "no yardstick" in bare.rounding.note


def test_rounding_takes_the_cases_share(make_entry: MakeEntry) -> None:
    """It is decided at the error rate of all of the case's tests together."""
    new = make_entry(noise={"training_loss": 1e-5})
    p = verdict(make_entry(yardstick=yardstick(16)), new).rounding.p
    assert p is not None
    for factor, beyond in ((0.9, False), (1.1, True)):
        accepted = make_entry(yardstick=yardstick(16), alpha=factor * p / 5)
        assert compare(accepted, new, Rules(), look="last").rounding.beyond is beyond
    nothing = compare(make_entry(), new, Rules.of(gates="parameters"), look="last")
    assert (nothing.degree, nothing.rounding.beyond) == ("equivalent", None)


@pytest.mark.parametrize("gate", ["val_loss", "val_accuracy", "steps_to_target"])
def test_rounding_hides_no_other_gate(gate: str, make_entry: MakeEntry) -> None:
    """A training loss that only rounded does not excuse another gate's regression."""
    noise = dict.fromkeys(GATES, 1e-7) | {gate: PAIRED[gate]}
    new = make_entry(worse={gate: SLOWER[gate]}, noise=noise)
    found = verdict(make_entry(yardstick=yardstick(16)), new)
    assert (found.degree, found.rounding.beyond) == ("regressed", False)


def test_a_new_failure_is_not_rounding(make_entry: MakeEntry) -> None:
    """One seed that newly stalls is named; that the others only rounded says nothing of it."""
    new = make_entry(noise=dict.fromkeys(GATES, 1e-7), failed=[3])
    found = verdict(make_entry(yardstick=yardstick(16)), new)
    assert (found.degree, found.newly_failed) == ("compatible", (3,))


def test_half_of_the_runs_newly_failing(make_entry: MakeEntry) -> None:
    """The rest trains as before: the failed share alone tells."""
    found = verdict(make_entry(32), make_entry(32, failed=range(16)))
    assert [bad.gate for bad in found.having("regressed")] == ["failed"]
    assert found.newly_failed == tuple(range(16))
    alone = verdict(make_entry(32), make_entry(32, failed=range(16)), Rules.of(gates=GATES))
    assert alone.comparison("failed") is None


def test_no_run_trains_any_more(make_entry: MakeEntry) -> None:
    """No pair is left to compare: the failed share is worse, and worse than not knowing."""
    nothing = dict.fromkeys(GATES, (math.nan,) * 16)
    diverged = replace(make_entry(failed=range(16)), values=nothing)
    found = verdict(make_entry(), diverged)
    assert found.degree == "regressed"
    assert len(found.having("undecided")) == 4


def test_unpaired_seeds(make_entry: MakeEntry) -> None:
    """A fresh draw with the noise of other seeds is no regression, and what broke is told."""
    fresh = make_entry(noise=dict.fromkeys(GATES, 0.03), starts=tuple("x" * 16))
    found = verdict(make_entry(yardstick=yardstick(16)), fresh, Rules.of(gates="training_loss"))
    assert (found.degree, found.link) == ("compatible", "broken")
    assert found.broken == ("initial weights",)
    assert found.rounding.beyond is None


@pytest.mark.parametrize(
    ("fields", "link", "broken"),
    [
        ({}, "intact", ()),
        ({"orders": tuple("y" * 16)}, "broken", ("order of data",)),
        ({"starts": ("x", *(f"s{i}" for i in range(1, 16)))}, "broken", ("initial weights",)),
        ({"starts": tuple("x" * 16), "orders": tuple("y" * 16)}, "broken",
         ("initial weights", "order of data")),
        ({"starts": (), "orders": ()}, "unproven", ()),
        ({"starts": (), "orders": tuple("y" * 16)}, "broken", ("order of data",)),
    ],
)  # fmt: skip
def test_whether_seeds_pair(
    fields: dict[str, Any], link: str, broken: tuple[str, ...], make_entry: MakeEntry
) -> None:
    """One seed with another start breaks the pairing; what nobody recorded leaves it unproven."""
    found = verdict(make_entry(), make_entry(**fields))
    assert (found.link, found.broken) == (link, broken)


def test_few_seeds(make_entry: MakeEntry) -> None:
    """With 6 only the losses are compared, and the smallest slow-down they would see is there."""
    found = verdict(make_entry(6), make_entry(6, noise=PAIRED))
    assert set(found.skipped) == {"val_accuracy", "steps_to_target", "failed"}
    assert [gate.gate for gate in found.comparisons if gate.unit] == ["training_loss", "val_loss"]
    assert all(gate.sees for gate in found.comparisons if gate.unit)
    failing = verdict(make_entry(6), make_entry(6, noise=PAIRED, failed=[0]))
    assert failing.degree == "undecided"


def test_nothing_compared_never_passes(make_entry: MakeEntry) -> None:
    """Gates that cannot run with these seeds leave the case undecided."""
    found = verdict(make_entry(6), make_entry(6, noise=PAIRED), Rules.of(gates="val_accuracy"))
    assert (found.degree, found.comparisons) == ("undecided", ())


def test_a_baseline_that_never_trained(make_entry: MakeEntry) -> None:
    """Of a case that diverges by design the failed share is compared, and it can improve."""
    accepted = make_entry(failed=range(16))
    found = verdict(accepted, make_entry(noise=PAIRED, failed=range(16)))
    assert (found.degree, set(found.skipped)) == ("equivalent", {*GATES})
    assert verdict(accepted, make_entry(noise=PAIRED)).degree == "improved"


def test_parameters(make_entry: MakeEntry) -> None:
    """A changed count is worse, in exact words; a gate that is left out says nothing."""
    new = make_entry(parameters={"parameters": 4490})
    found = verdict(make_entry(), new)
    assert found.degree == "regressed"
    assert [gate.note for gate in found.having("regressed")] == ["parameters 4,522 → 4,490"]
    assert verdict(make_entry(), new, Rules.of(gates=GATES)).degree == "identical"


def test_counts_alone(make_entry: MakeEntry) -> None:
    """A record of parameters has no seeds and takes no error rate; without counts it never passes."""
    fields: dict[str, Any] = {"kind": "parameters", "values": {}, "experiment": {}, "points": 0}
    counts = {"total": 30, "trainable": 20}
    accepted = make_entry(0, **fields, parameters=counts)
    same = compare(accepted, accepted, Rules(), look="last")
    assert (same.degree, same.skipped) == ("identical", {})
    new = make_entry(0, **fields, parameters=counts | {"trainable": 10, "extra": 1})
    found = compare(accepted, new, Rules.of(gates=["val_auc", "parameters"]), look="last")
    assert found.degree == "regressed"
    assert [bad.note for bad in found.having("regressed")] == ["trainable parameters 20 → 10"]
    gone = make_entry(0, **fields, parameters={"total": 30})
    assert compare(accepted, gone, Rules(), look="last").degree == "regressed"
    nothing = make_entry(0, **fields, parameters={})
    assert compare(nothing, nothing, Rules(), look="last").degree == "undecided"


def test_incomparable_cases(make_entry: MakeEntry) -> None:
    """Another number of points, or whatever cannot be compared at all, is incomparable by name."""
    found = verdict(make_entry(), make_entry(points=11))
    assert [gate.note for gate in found.having("incomparable")] == ["evaluation points 3 → 11"]
    assert found.degree == "incomparable"
    few = verdict(make_entry(32), make_entry(16))
    assert (few.degree, few.comparisons) == ("incomparable", ())
    assert "16 of the baseline's 32 seeds" in few.reason


def test_new_metrics_are_named(make_entry: MakeEntry) -> None:
    """A curve that the baseline does not have is not compared, and the verdict says so."""
    new = make_entry()
    more = replace(new, values={**new.values, "val_auc": (0.5,) * 16})
    found = verdict(make_entry(), more)
    assert found.notes == ("not in the baseline, so not compared: val_auc",)
    assert found.comparison("val_auc") is None


def test_loops_that_do_not_repeat_are_told(make_entry: MakeEntry) -> None:
    """The note stands beside the verdict."""
    bare: dict[str, Any] = {"kind": "loop", "starts": (), "orders": ()}
    found = verdict(make_entry(**bare, repeats=False), make_entry(**bare))
    assert found.link == "unproven"
    assert "does not repeat" in found.notes[0]
    assert verdict(make_entry(**bare, repeats=True), make_entry(**bare)).notes == ()


def test_a_drifted_environment_is_named(make_entry: MakeEntry) -> None:
    """Each field with old and new."""
    new = make_entry(environment={"torch": "2.14", "device": "cpu", "precision": "float32"})
    assert verdict(make_entry(), new).drift == ("torch 2.13 -> 2.14",)


def test_what_has_no_verdict(make_entry: MakeEntry) -> None:
    """Rules that name what is not there, and an entry without an error rate, are errors."""
    with pytest.raises(GateError, match="val_auc"):
        verdict(make_entry(), make_entry(), Rules.of(gates="val_auc"))
    with pytest.raises(GateError, match="no error rate"):
        compare(make_entry(), make_entry(), Rules(), look="last")


# ---- looks


def test_each_look_takes_its_share(make_entry: MakeEntry) -> None:
    """20 % of the case's rate at the first, 80 % at the last: never more than all of it."""
    assert sum(SHARES.values()) == 1
    for look, share in SHARES.items():
        n = 16 if look == "first" else 32
        found = verdict(make_entry(32), make_entry(n, noise=PAIRED), look=look)
        test = found.comparisons[-2].test
        assert found.look == look
        assert test is not None
        assert (1 - test.level) / 2 == pytest.approx(share * ALPHA)


def looked(make_entry: MakeEntry, accepted: Entry | None = None, **new: Any) -> bool:
    """Return whether the first look at 16 of 32 seeds wants the others."""
    accepted, fresh = replace(accepted or make_entry(32), alpha=ALPHA), make_entry(16, **new)
    return wants_more(compare(accepted, fresh, Rules(), look="first"), accepted, fresh)


def test_more_seeds_only_where_they_decide(make_entry: MakeEntry) -> None:
    """A mean beyond the margin in sight of 32 seeds; not what is clear, nor what stays unseen."""
    suspicious = {"training_loss": 0.03}
    assert looked(make_entry, worse=suspicious, noise={"training_loss": 0.015})
    assert not looked(make_entry, worse=suspicious, noise={"training_loss": 0.002})
    assert not looked(make_entry, worse={"training_loss": 0.013}, noise={"training_loss": 0.01})
    assert not looked(make_entry, noise=PAIRED)
    assert not looked(make_entry)
    assert not looked(make_entry, worse={"training_loss": -0.02}, noise={"training_loss": 0.015})


def test_more_seeds_for_a_gate_that_cannot_tell(make_entry: MakeEntry) -> None:
    """Where 32 would see a slow-down of 25 %, or would give the pairs that are lacking."""
    assert looked(make_entry, noise={"steps_to_target": 0.12})
    assert not looked(make_entry, noise={"steps_to_target": 0.6})
    failing = make_entry(32, failed=range(12))
    assert looked(make_entry, failing, failed=range(12), noise=PAIRED)


def test_more_seeds_for_a_slow_down_that_may_be_rounding(make_entry: MakeEntry) -> None:
    """Where rounding moves runs by 0.4 %, 3 % is within ten times that: 32 seeds find it worse."""
    accepted = replace(make_entry(32), alpha=ALPHA, yardstick=(0.004,) * 32)
    slower = make_entry(32, worse={"training_loss": 0.03}, noise={"training_loss": 0.015})
    few = select(slower, range(16))
    first = compare(accepted, few, Rules(), look="first")
    assert first.degree == "rounding"
    assert wants_more(first, accepted, few)
    assert compare(accepted, slower, Rules(), look="last").degree == "regressed"
    moved = make_entry(16, noise={"training_loss": 0.004})
    harmless = compare(accepted, moved, Rules(), look="first")
    assert harmless.degree == "rounding"
    assert not wants_more(harmless, accepted, moved)


def test_more_seeds_for_failures(make_entry: MakeEntry) -> None:
    """A quarter of the runs newly failing is an excess with 32 seeds; one run would never be."""
    assert looked(make_entry, noise=PAIRED, failed=range(7))
    assert not looked(make_entry, noise=PAIRED, failed=[3])
    small = replace(make_entry(16), alpha=ALPHA)
    six = make_entry(6, noise=PAIRED, failed=[0])
    found = compare(small, six, Rules(), look="first", first_look=6)
    assert wants_more(found, small, six)
    seven = replace(make_entry(7), alpha=ALPHA)
    assert not wants_more(compare(seven, six, Rules(), look="first", first_look=6), seven, six)


def test_no_more_seeds_where_there_are_none(make_entry: MakeEntry) -> None:
    """At the last look, where the baseline has no others, or where nothing was compared."""
    accepted = replace(make_entry(16), alpha=ALPHA)
    slower: dict[str, Any] = {
        "worse": {"training_loss": 0.025},
        "noise": {"training_loss": 0.012},
        "draw": 3,
    }
    new = make_entry(16, **slower)
    found = compare(accepted, new, Rules(), look="first")
    assert found.degree == "compatible"
    assert not wants_more(found, accepted, new)
    assert looked(make_entry, **slower)
    few = compare(replace(make_entry(32), alpha=ALPHA), make_entry(3), Rules(), look="first")
    assert not wants_more(few, make_entry(32), make_entry(3))


# ---- what must not matter

MIRROR = {"regressed": "improved", "improved": "regressed"}


@settings(max_examples=40, deadline=None)
@given(
    change=st.sampled_from([-0.3, -0.05, -0.005, 0.0, 0.005, 0.05, 0.3]),
    spread=st.sampled_from([0.0, 0.001, 0.01, 0.1]),
    draw=st.integers(0, 99),
    failed=st.sets(st.integers(0, 15), max_size=6),
)
def test_swapping_sides_mirrors_the_verdict(
    make_entry: MakeEntry, change: float, spread: float, draw: int, failed: set[int]
) -> None:
    """Improved one way is regressed the other way, gate by gate, with the effect negated."""
    old = make_entry()
    new = make_entry(
        worse=dict.fromkeys(("training_loss", "val_loss", "steps_to_target"), change),
        noise=dict.fromkeys(GATES, spread) | {"val_accuracy": spread / 10},
        draw=draw,
        failed=failed,
    )
    there, back = verdict(old, new), verdict(new, old)
    for one, other in zip(there.comparisons, back.comparisons, strict=True):
        assert other.degree == MIRROR.get(one.degree, one.degree)
        if one.unit and one.test is not None and other.test is not None:
            assert other.test.estimate == pytest.approx(-one.test.estimate, abs=1e-12)


@settings(max_examples=25, deadline=None)
@given(order=st.permutations(range(16)), draw=st.integers(0, 99))
def test_the_order_of_seeds_does_not_matter(
    make_entry: MakeEntry, order: list[int], draw: int
) -> None:
    """Nor do seeds that the baseline does not have."""
    old, new = make_entry(32), make_entry(16, noise=PAIRED, draw=draw, failed=[2])
    plain = verdict(old, new, look="first")
    assert verdict(old, select(new, order), look="first") == plain
    assert verdict(select(old, [*range(31, 15, -1), *order]), new, look="first") == plain
    extra = make_entry(seeds=[*order, 99, 98], noise=PAIRED, draw=draw, failed=[2])
    assert verdict(old, extra, look="first").comparisons == plain.comparisons


@settings(max_examples=25, deadline=None)
@given(factor=st.floats(0.1, 10), draw=st.integers(0, 99))
def test_the_unit_of_a_loss_does_not_matter(
    make_entry: MakeEntry, factor: float, draw: int
) -> None:
    """A loss counted in another unit on both sides gives the same degrees and effects."""

    def scaled(entry: Entry) -> Entry:
        logs = [value + math.log(factor) for value in entry.values["training_loss"]]
        losses = [value * factor for value in entry.values["val_loss"]]
        values = {**entry.values, "training_loss": tuple(logs), "val_loss": tuple(losses)}
        return replace(entry, values=values)

    old, new = make_entry(), make_entry(worse=SLOWER, noise=PAIRED, draw=draw)
    plain, other = verdict(old, new), verdict(scaled(old), scaled(new))
    assert other.degree == plain.degree
    for one, two in zip(plain.comparisons, other.comparisons, strict=True):
        assert one.degree == two.degree
        if one.test is not None and two.test is not None:
            assert two.test.estimate == pytest.approx(one.test.estimate, abs=1e-9)


# ---- how often


def test_false_alarms_are_as_rare_as_promised(make_entry: MakeEntry) -> None:
    """Of 2,000 draws of 8 fresh seeds, 2 % at a rate of 4 % with its last look's half: at most that.

    The true change stands exactly on the margin, where the test errs most.
    """
    rate, trials = 0.04, 2000
    accepted = replace(make_entry(8), alpha=rate / SHARES["last"])
    rules = Rules.of(gates="training_loss")
    rng = np.random.default_rng(3)
    alarms = 0
    base = np.array(accepted.values["training_loss"])
    for _ in range(trials):
        losses = base + math.log(1.01) + 0.1 * rng.standard_normal(8)
        values = {**accepted.values, "training_loss": tuple(losses.tolist())}
        new = replace(accepted, values=values, curves=tuple("x" * 8))
        alarms += compare(accepted, new, rules, look="last").degree == "regressed"
    expected, deviation = rate * trials, math.sqrt(rate * (1 - rate) * trials)
    assert abs(alarms - expected) < 3 * deviation


def test_slow_downs_are_found_as_often_as_promised(make_entry: MakeEntry) -> None:
    """The smallest effect that a verdict says it would have seen is seen in 99 of 100 trials."""
    accepted = replace(make_entry(16), alpha=ALPHA)
    rules = Rules.of(gates="training_loss")
    rng = np.random.default_rng(4)
    base = np.array(accepted.values["training_loss"])
    effect = 0.0099503 + 8.5 * 0.01 / math.sqrt(16)  # what the rule of thumb says
    found = 0
    for _ in range(300):
        losses = base + effect + 0.01 * rng.standard_normal(16)
        values = {**accepted.values, "training_loss": tuple(losses.tolist())}
        new = replace(accepted, values=values, curves=tuple("x" * 16))
        found += compare(accepted, new, rules, look="last").degree == "regressed"
    assert found >= 294
