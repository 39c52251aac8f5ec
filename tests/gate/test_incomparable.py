"""What is measured changed, or nothing was: named, whatever the numbers say."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from dlbench.errors import GateError
from dlbench.gate.incomparable import incomparable
from dlbench.gate.rules import Rules

if TYPE_CHECKING:
    from dlbench.gate.entry import Entry
    from tests.gate.conftest import MakeEntry


def with_field(entry: Entry, name: str, value: Any) -> Entry:
    """Return an entry with another field of its experiment."""
    return replace(entry, experiment={**entry.experiment, name: value})


def without(entry: Entry, gate: str) -> Entry:
    """Return an entry that lacks a gate."""
    return replace(entry, values={k: v for k, v in entry.values.items() if k != gate})


def test_like_entries_can_be_compared(make_entry: MakeEntry) -> None:
    """As can those whose optimizer, data, model or updates changed: that is how regressions come."""
    accepted = make_entry()
    assert incomparable(accepted, make_entry(), Rules()) == ""
    for name in ("optimizer", "data", "model", "updates_per_epoch", "batch_size", "steps"):
        assert incomparable(accepted, with_field(accepted, name, 7), Rules()) == ""


def test_a_loop_says_nothing_of_its_loss_and_metrics(make_entry: MakeEntry) -> None:
    """What an experiment does not record has not changed."""
    fields: dict[str, Any] = {"workload": "w", "loop": "train", "target": None}
    loop = make_entry(kind="loop", experiment=fields)
    assert incomparable(loop, loop, Rules()) == ""
    told = replace(loop, experiment=fields | {"metrics": {"accuracy": {"class": "Accuracy"}}})
    assert incomparable(told, loop, Rules()) == incomparable(loop, told, Rules()) == ""


@pytest.mark.parametrize(
    ("name", "value", "reason", "spared"),
    [
        ("loss", {"function": "mse"}, "loss.class SparseCategoricalCrossentropy -> none", "val_accuracy"),
        ("loss", {"class": "SparseCategoricalCrossentropy", "from_logits": True},
         "loss.from_logits False -> True", "val_accuracy"),
        ("metrics", {"accuracy": {"class": "BinaryAccuracy"}},
         "metrics.accuracy.class SparseCategoricalAccuracy -> BinaryAccuracy", "val_loss"),
        ("target", {"metric": "val_accuracy", "value": 0.95}, "target.value 0.9 -> 0.95", "val_loss"),
    ],
)  # fmt: skip
def test_what_is_measured_changed(
    name: str, value: object, reason: str, spared: str, make_entry: MakeEntry
) -> None:
    """Another loss, metric or target is named; a gate that does not measure by it is spared."""
    accepted = make_entry()
    new = with_field(accepted, name, value)
    assert reason in incomparable(accepted, new, Rules())
    assert incomparable(accepted, new, Rules.of(gates=[spared])) == ""


def test_a_value_that_vanished(make_entry: MakeEntry) -> None:
    """A metric or the steps that are gone fail by name, a new one does not."""
    accepted = make_entry()
    for gate in accepted.values:
        assert incomparable(accepted, without(accepted, gate), Rules()) == f"{gate} is gone"
        assert incomparable(without(accepted, gate), accepted, Rules()) == ""
    gone = without(without(accepted, "val_loss"), "val_accuracy")
    assert incomparable(accepted, gone, Rules()) == "val_loss is gone; val_accuracy is gone"
    rules = Rules.of(gates=["val_accuracy"])
    assert incomparable(accepted, without(accepted, "val_loss"), rules) == ""


def test_a_direction_that_changed(make_entry: MakeEntry) -> None:
    """Better higher in the baseline and lower here cannot both be, unless the test declares it."""
    accepted = make_entry(higher_is_better={"val_accuracy": True})
    new = make_entry(higher_is_better={"val_accuracy": False})
    assert incomparable(accepted, new, Rules()) == "the direction of val_accuracy changed"
    declared = Rules.of(higher_is_better={"val_accuracy": False})
    assert incomparable(accepted, new, declared) == ""


def test_a_scale_that_changed(make_entry: MakeEntry) -> None:
    """A loss accepted in log cannot be compared as it is, nor the other way round."""
    linear = Rules.of(scale="linear")
    logged, plain = make_entry(), make_entry(floor=0.0)
    assert "accepted on a log scale" in incomparable(logged, logged, linear)
    assert "accepted on a linear scale" in incomparable(plain, plain, Rules())
    assert incomparable(plain, plain, linear) == ""


def test_other_floors_are_the_callers_mistake(make_entry: MakeEntry) -> None:
    """Losses floored otherwise have no common unit: an error, not a verdict."""
    with pytest.raises(GateError, match=r"floor=accepted\.floor"):
        incomparable(make_entry(), make_entry(floor=2e-3), Rules())


def test_another_kind(make_entry: MakeEntry) -> None:
    """A loop's record cannot stand against a convergence's."""
    reason = incomparable(make_entry(), make_entry(kind="loop"), Rules())
    assert reason == "kind convergence -> loop"


@pytest.mark.parametrize(
    ("seeds", "least", "needed"),
    [(range(15), 16, 16), (range(16, 40), 17, 17), (range(100, 132), 16, 16), ([], 0, 1)],
)
def test_too_few_of_the_baselines_seeds(
    seeds: Any, least: int, needed: int, make_entry: MakeEntry
) -> None:
    """Fewer than its first look are named with the remedy; other seeds do not count."""
    reason = incomparable(make_entry(32), make_entry(seeds=seeds), Rules(), least)
    assert f"--dlbench-seeds={needed}" in reason


def test_a_small_baseline_takes_all_its_seeds(make_entry: MakeEntry) -> None:
    """Where the baseline has fewer than a first look, all of them are needed, and enough."""
    assert incomparable(make_entry(6), make_entry(6), Rules(), 16) == ""
    assert "5 of the baseline's 6 seeds" in incomparable(make_entry(6), make_entry(5), Rules(), 16)


@pytest.mark.parametrize("side", [0, 1])
def test_an_empty_series_never_passes(side: int, make_entry: MakeEntry) -> None:
    """No curves, no seeds, or a row that lacks values: on either side a reason."""
    empty: tuple[dict[str, Any], ...] = (
        {"values": {}}, {"values": {"training_loss": ()}}, {"regimes": ()},
    )  # fmt: skip
    for fields in empty:
        sides = [make_entry(), make_entry()]
        sides[side] = replace(sides[side], **fields)
        assert incomparable(sides[0], sides[1], Rules())
    nothing = make_entry(0)
    assert "0 of the baseline's 0 seeds" in incomparable(nothing, nothing, Rules())
