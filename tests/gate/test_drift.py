"""What an accept changes, in medians: effects by gate, drift since the first, new names."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest

from dlbench.gate.comparisons import select
from dlbench.gate.drift import (
    Effect,
    case_of,
    change_of,
    first_of,
    medians,
    renames,
    summary_of,
    worse_or_better,
)
from dlbench.gate.entry import Entry
from dlbench.gate.rules import Rules

RULES = Rules()


def entry(loss: float = 0.5, key: str = "test_a.py::test_b", **changes: Any) -> Entry:
    """Return an entry of 8 seeds about a loss."""
    numbers = [0.98, 0.99, 1.0, 1.0, 1.0, 1.0, 1.01, 1.02]
    made = Entry(
        key=key, module="benchmarks/test_a.py", kind="convergence",
        experiment={"id": "1", "batch_size": 32}, seeds=tuple(range(8)), regimes=("converged",) * 8,
        points=21, budget=450.0, floor=0.002, parameters={"parameters": 3466},
        values={
            "training_loss": tuple(math.log(loss * number) for number in numbers),
            "val_loss": tuple(loss * number for number in numbers),
            "val_accuracy": tuple(0.9 * number for number in numbers),
            "steps_to_target": tuple(300 * number for number in numbers),
        },
        higher_is_better={"val_loss": False, "val_accuracy": True},
        curves=tuple(f"{seed:08x}" for seed in range(8)), starts=tuple("abcdefgh"),
    )  # fmt: skip
    return replace(made, **changes)


def effects_of(old: Entry | None, new: Entry | None, rules: Rules = RULES) -> dict[str, Effect]:
    """Return a change's effects by gate."""
    return {effect.gate: effect for effect in change_of(old, new, rules).effects}


def shifted(values: tuple[float, ...], by: float) -> tuple[float, ...]:
    """Return values with something added."""
    return tuple(value + by for value in values)


# ---- effects


def test_effects_are_shares_and_worse_is_positive() -> None:
    """3 % more loss, 2 points less accuracy and 10 % more steps are 0.03, 0.02 and 0.1."""
    old = entry()
    values = dict(old.values)
    values["training_loss"] = shifted(values["training_loss"], math.log(1.03))
    values["val_accuracy"] = shifted(values["val_accuracy"], -0.02)
    values["steps_to_target"] = tuple(1.1 * value for value in values["steps_to_target"])
    found = effects_of(old, replace(old, values=values))
    assert {gate: round(effect.change or 0, 6) for gate, effect in found.items()} == {
        "training_loss": 0.03, "val_loss": 0.0, "val_accuracy": 0.02, "steps_to_target": 0.1,
    }  # fmt: skip
    assert {effect.unit for effect in found.values()} == {"log", "points"}
    better = effects_of(replace(old, values=values), old)
    assert better["val_accuracy"].change == pytest.approx(-0.02)
    assert better["training_loss"].change == pytest.approx(1 / 1.03 - 1)


def test_medians_are_shown_as_people_know_them() -> None:
    """The training loss as a loss, steps in whole updates, each with its change in words."""
    old = entry()
    values = dict(old.values)
    values["training_loss"] = shifted(values["training_loss"], math.log(1.03))
    values["steps_to_target"] = (math.inf,) * 8
    new = replace(
        old, values=values, experiment={"id": "2", "batch_size": 4}, parameters={"parameters": 3498}
    )
    line = str(change_of(old, new, RULES))
    assert line.startswith("changed benchmarks/test_a.py::test_b: ")
    assert "training_loss 0.5 -> 0.515 (3.0 % worse)" in line
    assert "val_accuracy 0.9 -> 0.9 (unchanged)" in line
    assert "steps_to_target 300 -> never (200.0 % worse)" in line
    assert "; parameters 3,466 -> 3,498; batch_size 32 -> 4" in line


def test_only_seeds_that_trained_count() -> None:
    """A run that failed has no say in a median; where none trained there is none."""
    made = entry()
    values = {"training_loss": (math.inf, math.nan, *made.values["training_loss"][2:])}
    half = replace(made, values=values, regimes=("diverged", "diverged", *made.regimes[2:]))
    assert medians(half)["training_loss"] == pytest.approx(math.log(0.5), abs=0.01)
    none = replace(made, regimes=("stalled",) * 8)
    assert all(math.isnan(median) for median in medians(none).values())
    change = change_of(made, none, RULES)
    assert "training_loss 0.5 -> none (lost)" in str(change)
    assert "8 seeds converged -> 8 seeds stalled" in str(change)
    assert [effect.gate for effect in change.drifted] == list(made.values)
    assert change_of(none, made, RULES).drifted == ()
    assert "(not comparable)" in str(change_of(none, made, RULES))


def test_a_value_that_came_or_went() -> None:
    """It is shown, and has no change."""
    old = entry()
    less = replace(old, values={"training_loss": old.values["training_loss"]})
    assert "val_loss 0.5 is gone" in str(change_of(old, less, RULES))
    assert effects_of(less, old)["val_loss"].change is None
    assert "; val_loss 0.5;" in str(change_of(less, old, RULES))


