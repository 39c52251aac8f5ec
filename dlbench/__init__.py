"""dlbench: does training still work?

In a test, ask for a fixture; nothing needs to be imported:

    def test_mine(convergence):
        runs = convergence(build, data=data, loss="mse", learning_rate=0.1, epochs=20)
        assert runs.regime == "converged"

Outside pytest, the same in three steps: a `Workload` says what is trained, an `Experiment` how and
from which seeds, `train` does it and returns `Runs`, from which every number can be read:

    workload = Workload(name="mine", model=build, data=data, loss="mse")
    runs = train(Experiment(workload, learning_rate=0.1, epochs=20, seeds=5))
    runs.final("loss").median()

`dlbench.workloads` holds workloads to begin with, `count_parameters(model)` counts exactly,
`interquartile_mean` and `bootstrap_interval` sum up a Series, `dlbench.history.load` returns saved runs
as one frame. `docs/architecture.md` shows the house.

Importing dlbench imports none of PyTorch, Keras, NumPy, pandas and matplotlib: each name below is
loaded when it is first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dlbench.engines import train as train
    from dlbench.experiment import Experiment as Experiment
    from dlbench.experiment import Workload as Workload
    from dlbench.history.run import read_run as read_run
    from dlbench.parameters import count_parameters as count_parameters
    from dlbench.runs import Runs as Runs
    from dlbench.statistics import bootstrap_interval as bootstrap_interval
    from dlbench.statistics import interquartile_mean as interquartile_mean

_HOMES = {
    "Experiment": "dlbench.experiment",
    "Runs": "dlbench.runs",
    "Workload": "dlbench.experiment",
    "bootstrap_interval": "dlbench.statistics",
    "count_parameters": "dlbench.parameters",
    "interquartile_mean": "dlbench.statistics",
    "read_run": "dlbench.history.run",
    "train": "dlbench.engines",
}

_ROOMS = ("history", "workloads")
"""Rooms that are reached as `dlbench.history` without an import of their own."""

__all__ = list(_HOMES)


def __getattr__(name: str) -> Any:
    """Load a public name from its room at first use (PEP 562)."""
    if name in _ROOMS:
        return import_module(f"dlbench.{name}")
    if name not in _HOMES:
        raise AttributeError(f"module 'dlbench' has no attribute {name!r}")
    if name in {"Experiment", "Workload", "train", "count_parameters"}:
        from dlbench.backend import choose_keras_backend

        choose_keras_backend()
    return getattr(import_module(_HOMES[name]), name)
