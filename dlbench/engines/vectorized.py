"""The engine that trains all runs of an experiment in one program, and must give `fit`'s curves.

Prove, do not assume: its first updates are compared with `fit`'s, variable by variable, before the
rest of a run is believed. What cannot be traced, or does not agree, is left to `fit`, aloud.
"""

from __future__ import annotations

import contextlib
import gc
import math
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from dlbench.backend import as_tensors, seeded
from dlbench.engines.compilation import compiled_step, worth_compiling
from dlbench.engines.evaluation import constant_loss, runs_of
from dlbench.engines.fit import as_fit_trains, compile_as, compiled
from dlbench.engines.graphs import scripted
from dlbench.engines.memory import Budget, is_out_of_memory, measured_budget, threads_for
from dlbench.engines.probes import Prober
from dlbench.engines.program import Program, take, trace
from dlbench.engines.proof import prove, updates_to_prove
from dlbench.engines.reading import Reader
from dlbench.engines.state import Lane, initial_digest, state_of
from dlbench.engines.tracing import (
    NotVectorizable,
    python_state,
    quiet_trace_log,
    schedule_of,
    traceable_keras,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from concurrent.futures import Future

    from torch import Tensor

    from dlbench.data import Samples
    from dlbench.engines import OnProgress
    from dlbench.engines.compilation import Compiling
    from dlbench.engines.program import State
    from dlbench.experiment import Experiment
    from dlbench.runs import Runs

    Curves = dict[str, np.ndarray]


def train_vectorized(
    experiments: Sequence[Experiment], on_progress: OnProgress, *, compiling: Compiling = "auto"
) -> list[Runs]:
    """Train all runs of experiments that differ in nothing but the learning rate.

    Args:
        experiments: one, or those of a sweep.
        on_progress: told of the updates of all runs.
        compiling: the step, by `torch.compile`: "auto" where that repays its cost.

    Raises:
        NotVectorizable: `fit` has to train them; the message says which part and why.
    """
    lanes = [Lane(experiment, seed) for experiment in experiments for seed in experiment.seeds]
    with seeded(lanes[0].seed), quiet_trace_log():
        curves, starts = _Trainer(lanes, on_progress, compiling=compiling).train()
    constant = constant_loss(experiments[0].workload)
    runs = []
    for number, experiment in enumerate(experiments):
        count = len(experiment.seeds)
        rows = slice(number * count, (number + 1) * count)
        own = {name: values[rows] for name, values in curves.items()}
        runs.append(runs_of(experiment, own, starts[rows], constant, "vectorized"))
    return runs


class _Trainer:
    """Trains runs in chunks that fit into memory, all chunks by the same traced steps."""

    def __init__(
        self, lanes: Sequence[Lane], on_progress: OnProgress, *, compiling: Compiling
    ) -> None:
        self.lanes = lanes
        self.experiment = lanes[0].experiment
        self.on_progress = on_progress
        self.compiling = compiling
        self.model = compiled(self.experiment)
        self.model.optimizer.build(self.model.trainable_variables)
        data = self.experiment.workload.data
        self.data = _tensors(data.train)
        self.sets = {"": self.data}
        if data.validation is not None:
            self.sets["val_"] = _tensors(data.validation)
        self.program = Program(self.experiment, self.model)
        self.prober = self._prober() if self.experiment.probes else None
        self.proved = False
        self._schedules = {
            id(experiment): schedule_of(experiment.optimizer.build())
            for experiment in {id(lane.experiment): lane.experiment for lane in lanes}.values()
        }
        self._steps: dict[tuple[int, int], Callable[..., State]] = {}

    def train(self) -> tuple[Curves, list[str]]:
        """Return the curves, shape `(runs, points)` each, and the digests of the starts."""
        with threads_for(0):
            budget = self._measured_budget()
        with threads_for(budget.step_bytes * min(budget.runs, len(self.lanes))):
            return self._train_chunks(budget)

    def _train_chunks(self, budget: Budget) -> tuple[Curves, list[str]]:
        size = min(budget.runs, len(self.lanes))
        parts: list[Curves] = []
        starts: list[str] = []
        while len(starts) < len(self.lanes):
            lanes = self.lanes[len(starts) : len(starts) + size]
            try:
                curves, digests = self._train_chunk(lanes, len(starts), budget)
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error):
                    raise
                if size == 1:
                    raise NotVectorizable("one run takes more memory than there is") from error
            else:
                parts.append(curves)
                starts += digests
                continue
            # Out here the error, which holds the tensors, is gone.
            size = math.ceil(size / 2)
            self._steps.clear()
            gc.collect()
        names = parts[0]
        return {name: np.concatenate([part[name] for part in parts]) for name in names}, starts

    def _measured_budget(self) -> Budget:
        """Run one step and one evaluation of one run, which also shows whether they can be traced."""
        state = state_of(self.model)
        batch = take(self.data, slice(0, self.experiment.batch_size))
        before = python_state(self.model, self.program.metrics)

        def step() -> object:
            self.program.find_unused(state, *batch)
            rate = self._rates(self.lanes[:1], 0)
            return self.program.step(state, *batch, None if rate is None else rate[0])

        def evaluate() -> object:
            with torch.no_grad():
                few = take(self.data, slice(0, 1))
                return self.program.measure(state, self.program.metric_state(), *few)

        with _keras_for_many():
            budget = measured_budget(step, evaluate)
        after = python_state(self.model, self.program.metrics)
        if changed := [name for name in after if after[name] != before.get(name)]:
            raise NotVectorizable(
                f"{changed[0]}, a Python value, changes as the model runs, which a trace would not see"
            )
        return budget

    def _train_chunk(
        self, lanes: Sequence[Lane], before: int, budget: Budget
    ) -> tuple[Curves, list[str]]:
        """Train some of the runs; `before` are the runs that are done."""
        experiment = self.experiment
        state, starts = _stacked(lanes)
        proving = 0 if self.proved else min(updates_to_prove(experiment), experiment.steps)
        readings: dict[int, Future[dict[str, np.ndarray]]] = {}
        probed: dict[int, dict[str, np.ndarray]] = {}
        with Reader(self.program, self.sets, budget) as reader:
            readings[0] = self._read(reader, state, 0)
            if self.prober:
                self.prober.start(state)
                probed[0] = self._probed(self.prober, state, state, _ended(readings[0]))
            for number, rows in enumerate(_rows(lanes, state[0].device)):
                step = number + 1
                probing = self.prober if step in experiment.points else None
                last = state if probing else []
                state = self._step(lanes, state, rows, number)
                if step in experiment.points or step == proving:
                    readings[step] = self._read(reader, state, step)
                if probing:
                    probed[step] = self._probed(probing, state, last, _ended(readings[step]))
                if step == proving:
                    early = {point: _ended(reading) for point, reading in readings.items()}
                    prove(lanes, self.program.names(), state, early, step)
                    self.proved = True
                self.on_progress(
                    before * experiment.steps + step * len(lanes),
                    experiment.steps * len(self.lanes),
                )
                if step >= proving and step in experiment.points and not self._finite(state):
                    break
                if step == experiment.steps:
                    break
            values = {
                step: _ended(reading) | probed.get(step, {}) for step, reading in readings.items()
            }
        missing = dict.fromkeys(values[0], np.full(len(lanes), math.nan))
        read = [values.get(point, missing) for point in experiment.points]
        return {name: np.stack([at[name] for at in read], axis=1) for name in values[0]}, starts

    @staticmethod
    def _read(reader: Reader, state: State, step: int) -> Future[dict[str, np.ndarray]]:
        with _keras_for_many():
            return reader.start(state, step)

    # ---- one update of every run

    def _step(self, lanes: Sequence[Lane], state: State, rows: Tensor, number: int) -> State:
        """Return the runs' state after one update; a step is traced when it is first needed.

        Args:
            lanes: the runs.
            state: their stacked state.
            rows: shape `(runs, batch)`.
            number: the updates made before.
        """
        shape = (rows.shape[0], rows.shape[1])
        arguments = (state, self.data, rows, self._rates(lanes, number))
        if shape not in self._steps:
            with _keras_for_many():
                graph = trace(self.program, *arguments)
            whole = shape[1] == self.experiment.batch_size
            steps = self.experiment.steps - number
            worth = whole and worth_compiling(self.compiling, len(graph.graph.nodes), steps)
            step = compiled_step(graph, arguments) if worth else graph
            self._steps[shape] = scripted(graph, arguments) if step is graph else step
        with torch.no_grad(), _left_to_fit():
            return self._steps[shape](*arguments)

    def _rates(self, lanes: Sequence[Lane], number: int) -> Tensor | None:
        """Return each run's learning rate where a schedule makes it, shape `(runs,)`."""
        if not self.program.has_schedule:
            return None
        rates = {
            key: as_tensors(schedule(number))
            for key, schedule in self._schedules.items()
            if schedule
        }
        return torch.stack([rates[id(lane.experiment)] for lane in lanes])

    def _finite(self, state: State) -> bool:
        """Return whether any run's weights are still finite."""
        flags = [torch.isfinite(p).flatten(1).all(dim=1) for p in self.program.trained(state)]
        return bool(torch.stack(flags).all(dim=0).any())

    # ---- the probes

    def _prober(self) -> Prober:
        with _keras_for_many():
            return Prober(self.experiment, self.program, state_of(self.model))

    @staticmethod
    def _probed(
        prober: Prober, state: State, before: State, values: dict[str, np.ndarray]
    ) -> dict[str, np.ndarray]:
        with _keras_for_many():
            return prober.read(state, before, values["loss"])