def test_losses_below_nothing_are_compared_on_their_own_scale() -> None:
    """Declared linear, a training loss is shown as it is, and its change is a share of its size."""
    rules = Rules.of(scale={"training_loss": "linear"})
    old = entry(floor=0.0, values={"training_loss": (-2.0, -2.1, -1.9, -2.0) * 2})
    new = replace(old, values={"training_loss": shifted(old.values["training_loss"], 0.1)})
    effect = effects_of(old, new, rules)["training_loss"]
    assert str(effect) == "training_loss -2 -> -1.9 (5.0 % worse)"


@pytest.mark.parametrize(
    ("change", "unit", "words"),
    [
        (0.031, "log", "3.1 % worse"), (-0.36, "log", "36.0 % better"), (0.0, "log", "unchanged"),
        (1e-5, "log", "0.001 % worse"), (0.02, "points", "2.0 points worse"), (None, "log", "not comparable"),
        (12.0, "linear", "1,200.0 % worse"), (math.inf, "log", "lost"),
    ],
)  # fmt: skip
def test_changes_in_words(change: float | None, unit: Any, words: str) -> None:
    """Worse or better is said, since a plus means one thing of a loss and another of a metric."""
    assert worse_or_better(change, unit) == words


def test_what_happened_to_a_case() -> None:
    """Added, removed, renamed, changed; the same where nothing measured differs."""
    made = entry()
    assert change_of(None, made, RULES).what == "added"
    assert change_of(made, None, RULES).what == "removed"
    assert str(change_of(made, None, RULES)) == "removed benchmarks/test_a.py::test_b"
    assert change_of(made, replace(made, starts=tuple("hgfedcba")), RULES).what == "changed"
    again = replace(made, alpha=1e-3, first={"a": 1.0}, yardstick=(0.1,) * 8, environment={"a": 1})
    assert change_of(made, again, RULES).what == "same"
    assert str(change_of(made, again, RULES)) == "same benchmarks/test_a.py::test_b"
    renamed = change_of(made, replace(made, key="test_a.py::test_c"), RULES)
    assert renamed.what == "renamed"
    assert str(renamed).startswith(
        "renamed benchmarks/test_a.py::test_c (was benchmarks/test_a.py::test_b): training_loss"
    )


def test_a_cases_id_is_pytests() -> None:
    """With the folder in front, so that two files of one name are told apart."""
    assert case_of(entry()) == "benchmarks/test_a.py::test_b"
    assert case_of(entry(module="test_a.py", key="test_a.py::t[a/b] name=x")) == (
        "test_a.py::t[a/b] name=x"
    )


# ---- drift


def test_drift_counts_from_the_first_accept() -> None:
    """Each step of 1 % is within the margin; the fourth has drifted beyond three of them."""
    now = entry()
    now = replace(now, first=first_of(None, now, RULES))
    assert now.first == medians(now)
    drifted: list[bool] = []
    for _ in range(4):
        values = {**now.values, "training_loss": shifted(now.values["training_loss"], 0.0099)}
        new = replace(now, values=values, experiment={"id": str(len(drifted))})
        drifted.append(bool(change_of(now, new, RULES).drifted))
        now = replace(new, first=first_of(now, new, RULES))
    assert drifted == [False, False, False, True]
    assert now.first == medians(entry())
    again = entry()
    assert first_of(now, again, RULES, anew=True) == medians(again)


def test_drift_for_the_better_is_no_drift() -> None:
    """A gain may be as large as it likes."""
    worst = entry(0.9)
    assert change_of(worst, entry(0.1), RULES).drifted == ()
    assert len(change_of(entry(0.1), worst, RULES).drifted) == 2


def test_the_drift_that_is_allowed_follows_the_margin() -> None:
    """Three times the margin of the case's own rules; of a metric in points, three times those."""
    old = replace(entry(), first=medians(entry()))
    four = shifted(old.values["training_loss"], math.log(1.04))
    new = replace(old, values={**old.values, "training_loss": four})
    assert [e.gate for e in change_of(old, new, RULES).drifted] == ["training_loss"]
    assert change_of(old, new, Rules.of(margin=0.02)).drifted == ()
    for points, drifted in ((0.014, False), (0.016, True)):
        lost = shifted(old.values["val_accuracy"], -points)
        change = change_of(old, replace(old, values={**old.values, "val_accuracy": lost}), RULES)
        assert bool(change.drifted) == drifted


def test_drift_is_told_where_it_is_not_the_change() -> None:
    """Since the last accept and since the first."""
    first = entry()
    old = replace(entry(0.505), first=medians(first))
    effect = effects_of(old, entry(0.51))["training_loss"]
    assert str(effect).endswith("(1.0 % worse, 2.0 % worse since the first accept)")
    assert "first" not in str(effects_of(replace(old, first=medians(old)), entry(0.51))["val_loss"])


