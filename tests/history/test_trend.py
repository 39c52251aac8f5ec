"""A trend cuts a case's runs into stretches and levels, and names what begins where."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from dlbench.errors import NotFoundError
from dlbench.history import load
from dlbench.history.trend import Trend, trends

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import pandas as pd

    Save = Callable[..., Path]
    Made = tuple[Callable[..., dict[str, Any]], Callable[..., dict[str, Any]]]
    Write = Callable[..., None]

CASE = "bench/test_a.py::test_b[1]"


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Work in an empty folder."""
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def write(save: Save, made: Made) -> Write:
    """A function that saves a run a day, of one case of 16 seeds."""
    rng = np.random.default_rng(0)

    def written(day: int, level: float = 0.0, *, noise: float = 0.001, **changes: Any) -> None:
        session = {
            name: changes.pop(name) for name in ("complete", "quick", "counts") if name in changes
        }
        environment = changes.pop("environment", {})
        starts = changes.pop("starts", None)
        metrics = changes.pop("metrics", {})
        record = made[0](CASE, changes.pop("seeds", 16), level, **changes)
        record["environment"] = record["environment"] | environment
        shifts = rng.normal(scale=noise, size=16)
        record["metrics"]["mean_log_loss"] = [
            value + shift
            for value, shift in zip(record["metrics"]["mean_log_loss"], shifts, strict=False)
        ]
        record["metrics"] |= metrics
        if starts is not None:
            record["runs"]["starts"] = [f"{starts}{place:015x}" for place in range(16)]
        save(
            day, "x", records=[record], started=f"2026-01-{day:02}T00:00:00+00:00",
            commit={"id": f"{day:02}" * 20, "branch": "main", "dirty": False}, **session,
        )  # fmt: skip

    return written


def the(frame: pd.DataFrame, *metrics: str, **more: Any) -> Trend:
    """Return the only trend."""
    (trend,) = trends(frame, metrics, **more)
    return trend


def test_a_change_falls_on_its_commit(write: Write) -> None:
    """Eight runs, the level 5 % higher from the sixth on: one change, worse, at that commit."""
    for day in range(1, 9):
        write(day, 0.05 if day >= 6 else 0.0)
    trend = the(load())
    (change,) = trend.changes
    assert (change.row, change.where, change.level, change.why) == (
        5,
        "commit 0606060606",
        True,
        (),
    )
    assert change.effect == pytest.approx(math.expm1(0.05), abs=2e-3)
    assert (trend.metric, trend.relative, trend.higher) == ("mean_log_loss", True, False)
    assert list(trend.table["level"]) == [0] * 5 + [1] * 3
    assert list(trend.table["number"]) == list(range(1, 9))
    assert set(trend.table["seeds"]) == {16}
    assert (trend.table["low"] < trend.table["median"]).all()


def test_without_change_there_is_none(write: Write) -> None:
    """Noise far below the margin, and identical runs, are one level."""
    for day in range(1, 9):
        write(day)
    assert the(load()).changes == ()
    assert the(load(), "final_val_accuracy").changes == ()


def test_another_version_begins_a_stretch(write: Write) -> None:
    """An upgrade is said where it falls; the levels on its two sides are compared."""
    for day in range(1, 9):
        write(day, environment={"torch": "2.12.0" if day < 4 else "2.13.0"})
    (change,) = the(load()).changes
    assert (change.row, change.level) == (3, False)
    assert change.why == ("torch 2.12.0 → 2.13.0",)
    assert abs(change.effect) < 0.01


def test_a_level_that_changes_with_the_version_is_a_change_of_both(write: Write) -> None:
    """A regression that an upgrade brings is marked as one, and named by the version."""
    for day in range(1, 9):
        after = day >= 4
        write(
            day, 0.05 if after else 0.0, environment={"torch": "2.9.1" if not after else "2.10.0"}
        )
    (change,) = the(load(), by="torch").changes
    assert (change.row, change.where, change.level) == (3, "torch 2.10.0", True)
    assert change.why == ("torch 2.9.1 → 2.10.0",)
    assert change.effect == pytest.approx(math.expm1(0.05), abs=2e-3)


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"starts": "f"}, "other initial weights"),
        ({"seeds": 12}, "other seeds"),
        ({"environment": {"device": "cuda:0", "keras": "4"}}, "keras 3.15.1 → 4"),
    ],
)
def test_what_cannot_be_paired_breaks_a_stretch(
    write: Write, changes: dict[str, Any], why: str
) -> None:
    """Other weights, other seeds and another device are said, whatever the level does."""
    for day in range(1, 9):
        write(day, 0.2 if day >= 5 else 0.0, **(changes if day >= 5 else {}))
    (change,) = the(load()).changes
    assert (change.row, why in change.why) == (4, True)
    if "environment" not in changes:
        assert not change.level
        assert math.isnan(change.effect)


