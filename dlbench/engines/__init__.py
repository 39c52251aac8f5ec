"""Engines train an experiment, seed by seed or all seeds at once, and return its `Runs`.

`fit` defines what is right: one `keras.Model.fit` a run. `loop` runs a training loop of the user's
own. An engine holds no state between experiments.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from dlbench.experiment import Experiment
    from dlbench.runs import Runs

OnProgress: TypeAlias = Callable[[int, int], None]
"""Called with the updates done and the updates to do, over all seeds of an experiment."""


def ignore_progress(done: int, total: int) -> None:
    """Tell nobody."""


def train(experiment: Experiment, on_progress: OnProgress = ignore_progress) -> Runs:
    """Train every run of an experiment and return them; divergence is a result, not an error."""
    from dlbench.engines.fit import train_by_fit

    return train_by_fit(experiment, on_progress)
