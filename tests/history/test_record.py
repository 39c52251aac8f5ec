"""Records hold numbers by seed, in builtins."""

from __future__ import annotations

import json
import math

import numpy as np

from dlbench.history.record import metrics_by_seed
from dlbench.plain import dumps
from dlbench.runs import Runs

nan = math.nan


def runs(target: dict[str, object] | None = None) -> Runs:
    """Return two runs, of which the second diverges."""
    return Runs(
        experiment={"target": target},  # type: ignore[dict-item]
        seeds=(3, 5),
        points=np.array([0.0, 10.0, 20.0]),
        curves={
            "loss": np.array([[2.0, 1.0, 0.5], [2.0, 9.0, nan]]),
            "val_accuracy": np.array([[0.5, 0.5, 1.0], [0.5, nan, nan]]),
        },
    )


def test_numbers_come_by_seed_and_unknown_ones_as_none() -> None:
    """Every list has a value a seed; what is not finite is None, and the regime tells why."""
    found = metrics_by_seed(runs({"metric": "val_accuracy", "value": 0.75}))
    assert found == {
        "regime": ["converged", "diverged"],
        "mean_log_loss": [math.log(0.5) / 2, None],
        "oscillation": [0.0, None],
        "final_loss": [0.5, None],
        "final_val_accuracy": [1.0, None],
        "steps_to_target": [15.0, None],
    }
    assert json.loads(dumps(found)) == found


def test_without_a_target_there_are_no_steps_to_it() -> None:
    """A workload without a target has no steps-to-target."""
    assert "steps_to_target" not in metrics_by_seed(runs())


def test_values_are_builtins() -> None:
    """No NumPy scalar is left: they would kill an xdist session."""
    for values in metrics_by_seed(runs()).values():
        assert isinstance(values, list)
        assert {type(value) for value in values} <= {float, str, type(None)}