def test_another_experiment_breaks_a_stretch(write: Write, made: Made) -> None:
    """What was trained is another thing: its numbers are not set against the earlier ones."""
    for day in range(1, 7):
        record = made[0](CASE, 16, 0.0)
        record["runs"]["experiment"]["id"] = "other" if day >= 3 else "one"
        write(day, 0.5 if day >= 3 else 0.0, runs=record["runs"])
    (change,) = the(load()).changes
    assert (change.row, change.why, change.level) == (2, ("another experiment",), False)


def test_a_quick_run_belongs_to_no_level(write: Write) -> None:
    """Its shorter training says nothing; where all runs are quick they are compared."""
    for day in range(1, 9):
        write(day, 0.9 if day == 4 else 0.0, quick=day == 4)
    trend = the(load())
    assert trend.changes == ()
    assert list(trend.table["level"]) == [0, 0, 0, -1, 0, 0, 0, 0]


def test_a_target_that_is_no_longer_met(write: Write) -> None:
    """From steps to never is a change without end."""
    for day in range(1, 7):
        write(day, metrics={"steps_to_target": [None if day >= 5 else 100.0] * 16})
    (change,) = the(load(), "steps_to_target").changes
    assert (change.row, change.effect) == (4, math.inf)


def test_an_accuracy_changes_by_points(write: Write) -> None:
    """Half a point is the margin of an accuracy; effects are differences, higher is better."""
    for day in range(1, 7):
        write(day, metrics={"final_val_accuracy": [0.9 if day < 4 else 0.92] * 16})
    trend = the(load(), "final_val_accuracy")
    assert (trend.relative, trend.higher) == (False, True)
    assert trend.changes[0].effect == pytest.approx(0.02)
    for day in range(1, 7):
        write(day, metrics={"final_val_accuracy": [0.9 if day < 4 else 0.904] * 16})
    assert the(load(), "final_val_accuracy").changes == ()


def test_a_count_changes_exactly(save: Save, made: Made) -> None:
    """One parameter more is a change, at once and without a test; it has no better or worse."""
    for day in range(1, 5):
        count = made[0]("p.py::test_p", 0, 0.0, kind="parameters", runs=None, metrics=None,
                        timing=None, parameters={"unique": 100 + (day == 4)})  # fmt: skip
        save(day, records=[count], started=f"2026-01-{day:02}T00:00:00+00:00")
    trend = the(load())
    assert (trend.metric, trend.higher) == ("parameters", None)
    assert [(change.row, change.effect, change.level) for change in trend.changes] == [(3, 1, True)]


def test_orders(write: Write) -> None:
    """By version, 2.10 stands behind 2.9; runs of one version in order of time."""
    for day, torch in enumerate(["2.10.0", "2.9.1", "2.10.0", "2.9.1+cpu"], start=1):
        write(day, environment={"torch": torch})
    assert list(the(load(), by="torch").table["number"]) == [2, 4, 1, 3]
    assert list(the(load(), by="time").table["number"]) == [1, 2, 3, 4]
    assert list(the(load(), by="commit").table["number"]) == [1, 2, 3, 4]


def test_records_and_metrics_apart(save: Save, made: Made) -> None:
    """Each record of a test has its own trend; a metric that nobody has is named."""
    for day in (1, 2):
        save(day, records=[made[0](CASE, 3, 0.0), made[0](CASE, 3, 0.0, name="again")])
    found = list(trends(load(), ["mean_log_loss", "step_seconds"]))
    assert [(one.name, one.metric) for one in found] == [
        (None, "mean_log_loss"), (None, "step_seconds"),
        ("again", "mean_log_loss"), ("again", "step_seconds"),
    ]  # fmt: skip
    with pytest.raises(NotFoundError, match=r"no metric loss; the runs have mean_log_loss, "):
        list(trends(load(), ["loss"]))


def test_one_run_is_a_trend_without_changes(write: Write) -> None:
    """The first saved run is shown as any other."""
    write(1)
    assert the(load()).changes == ()


def test_hidden_regression_among_environments_is_named_in_order(write: Write) -> None:
    """Breaks and changes stand together, each at its run."""
    for day in range(1, 15):
        write(day, 0.05 if day >= 9 else 0.0, environment={"python": "3.11" if day < 5 else "3.12"},
              starts="f" if day >= 12 else None)  # fmt: skip
    told = [(change.row, change.level, change.why) for change in the(load()).changes]
    assert told == [
        (4, False, ("python 3.11 → 3.12",)), (8, True, ()), (11, False, ("other initial weights",)),
    ]  # fmt: skip