def _ended(reading: Future[dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
    """Return what was read, once it is; what is raised in the other thread is left to `fit` too."""
    with _left_to_fit():
        return reading.result()


def _rows(lanes: Sequence[Lane], device: torch.device) -> Iterator[Tensor]:
    """Yield each update's batches as rows of the training set, shape `(runs, batch)`."""
    experiment = lanes[0].experiment
    seeds = sorted({lane.seed for lane in lanes})
    places = torch.tensor([seeds.index(lane.seed) for lane in lanes])
    for epoch in range(math.ceil(experiment.steps / experiment.updates_per_epoch)):
        orders = np.stack([experiment.order(seed, epoch) for seed in seeds])
        order = torch.from_numpy(orders)[places].to(device)
        # Contiguous: a slice's strides would be another program to the compiler.
        for start in range(0, order.shape[1], experiment.batch_size):
            yield order[:, start : start + experiment.batch_size].contiguous()


def _stacked(lanes: Sequence[Lane]) -> tuple[State, list[str]]:
    """Return the runs' initial states, stacked, and each one's digest.

    A model is built for each seed, and an optimizer on it for each run: some optimizers' state
    starts at the weights.
    """
    states: list[State] = [[]] * len(lanes)
    digests = [""] * len(lanes)
    for seed in {lane.seed for lane in lanes}:
        with seeded(seed):
            model = lanes[0].experiment.workload.build()
            for place, lane in enumerate(lanes):
                if lane.seed == seed:
                    compile_as(lane.experiment, model)
                    model.optimizer.build(model.trainable_variables)
                    digests[place], states[place] = initial_digest(model), state_of(model)
    if len({tuple(part.shape for part in state) for state in states}) > 1:
        raise NotVectorizable("the builder makes models of other shapes from other seeds")
    return [torch.stack(parts) for parts in zip(*states, strict=True)], digests


def _tensors(samples: Samples) -> tuple[Any, Tensor, Any]:
    return as_tensors(samples.x), as_tensors(samples.y), as_tensors(samples.weight)


@contextlib.contextmanager
def _left_to_fit() -> Iterator[None]:
    """Turn what is raised in the block into the reason, in one line, why `fit` takes over.

    Keras names the layer in it. A lack of memory is no such reason: fewer runs may do.
    """
    try:
        yield
    except NotVectorizable:
        raise
    except Exception as error:
        if is_out_of_memory(error):
            raise
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        text = f"{type(error).__name__}: {' '.join(lines[:2])[:300]}"
        raise NotVectorizable(text) from error


@contextlib.contextmanager
def _keras_for_many() -> Iterator[None]:
    """Inside the block Keras' own code runs for many runs at once, as `fit` runs it for one."""
    with _left_to_fit(), as_fit_trains(), traceable_keras():
        yield
