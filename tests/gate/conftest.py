"""What the tests of the gate share: entries from numbers drawn by seed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeAlias

import numpy as np
import pytest

from dlbench.gate.entry import Entry

MakeEntry: TypeAlias = Callable[..., Entry]

EXPERIMENT: dict[str, Any] = {
    "id": "1",
    "workload": "digits",
    "data": {"train": 1437, "digest": "d1"},
    "model": {
        "class": "Sequential",
        "builder": "build()",
        "parameters": 4522,
        "architecture": "a1",
    },
    "loss": {"class": "SparseCategoricalCrossentropy", "from_logits": False},
    "metrics": {"accuracy": {"class": "SparseCategoricalAccuracy"}},
    "target": {"metric": "val_accuracy", "value": 0.9},
    "optimizer": {"class": "SGD", "learning_rate": 0.1, "momentum": 0.9},
    "updates_per_epoch": 45,
    "steps": 450,
    "points": [0, 225, 450],
}


@pytest.fixture(scope="session")
def make_entry() -> MakeEntry:
    """Return a function that makes an entry, the same numbers for the same seed."""
    return make


def make(  # noqa: PLR0917 - a builder
    n: int = 16,
    worse: Mapping[str, float] | None = None,
    noise: Mapping[str, float] | None = None,
    draw: int = 0,
    failed: Iterable[int] = (),
    seeds: Iterable[int] | None = None,
    **fields: Any,
) -> Entry:
    """Return an entry.

    Args:
        n: seeds 0 to n - 1.
        worse: by gate, how much worse than the plain entry: a log ratio, or points.
        noise: by gate, the standard deviation of a seed's own change.
        draw: of the noise; a new draw for each number.
        failed: seeds that stalled.
        seeds: which, in place of `n`.
        fields: of `Entry`, in place of what is made here.
    """
    worse, noise, ids = worse or {}, noise or {}, tuple(range(n) if seeds is None else seeds)
    base, moves = np.empty((4, len(ids))), np.empty((4, len(ids)))
    for column, seed in enumerate(ids):
        base[:, column] = np.random.default_rng([seed, 1]).standard_normal(4)
        moves[:, column] = np.random.default_rng([seed, 2, draw]).standard_normal(4)
    gates = ("training_loss", "val_loss", "val_accuracy", "steps_to_target")
    change = {
        gate: worse.get(gate, 0.0) + noise.get(gate, 0.0) * moves[row]
        for row, gate in enumerate(gates)
    }
    values = {
        "training_loss": np.log(0.3) + 0.08 * base[0] + change["training_loss"],
        "val_loss": 0.5 * np.exp(0.08 * base[1] + change["val_loss"]),
        "val_accuracy": 0.8 + 0.01 * base[2] - change["val_accuracy"],
        "steps_to_target": 200 * np.exp(0.1 * base[3] + change["steps_to_target"]),
    }
    rows = {name: tuple(float(value) for value in row) for name, row in values.items()}
    made: dict[str, Any] = {
        "key": "test_sgd.py::test_rate",
        "module": "benchmarks/test_sgd.py",
        "kind": "convergence",
        "experiment": EXPERIMENT,
        "seeds": ids,
        "regimes": tuple("stalled" if seed in set(failed) else "converged" for seed in ids),
        "points": 3,
        "budget": 450.0,
        "floor": 1e-3,
        "values": rows,
        "higher_is_better": {"val_loss": False, "val_accuracy": True},
        "starts": tuple(f"s{seed}" for seed in ids),
        "orders": tuple(f"o{seed}" for seed in ids),
        "parameters": {"parameters": 4522},
        "environment": {"torch": "2.13", "device": "cpu", "precision": "float32"},
    }
    made |= fields
    made.setdefault("curves", tuple(f"{row}" for row in zip(*made["values"].values(), strict=True)))
    return Entry(**made)
