"""Each gate alone: it can fail, it can pass, and values that are no numbers never pass."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, cast

import numpy as np
import pytest

from dlbench.gate.comparisons import (
    Comparison,
    compare_exactly,
    compare_failures,
    compare_values,
    decide,
    largest_unseen,
    margin_in,
    measure_of,
    pair,
    select,
)
from dlbench.gate.rules import Rules

if TYPE_CHECKING:
    from dlbench.gate.entry import Entry
    from dlbench.gate.rules import Unit
    from tests.gate.conftest import MakeEntry

ALPHA = 1e-4
NAN, INF = math.nan, math.inf
SLOWER = {"training_loss": 0.03, "val_loss": 0.05, "val_accuracy": 0.02, "steps_to_target": 0.2}
"""By gate, a change that is beyond its margin."""
SLIGHT = {"training_loss": 0.002, "val_loss": 0.005, "val_accuracy": 0.001, "steps_to_target": 0.01}
"""By gate, one that is not."""

NOISY = {"training_loss": 0.03, "val_loss": 0.06, "val_accuracy": 0.02, "steps_to_target": 0.09}
"""By gate, a standard deviation of differences under which a slow-down of 25 % is still seen."""


def compared(
    gate: str, accepted: Entry, new: Entry, rules: Rules | None = None, alpha: float = ALPHA
) -> Comparison:
    """Return what one gate says; it must run."""
    found = compare_values(gate, pair(accepted, new), rules or Rules(), alpha)
    assert isinstance(found, Comparison)
    return found


def valued(entry: Entry, gate: str, *values: float) -> Entry:
    """Return an entry with other values for one gate, the same for all seeds if it is one."""
    row = values * len(entry.seeds) if len(values) == 1 else values
    curves = tuple(f"{gate} {value} {seed}" for seed, value in enumerate(row))
    return replace(entry, values={**entry.values, gate: row}, curves=curves)


@pytest.mark.parametrize("gate", SLOWER)
def test_a_gate_can_fail(gate: str, make_entry: MakeEntry) -> None:
    """A change for the worse beyond the margin is regressed, with an interval beyond it."""
    noise = {gate: 0.1 * SLOWER[gate]}
    found = compared(gate, make_entry(), make_entry(worse=SLOWER, noise=noise))
    assert found.degree == "regressed"
    assert found.test is not None
    assert found.test.estimate == pytest.approx(SLOWER[gate], rel=0.15)
    assert (found.pairs, found.of) == (16, 16)
    margin = found.margin or 0.0
    assert found.test.low > (margin if found.unit == "points" else math.log1p(margin))


@pytest.mark.parametrize("gate", SLOWER)
def test_a_gate_can_pass(gate: str, make_entry: MakeEntry) -> None:
    """A change within the margin passes, equal curves pass, and one for the better is improved."""
    noise = {gate: 0.1 * SLOWER[gate]}
    accepted = make_entry()
    assert compared(gate, accepted, make_entry(worse=SLIGHT, noise=noise)).degree == "equivalent"
    assert compared(gate, accepted, make_entry()).degree == "identical"
    better = {name: -change for name, change in SLOWER.items()}
    found = compared(gate, accepted, make_entry(worse=better, noise=noise))
    assert found.degree == "improved"
    assert found.test is not None
    assert found.test.estimate < 0


@pytest.mark.parametrize("gate", SLOWER)
def test_a_gate_that_cannot_see_says_so(gate: str, make_entry: MakeEntry) -> None:
    """Noise within sight is compatible, noise that would hide a slow-down of 25 % is undecided."""
    accepted = make_entry()
    within = {gate: 3 * SLIGHT[gate]}
    some = compared(gate, accepted, make_entry(worse=within, noise={gate: NOISY[gate]}))
    assert some.degree == "compatible"
    assert some.sees is not None
    assert 0 < some.sees < math.log(1.25)
    much = compared(gate, accepted, make_entry(noise={gate: 0.5}))
    assert much.degree == "undecided"
    assert much.sees is not None
    assert much.sees > 0.25


def test_the_margin_is_the_rules_own(make_entry: MakeEntry) -> None:
    """The same change passes under a wider margin, and the comparison keeps the margin."""
    accepted, new = make_entry(), make_entry(worse=SLOWER, noise={"training_loss": 0.002})
    assert compared("training_loss", accepted, new).margin == 0.01
    found = compared("training_loss", accepted, new, Rules.of(margin={"training_loss": 0.05}))
    assert (found.degree, found.margin) == ("equivalent", 0.05)


@pytest.mark.parametrize(
    ("differences", "degree"),
    [
        ([0.0] * 16, "identical"),
        ([0.02] * 16, "regressed"),  # without spread the exact sign-flip p, 2^-16
        ([-0.02] * 16, "improved"),
        ([0.02] * 8, "undecided"),  # 2^-8 is not below the error rate, whatever t would be
        ([0.001] * 16, "equivalent"),
        ([0.0] * 15 + [1e-9], "equivalent"),
    ],
)
def test_differences_without_spread(differences: list[float], degree: str) -> None:
    """All zero is identical; all equal is decided by sign flips, never by a t of infinity."""
    told = Comparison("training_loss", "undecided", unit="log", margin=0.01)
    found = decide(told, np.array(differences), 1e-4)
    assert found.degree == degree
    assert (found.sees is None) is (degree == "undecided")


def test_a_margin_in_its_unit() -> None:
    """1 % is log 1.01 of a log ratio, and 0.01 in points or on a linear scale; so is what is seen."""
    for unit, margin, largest in (("log", math.log(1.01), math.log(1.25)), ("points", 0.01, 0.25)):
        told = Comparison("x", "undecided", unit=cast("Unit", unit), margin=0.01)
        assert margin_in(told) == pytest.approx(margin)
        assert largest_unseen(told.unit) == pytest.approx(largest)


def test_a_point_is_not_a_percent(make_entry: MakeEntry) -> None:
    """Accuracies are compared in points, as shares or as percentages; losses by their ratio."""
    accepted, new = make_entry(), make_entry(worse=SLOWER, noise={"val_accuracy": 0.001})
    share = compared("val_accuracy", accepted, new)
    rows = [[100 * v for v in side.values["val_accuracy"]] for side in (accepted, new)]
    percent = compared(
        "val_accuracy",
        valued(accepted, "val_accuracy", *rows[0]),
        valued(new, "val_accuracy", *rows[1]),
    )
    assert share.test is not None
    assert percent.test is not None
    assert share.unit == percent.unit == "points"
    assert percent.test.estimate == pytest.approx(share.test.estimate)
    assert percent.higher_is_better
    assert compared("val_loss", accepted, new).unit == "log"


def test_a_metric_without_bounds(make_entry: MakeEntry) -> None:
    """A positive metric that no name bounds is compared by its ratio, in its declared direction."""
    scores = np.linspace(10, 20, 16)
    accepted = valued(make_entry(), "val_score", *scores)
    new = valued(make_entry(), "val_score", *(scores * 0.9))
    for higher, degree in ((True, "regressed"), (False, "improved")):
        rules = Rules.of(higher_is_better={"val_score": higher})
        found = compared("val_score", accepted, new, rules)
        assert found.test is not None
        assert (found.degree, found.unit, found.margin) == (degree, "log", 0.02)
        assert abs(found.test.estimate) == pytest.approx(-math.log(0.9))


def test_a_run_that_never_reached_its_target(make_entry: MakeEntry) -> None:
    """It counts as having taken twice its own budget; a target reached at once is one update."""
    accepted = valued(make_entry(), "steps_to_target", 450.0)
    found = compared("steps_to_target", accepted, valued(accepted, "steps_to_target", INF))
    assert found.degree == "regressed"
    assert found.test is not None
    assert found.test.estimate == pytest.approx(math.log(2))
    longer = replace(valued(accepted, "steps_to_target", INF), budget=900.0)
    found = compared("steps_to_target", accepted, longer)
    assert found.test is not None
    assert found.test.estimate == pytest.approx(math.log(4))
    assert measure_of("steps_to_target", accepted, Rules.of(scale="linear")).unit == "log"
    at_once = valued(accepted, "steps_to_target", 0.0)
    assert compared("steps_to_target", at_once, at_once).degree == "identical"
    assert compared("steps_to_target", at_once, accepted).degree == "regressed"


@pytest.mark.parametrize(
    ("gate", "wrong"),
    [
        (gate, wrong)
        for gate in SLOWER
        for wrong in (NAN, INF, -INF)
        if (gate, wrong) != ("steps_to_target", INF)  # that is a target never reached
    ],
)
def test_nan_never_passes(gate: str, wrong: float, make_entry: MakeEntry) -> None:
    """One seed that trained and has no number fails the gate, on whichever side it is."""
    plain = make_entry()
    rows = list(plain.values[gate])
    rows[3] = wrong
    broken = valued(plain, gate, *rows)
    fresh = compared(gate, plain, broken)
    assert fresh.degree == ("incomparable" if gate == "training_loss" else "regressed")
    assert gate in fresh.note
    assert compared(gate, broken, plain).degree == "incomparable"
    assert compared(gate, broken, broken).degree == "incomparable"


def test_nan_of_a_run_that_failed_is_its_share(make_entry: MakeEntry) -> None:
    """A diverged run has no numbers, and is no pair: the failed share tells of it."""
    plain = make_entry(failed=[3])
    rows = list(plain.values["val_loss"])
    rows[3] = NAN
    found = compared("val_loss", make_entry(), valued(plain, "val_loss", *rows))
    assert (found.pairs, found.of) == (15, 16)
    assert found.degree == "identical" or found.test is not None


def test_values_of_zero_or_less(make_entry: MakeEntry) -> None:
    """They have no log: incomparable with the remedy, and compared on a linear scale."""
    scores = np.linspace(-1, 1, 16)
    accepted = valued(make_entry(), "val_loss", *scores)
    new = valued(make_entry(), "val_loss", *(scores + 0.5))
    found = compared("val_loss", accepted, new)
    assert found.degree == "incomparable"
    assert 'scale={"val_loss": "linear"}' in found.note
    linear = compared("val_loss", accepted, new, Rules.of(scale={"val_loss": "linear"}))
    assert (linear.degree, linear.unit) == ("regressed", "linear")
    assert linear.test is not None
    assert linear.test.estimate == pytest.approx(0.5 / np.std(scores, ddof=1))
    zero = valued(make_entry(), "val_mae", *np.linspace(0, 1, 16))
    rules = Rules.of(higher_is_better={"val_mae": False})
    assert compared("val_mae", zero, zero, rules).degree == "incomparable"


def test_a_linear_difference_is_a_share_of_the_baseline(make_entry: MakeEntry) -> None:
    """Of its median size where that is larger than the spread of its seeds."""
    scores = np.linspace(-101, -99, 16)
    accepted = valued(make_entry(), "training_loss", *scores)
    new = valued(make_entry(), "training_loss", *(scores + 3))
    found = compared("training_loss", accepted, new, Rules.of(scale="linear"))
    assert found.test is not None
    assert found.degree == "regressed"
    assert found.test.estimate == pytest.approx(0.03)
    assert (
        measure_of("training_loss", make_entry(failed=range(16)), Rules.of(scale="linear")).size
        == 1
    )
    one = measure_of("training_loss", make_entry(failed=range(15)), Rules.of(scale="linear"))
    assert one.size == abs(make_entry().values["training_loss"][15])
    nothing = valued(make_entry(), "training_loss", 0.0)
    assert (
        compared("training_loss", nothing, nothing, Rules.of(scale="linear")).degree == "identical"
    )
    worse = compared(
        "training_loss", nothing, valued(nothing, "training_loss", 0.1), Rules.of(scale="linear")
    )
    assert worse.degree == "regressed"


def test_a_validation_loss_of_zero_is_floored(make_entry: MakeEntry) -> None:
    """Below the floor all losses are equal, on both sides alike."""
    accepted = valued(make_entry(), "val_loss", 1e-4)
    assert compared("val_loss", accepted, valued(accepted, "val_loss", 0.0)).degree == "identical"
    assert compared("val_loss", accepted, valued(accepted, "val_loss", 2e-3)).degree == "regressed"


@pytest.mark.parametrize(
    ("gate", "least"),
    [("training_loss", 5), ("val_loss", 5), ("val_accuracy", 8), ("steps_to_target", 8)],
)
def test_too_few_pairs(gate: str, least: int, make_entry: MakeEntry) -> None:
    """A gate without its pairs is undecided, however large the effect; with them it decides."""
    accepted = make_entry()
    for trained, degree in ((least - 1, "undecided"), (least, "regressed")):
        noise = {gate: 0.001 * SLOWER[gate]}
        new = make_entry(worse=SLOWER, noise=noise, failed=range(trained, 16))
        found = compared(gate, accepted, new)
        assert (found.degree, found.pairs, found.of) == (degree, trained, 16)
    assert "at least" in compared(gate, accepted, make_entry(failed=range(13))).note


def test_gates_that_do_not_run(make_entry: MakeEntry) -> None:
    """Below 8 seeds only the losses run; a baseline that did not train has no loss to compare."""
    seven = pair(make_entry(7), make_entry(7))
    assert "takes 8 seeds" in str(compare_values("val_accuracy", seven, Rules(), ALPHA))
    assert isinstance(compare_values("val_loss", seven, Rules(), ALPHA), Comparison)
    stalled = pair(make_entry(failed=range(12)), make_entry())
    why = compare_values("training_loss", stalled, Rules(), ALPHA)
    assert why == "4 of the baseline's 16 seeds trained, fewer than 5"
    few = pair(make_entry(4), make_entry(4))
    assert compared("training_loss", *few[:2]).degree == "undecided"


def test_equal_curves_have_no_difference(make_entry: MakeEntry) -> None:
    """A baseline file keeps nine digits: what it cut off is no change of a run that is the same."""
    accepted = make_entry()
    cut = {"training_loss": tuple(float(f"{v:.3g}") for v in accepted.values["training_loss"])}
    file = replace(accepted, values={**accepted.values, **cut})
    assert compared("training_loss", file, accepted).degree == "identical"
    other = replace(accepted, curves=())
    assert compared("training_loss", file, other).degree == "equivalent"


# ---- the failed share


@pytest.mark.parametrize(
    ("before", "now", "degree"),
    [
        (0, 16, "regressed"), (0, 11, "regressed"), (0, 1, "compatible"), (0, 0, "identical"),
        (16, 16, "identical"), (16, 0, "improved"), (8, 8, "identical"), (8, 9, "compatible"),
        (2, 1, "compatible"),
    ],
)  # fmt: skip
def test_the_failed_share(before: int, now: int, degree: str, make_entry: MakeEntry) -> None:
    """Half of the runs newly failing is seen, as is the reverse; one alone is named, no more."""
    found = compare_failures(
        pair(make_entry(failed=range(before)), make_entry(failed=range(now))), ALPHA
    )
    assert isinstance(found, Comparison)
    assert found.degree == degree
    assert found.note == f"{now} of 16 failed, {before} of 16 in the baseline"


def test_failures_are_held_against_all_the_baselines_seeds(make_entry: MakeEntry) -> None:
    """At the first look too: the baseline's other seeds are known."""
    found = compare_failures(pair(make_entry(32), make_entry(8, failed=range(6))), ALPHA)
    assert isinstance(found, Comparison)
    assert found.degree == "regressed"
    assert "0 of 32 in the baseline" in found.note


