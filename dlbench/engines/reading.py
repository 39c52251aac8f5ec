"""Reading the curves of many runs on whole data sets, beside the training that goes on.

A step makes a new state and leaves the old one as it is, so a second thread can measure a state
while the next steps are made: on two cores the curves cost hardly any time of their own. What it
runs is traced, as the step is: Keras' Python would only be in the way of the other thread.
"""

from __future__ import annotations

import math
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from dlbench.engines.graphs import traced
from dlbench.engines.program import take

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from concurrent.futures import Future
    from types import TracebackType
    from typing import Self

    from torch import Tensor

    from dlbench.engines.memory import Budget
    from dlbench.engines.program import Program, State

    Data = tuple[Any, Tensor, Any]
    Values = dict[str, np.ndarray]

AHEAD = 2
"""States that may wait to be read: each is held in memory whole."""


class Reader:
    """Measures loss and metrics of all runs; a context that ends with its readings."""

    def __init__(self, program: Program, sets: Mapping[str, Data], budget: Budget) -> None:
        """Keep what is measured.

        Args:
            program: whose loss and metrics they are; always for the same number of runs.
            sets: x, y and weights, by the prefix of their curves' names.
            budget: how many samples are evaluated at a time.
        """
        self._program = program
        self._sets = sets
        self._budget = budget
        self._initial = program.metric_state()
        self._graphs: dict[object, Callable[..., Any]] = {}
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="dlbench-reading")
        self._waiting: list[Future[Values]] = []

    def __enter__(self) -> Self:
        """Begin."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Wait for the reading under way; what an error left waiting is dropped."""
        self._thread.shutdown(wait=True, cancel_futures=True)

    def start(self, state: State, step: int) -> Future[Values]:
        """Begin to measure a state: every curve's value for each run, shape `(runs,)` each.

        Args:
            state: the runs' stacked state, which nobody may change from now on.
            step: the updates made; before the first there is no average of weights.
        """
        while len(self._waiting) >= AHEAD:
            self._waiting.pop(0).result()
        states = {"": state}
        if self._program.has_averages:
            states["ema_"] = self._program.averaged(state) if step else state
        self._trace(state)
        reading = self._thread.submit(self._read, states)
        self._waiting.append(reading)
        return reading

    def _trace(self, state: State) -> None:
        """Trace, the first time, what reading such a state needs."""
        if self._graphs:
            return
        runs = len(state[0])
        measured = self._unmeasured(runs)

        def measure(state: State, measured: State, data: Data) -> Any:
            dims = (0, 0, None, None, None)
            return torch.func.vmap(self._program.measure, in_dims=dims)(state, measured, *data)

        def results(measured: State) -> Any:
            return torch.func.vmap(self._program.results)(measured)

        for prefix, data in self._sets.items():
            for part in self._parts(data, runs):
                if (prefix, len(part[1])) not in self._graphs:
                    self._graphs[prefix, len(part[1])] = traced(measure, state, measured, part)
        if measured:
            self._graphs["results"] = traced(results, measured)

    # ---- in the other thread

    def _read(self, states: Mapping[str, State]) -> Values:
        with torch.no_grad():
            return {
                f"{average}{prefix}{name}": value
                for average, state in states.items()
                for prefix in self._sets
                for name, value in self._on(prefix, state).items()
            }

    def _on(self, prefix: str, state: State) -> Values:
        """Return loss and metrics on one data set."""
        runs, data = len(state[0]), self._sets[prefix]
        measured, loss = self._unmeasured(runs), torch.zeros(())
        for part in self._parts(data, runs):
            count = len(part[1])
            value, measured = self._graphs[prefix, count](state, measured, part)
            loss = loss.to(value.device) + value * (count / len(data[1]))
        results = self._graphs["results"](measured) if measured else []
        losses = _numbers(loss)
        values = dict(zip(self._program.metric_names, map(_numbers, results), strict=True))
        # Where the loss is not finite, an accuracy would be that of class 0.
        known = {name: np.where(np.isfinite(losses), v, math.nan) for name, v in values.items()}
        return {"loss": np.where(np.isfinite(losses), losses, math.nan)} | known

    def _parts(self, data: Data, runs: int) -> Iterator[Data]:
        """Yield a data set in pieces that fit into memory."""
        size = self._budget.samples(runs)
        for start in range(0, len(data[1]), size):
            yield take(data, slice(start, start + size))

    def _unmeasured(self, runs: int) -> State:
        """Return the metrics' variables of all runs as they are before any sample."""
        return [part.expand(runs, *part.shape).clone() for part in self._initial]


def _numbers(values: Tensor) -> np.ndarray:
    numbers: np.ndarray = values.cpu().double().numpy()
    return numbers