def test_a_value_that_is_new_counts_from_now() -> None:
    """And one that has gone has no first any more."""
    old = entry()
    less = replace(
        old, values={"training_loss": old.values["training_loss"]}, first={"training_loss": -1.0}
    )
    assert first_of(less, old, RULES) == medians(old) | {"training_loss": -1.0}
    assert first_of(replace(old, first=medians(old)), less, RULES).keys() == {"training_loss"}


def drifts(old: Entry, new: Entry) -> dict[str, float]:
    """Return the drift of each gate, as a share, to nine digits."""
    return {gate: round(effect.drift or 0, 9) for gate, effect in effects_of(old, new).items()}


def test_other_seeds_are_no_drift() -> None:
    """Medians over fewer, more or partly other seeds differ; on common seeds nothing changed."""
    many = entry()
    many = replace(many, first=first_of(None, many, RULES))
    for kept in ([6, 7], [0, 1, 7]):
        few = select(many, kept)
        effects = effects_of(many, few)
        assert {effect.change for effect in effects.values()} == {0.0}
        assert set(drifts(many, few).values()) == {0.0}
        few = replace(few, first=first_of(many, few, RULES))
        assert set(drifts(few, many).values()) == {0.0}
        assert set(drifts(few, few).values()) == {0.0}
    line = str(change_of(many, select(many, [6, 7]), RULES))
    assert "val_loss 0.5 -> 0.5075 (unchanged on 2 common seeds)" in line


def test_drift_goes_on_over_other_seeds() -> None:
    """2 % on 8 seeds, then 2 % on the 2 that stay: 4 %, whichever seeds are accepted after that."""
    first, second = entry(), entry(0.51)
    second = replace(second, first=first_of(first, second, RULES))
    few = select(entry(0.5202), [6, 7])
    assert [effect.gate for effect in change_of(second, few, RULES).drifted] == ["training_loss"]
    few = replace(few, first=first_of(second, few, RULES))
    assert drifts(few, few)["training_loss"] == pytest.approx(0.0404)
    assert drifts(few, few)["val_loss"] == pytest.approx(0.0404)
    assert drifts(few, few)["val_accuracy"] == 0


def test_without_common_seeds_no_drift_is_known() -> None:
    """Nothing is refused for it, and the drift that there was is not forgotten."""
    old = replace(entry(0.51), first=medians(entry()))
    new = replace(entry(0.9), seeds=tuple(range(8, 16)))
    change = change_of(old, new, RULES)
    assert change.drifted == ()
    assert {effect.drift for effect in change.effects} == {None}
    assert "training_loss 0.51 -> 0.9 (not comparable: no common seeds)" in str(change)
    new = replace(new, first=first_of(old, new, RULES))
    assert drifts(new, new)["training_loss"] == pytest.approx(0.02)


# ---- summaries


def test_a_summary_says_seeds_medians_and_what_changed() -> None:
    """The line that a reviewer reads of a case."""
    old = entry()
    assert summary_of(old, change_of(None, old, RULES)) == (
        "8 seeds converged: training_loss 0.5, val_loss 0.5, val_accuracy 0.9, steps_to_target 300"
    )
    new = replace(entry(0.52), regimes=("slow",) * 3 + ("converged",) * 5)
    text = summary_of(new, change_of(old, new, RULES))
    assert text.startswith("8 seeds, 5 converged, 3 slow: training_loss 0.52")
    assert "; since the last accept: training_loss 4.0 % worse, val_loss 4.0 % worse, " in text
    counts = Entry("a", "test_a.py", "parameters", {}, parameters={"total": 4522, "trainable": 9})
    assert summary_of(counts, change_of(None, counts, RULES)) == "total 4,522, trainable 9"


# ---- renames


def test_a_rename_is_a_gone_and_a_new_case_with_one_experiment() -> None:
    """Same experiment and seeds; the values may differ."""
    gone, added = entry(), entry(0.6, key="test_a.py::test_c")
    assert renames([gone], [added]) == [(gone, added)]
    other = entry(key="test_a.py::test_d", experiment={"id": "2"})
    assert renames([gone, other], [added]) == [(gone, added)]
    assert renames([gone], [other]) == []
    assert renames([gone], [replace(added, seeds=tuple(range(1, 9)))]) == []
    assert renames([], [added]) == renames([gone], []) == []


def test_where_two_could_be_meant_none_is_offered() -> None:
    """Two new cases with the experiment of the one that has gone."""
    twins = [entry(key="test_a.py::test_c"), entry(key="test_a.py::test_d")]
    assert renames([entry()], twins) == []
    assert renames(twins, [entry()]) == []


def test_loops_must_have_the_same_curves_too() -> None:
    """What a loop does is not known: every parameter of one loop has the same experiment."""
    gone = entry(kind="loop")
    added = entry(kind="loop", key="test_a.py::test_c")
    assert renames([gone], [added]) == [(gone, added)]
    assert renames([gone], [replace(added, curves=tuple("abcdefgh"))]) == []


def test_counts_alone_are_never_a_rename() -> None:
    """They have no experiment, and no history that could be lost."""
    made = [Entry(key, "test_a.py", "parameters", {}, parameters={"total": 5}) for key in "ab"]
    assert renames(made[:1], made[1:]) == []