def test_failures_among_few_seeds(make_entry: MakeEntry) -> None:
    """No test is possible: a new failure leaves the gate undecided, none leaves it out."""
    found = compare_failures(pair(make_entry(6), make_entry(6, failed=[2])), ALPHA)
    assert isinstance(found, Comparison)
    assert found.degree == "undecided"
    assert "takes 8 seeds" in found.note
    both = pair(make_entry(6, failed=[2]), make_entry(6, failed=[2]))
    assert compare_failures(both, ALPHA) == "takes 8 seeds on each side, got 6 and 6"


# ---- exact gates, and seeds


def test_exact_gates() -> None:
    """A count that changed is worse; another number of points leaves nothing to compare."""
    same = compare_exactly("parameters", 4522, 4522, "parameters")
    assert (same.degree, same.note) == ("identical", "")
    changed = compare_exactly("parameters", 4522, 4490, "parameters")
    assert (changed.degree, changed.note) == ("regressed", "parameters 4,522 → 4,490")
    assert compare_exactly("parameters", 4522, None, "x").note == "x 4,522 → none"
    points = compare_exactly("points", 21, 11, "evaluation points")
    assert (points.degree, points.note) == ("incomparable", "evaluation points 21 → 11")


def test_seeds_are_matched_by_value(make_entry: MakeEntry) -> None:
    """Whatever their order, and whichever others there are, on either side."""
    pairing = pair(make_entry(seeds=[5, 3, 9, 1]), make_entry(seeds=[1, 7, 5]))
    assert pairing.accepted.seeds == pairing.new.seeds == (1, 5)
    assert pairing.accepted == replace(make_entry(seeds=[1, 5]))
    assert pairing.whole.seeds == (5, 3, 9, 1)
    assert bool(pairing.same_curves.all())
    assert select(make_entry(3, yardstick=(1.0, 2.0, 3.0)), [2, 0]).yardstick == (3.0, 1.0)
    bare = make_entry(4, starts=(), orders=(), curves=())
    assert select(bare, [2, 0]).starts == ()
    assert not pair(bare, bare).same_curves.any()
