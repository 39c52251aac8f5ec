"""What a record is reduced to: one value a seed for each gate, digests, exact counts."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import pytest

from dlbench.gate.entry import DIGEST_LENGTH, entry_of, key_of
from dlbench.metrics import loss_floor, mean_log_loss
from dlbench.runs import Runs

if TYPE_CHECKING:
    from dlbench.history.record import Record

LOSSES = np.array([[2.0, 1.0, 0.5], [2.5, 1.0, 0.25], [3.0, np.nan, np.nan]])
ACCURACY = np.array([[0.1, 0.5, 0.9], [0.1, 0.3, 0.7], [0.1, np.nan, np.nan]])


def record(losses: np.ndarray = LOSSES, **fields: Any) -> Record:
    """Return a record of three seeds."""
    runs = Runs(
        experiment={
            "workload": "w",
            "target": {"metric": "val_accuracy", "value": 0.8},
            "model": {"class": "Sequential", "parameters": 12, "architecture": "a"},
        },
        seeds=(4, 0, 9),
        points=np.array([0.0, 10.0, 20.0]),
        curves={"loss": losses, "val_loss": losses + 1, "val_accuracy": ACCURACY},
        constant_loss=1.5,
        starts=("a" * 16, "b" * 16, "c" * 16),
        orders=("d" * 16, "e" * 16, "f" * 16),
    )
    made = {
        "kind": "convergence", "case": "benchmarks/test_a.py::test_b[1]", "name": None,
        "module": "benchmarks/test_a.py", "test": "test_b", "params": {}, "outcome": "passed",
        "message": None, "bounds": "enforced", "runs": runs.to_builtins(), "metrics": {},
        "parameters": None, "timing": None, "environment": {"torch": "2.13"}, "duration": 1.0,
    }  # fmt: skip
    return cast("Record", made | fields)


def test_what_is_kept_of_a_record() -> None:
    """By seed, in the record's own order; of a model its exact counts."""
    entry = entry_of(record())
    assert (entry.key, entry.module) == ("test_a.py::test_b[1]", "benchmarks/test_a.py")
    assert (entry.seeds, entry.points, entry.budget) == ((4, 0, 9), 3, 20.0)
    assert entry.regimes == ("converged", "slow", "diverged")
    assert entry.floor == loss_floor(LOSSES)
    assert entry.values["training_loss"] == pytest.approx(mean_log_loss(LOSSES))
    assert entry.values["val_loss"][:2] == (1.5, 1.25)
    assert entry.values["steps_to_target"] == pytest.approx((17.5, math.inf, math.inf))
    assert entry.higher_is_better == {"val_loss": False, "val_accuracy": True}
    assert entry.starts == ("a" * DIGEST_LENGTH, "b" * DIGEST_LENGTH, "c" * DIGEST_LENGTH)
    assert entry.parameters == {"parameters": 12}
    assert entry.bounded
    assert not entry_of(record(bounds="off")).bounded


def test_equal_curves_have_equal_digests() -> None:
    """Any change that a float32 holds is seen, in any curve; seeds differ from each other."""
    entry, other = entry_of(record()), LOSSES.copy()
    assert entry.curves == entry_of(record()).curves
    assert len(set(entry.curves)) == 3
    other[1, 1] += 1e-6
    changed = entry_of(record(other)).curves
    assert [a == b for a, b in zip(entry.curves, changed, strict=True)] == [True, False, True]


def test_the_floor_is_the_accepted_ones() -> None:
    """Losses below it count as it."""
    entry = entry_of(record(), floor=1.0)
    assert entry.floor == 1.0
    assert entry.values["training_loss"] == (0.0, 0.0, math.inf)


def test_a_floor_of_zero_takes_losses_as_they_are() -> None:
    """The mean over the points after the first, which may be negative; no number if diverged."""
    entry = entry_of(record(-LOSSES), floor=0.0)
    assert entry.floor == 0
    assert entry.values["training_loss"] == (-0.75, -0.625, math.inf)


def test_a_negative_loss_has_no_log() -> None:
    """Its run has no training loss, and no floor hides that; a loss of 0 is floored."""
    losses = LOSSES.copy()
    losses[0, 2], losses[1, 2] = -0.1, 0.0
    values = entry_of(record(losses)).values["training_loss"]
    assert math.isnan(values[0])
    assert math.isfinite(values[1])
    assert values[2] == math.inf


def test_counts_alone() -> None:
    """A record of parameters has its whole numbers, and no seeds."""
    fields: dict[str, Any] = {"total": 30, "trainable": 20, "name": "m", "flag": True}
    entry = entry_of(record(kind="parameters", runs=None, parameters=fields))
    assert (entry.parameters, entry.seeds) == ({"total": 30, "trainable": 20}, ())
    assert entry_of(record(kind="parameters", runs=None)).parameters == {}


@pytest.mark.parametrize(
    ("case", "name", "key"),
    [
        ("benchmarks/test_a.py::test_b[0.1]", None, "test_a.py::test_b[0.1]"),
        ("test_a.py::Test::test_b", "second", "test_a.py::Test::test_b name=second"),
        ("a/b/test_c.py::test_d[x/y]", None, "test_c.py::test_d[x/y]"),
    ],
)
def test_keys(case: str, name: str | None, key: str) -> None:
    """The test's id from its file on, then the call's name."""
    assert key_of(case, name) == key
